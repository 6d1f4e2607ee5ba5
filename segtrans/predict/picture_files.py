"""What is written of a prediction on a picture, each in the picture's own size, as bytes."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from pydantic import Field

from segtrans.predict.several import OF_EACH, columns_of_each, place_of
from segtrans.predict.written import Record
from segtrans.sources.image_folder.intensities import levels_of
from segtrans.tasks.image_folder import ImageFolder

KINDS = ("mask", "probability", "translation", "without", "residual", "overlay")

_LEVEL = 1  # of compression: higher ones take several times as long for a few per cent
_JPEG_QUALITY = 95
_MOST_JPEG_PIXELS = 65_500  # of a side, in libjpeg
_LARGEST = 2**16 - 1
# Orange first, the colour of lesions in all figures; Okabe and Ito's, as there.
_COLOURS = np.array(
    [(213, 94, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (0, 114, 178)],
    np.uint8,
)
_SHOWN_PERCENTILES = (0.5, 99.5)
_MOST_SAMPLES = 2**16
_SHARE = 3  # of the picture inside an outline, for one of its colour


class PictureRecord(Record):
    """One picture, by the path of the first of its files.

    Attributes:
        max_probability: of the target, over all pixels.
        area: pixels that are segmented.
        areas: those of each class or pathology, where there are several.
        score: how sure it is that the picture shows the target: the mean probability of the most
            probable pixels, as many as the smallest target has.
        max_probabilities: of each of several pathologies.
        scores: likewise.
    """

    max_probability: float
    area: int
    areas: dict[str, int]
    score: float
    max_probabilities: dict[str, float] = Field(default_factory=dict)
    scores: dict[str, float] = Field(default_factory=dict)

    columns: ClassVar[tuple[str, ...]] = ("image", "max_probability", "area", "score")

    def row(self) -> dict[str, str]:
        """As `Record.row`."""
        probability, score = (f"{x:.6f}" for x in (self.max_probability, self.score))
        return {
            "image": self.image,
            "max_probability": probability,
            "area": str(self.area),
            **columns_of_each("area", self.areas, "d"),
            "score": score,
            **columns_of_each("max_probability", self.max_probabilities, ".6f"),
            **columns_of_each("score", self.scores, ".6f"),
        }


@dataclass(frozen=True)
class Seen:
    """What a prediction says of one pathology of several, or of all that there is to see.

    Attributes:
        probability: (H, W) float32, in [0, 1].
        mask: (H, W) uint8: 0, and 1 or the values of classes.
        residual: (C, H, W) float32, what was taken out; None where it is not made.
    """

    probability: NDArray[np.float32]
    mask: NDArray[np.uint8]
    residual: NDArray[np.float32] | None

    def score(self, share: float) -> float:
        """How sure it is that it is there: the mean of the most probable pixels.

        Args:
            share: of all pixels; at least one counts.
        """
        probability = self.probability.reshape(-1)
        n = max(1, round(share * probability.size))
        return float(np.partition(probability, -n)[-n:].mean(dtype=np.float64))


@dataclass(frozen=True)
class PicturePrediction:
    """What a run makes of a picture, in its own size.

    Attributes:
        picture: (H, W, C), as its files hold it.
        translation: (C, H, W) float32, intensities without the target; None where it is not made.
        whole: the target of whatever class or pathology; of several pathologies without a residual.
        of_each: of several pathologies each by its name; else nothing.
    """

    picture: NDArray[Any]
    translation: NDArray[np.float32] | None
    whole: Seen
    of_each: dict[str, Seen] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        picture: NDArray[Any],
        maps: Sequence[NDArray[np.float32]],
        *,
        threshold: float,
        pathologies: Sequence[str] = (),
    ) -> "PicturePrediction":
        """From maps of `Networks`, in the picture's own size.

        Args:
            picture: (H, W, C), as its files hold it.
            maps: probabilities (K, H, W): of the one class, of the background and each class, or
                of each pathology; perhaps the translation, and one residual or K.
            threshold: above which a pixel is segmented.
            pathologies: names of several that the method tells apart.
        """
        classes, (translation, residual) = maps[0], [*maps[1:], None, None][:2]
        if not pathologies:
            probability = classes[0] if len(classes) == 1 else 1 - classes[0]
            mask = (probability > threshold).astype(np.uint8)
            if len(classes) > 1:
                mask *= (1 + classes[1:].argmax(0)).astype(np.uint8)
            return cls(picture, translation, Seen(probability, mask, residual))
        of_each = {
            name: Seen(
                classes[k],
                (classes[k] > threshold).astype(np.uint8),
                None if residual is None else residual[k],
            )
            for k, name in enumerate(pathologies)
        }
        probability = classes.max(axis=0)
        whole = Seen(probability, (probability > threshold).astype(np.uint8), None)
        return cls(picture, translation, whole, of_each)

    @property
    def seen(self) -> dict[str, Seen]:
        """What there are files of: each pathology by its name, or the whole, called nothing."""
        return self.of_each or {"": self.whole}


def encoded(kind: str, predicted: PicturePrediction, task: ImageFolder) -> dict[str, bytes]:
    """The files of one kind of a prediction: content by where it lies.

    mask: PNG of 8 bits; 0 and 255, or the value of each class.
    probability: PNG of 16 bits, 65535 for 1: every program reads it, nothing is lost (0.000008 is
        less than networks round off), and it takes half of what floating-point numbers do.
    translation: in the type and the values of the picture; PNG where PNG can hold it, else TIFF.
    without: likewise, one of several pathologies removed and all others left.
    residual: TIFF of float32, in the values of the picture: it has a sign.
    overlay: JPEG, the mask's outline on the picture, tinted inside: to look at, in a tenth of a
        PNG's time and a fifth of its size; PNG where a side is longer than JPEG can have.

    Args:
        kind: one of `KINDS`.
        predicted: with what the kind needs.
        task: whose intensity the picture was read with.

    Returns:
        Contents by `<kind>/{}.<suffix>`, or of several pathologies `<kind>/<pathology>/{}.<suffix>`
        for kinds of `OF_EACH`; {} stands for the picture's name.
    """
    if kind in OF_EACH:
        return {
            place_of(kind, name, "{}" + suffix): content
            for name, seen in predicted.seen.items()
            for suffix, content in (_ENCODERS_OF_EACH[kind](seen, predicted, task),)
        }
    suffix, content = _ENCODERS[kind](predicted, task)
    return {place_of(kind, "", "{}" + suffix): content}


def _mask(seen: Seen, predicted: PicturePrediction, task: ImageFolder) -> tuple[str, bytes]:
    return ".png", _png(seen.mask * np.uint8(255) if task.n_classes == 1 else seen.mask)


def _probability(seen: Seen, predicted: PicturePrediction, task: ImageFolder) -> tuple[str, bytes]:
    scaled = seen.probability * np.float32(_LARGEST)
    return ".png", _png(scaled.round().clip(0, _LARGEST).astype(np.uint16))


def _residual(seen: Seen, predicted: PicturePrediction, task: ImageFolder) -> tuple[str, bytes]:
    levels = levels_of(predicted.picture, task.intensity)
    values = _channels_last(seen.residual) * (levels.one - levels.zero)
    return ".tif", _tiff(values.astype(np.float32))


def _without(seen: Seen, predicted: PicturePrediction, task: ImageFolder) -> tuple[str, bytes]:
    others = (of.residual for of in predicted.of_each.values() if of is not seen)
    maps = [of for of in (predicted.translation, *others) if of is not None]
    return _as_picture(np.add.reduce(maps), predicted, task)


def _translation(predicted: PicturePrediction, task: ImageFolder) -> tuple[str, bytes]:
    return _as_picture(predicted.translation, predicted, task)


def _as_picture(
    maps: NDArray[np.float32] | None, predicted: PicturePrediction, task: ImageFolder
) -> tuple[str, bytes]:
    """Intensities (C, H, W) in the type and the values of the picture."""
    picture = predicted.picture
    levels = levels_of(picture, task.intensity)
    values = levels.undo(_channels_last(maps), picture.dtype)
    if values.dtype == bool:
        values = values * np.uint8(255)
    can_be_png = values.dtype in (np.uint8, np.uint16) and values.shape[2] in (1, 3)
    return (".png", _png(values)) if can_be_png else (".tif", _tiff(values))


def _overlay(predicted: PicturePrediction, task: ImageFolder) -> tuple[str, bytes]:
    shown = _shown(predicted.picture)
    thickness = max(1, round(min(shown.shape[:2]) / 256))
    masks = [of.mask > 0 for of in predicted.of_each.values()]
    if not masks:
        mask = predicted.whole.mask
        masks = [mask == value for value in range(1, 1 + int(mask.max()))]
    for number, is_class in enumerate(masks):
        if is_class.any():
            colour = _COLOURS[number % len(_COLOURS)]
            tinted = ((shown * np.uint16(_SHARE) + colour) // np.uint16(_SHARE + 1)).astype(
                np.uint8
            )
            outline = is_class & ~_inner(is_class, thickness)
            # Where a mask is large, to choose by index takes several times as long.
            np.copyto(shown, tinted, where=is_class[..., np.newaxis])
            np.copyto(shown, colour, where=outline[..., np.newaxis])
    return (
        (".jpg", _jpeg(shown)) if max(shown.shape) <= _MOST_JPEG_PIXELS else (".png", _png(shown))
    )


_ENCODERS_OF_EACH: Mapping[
    str, Callable[[Seen, PicturePrediction, ImageFolder], tuple[str, bytes]]
] = {"mask": _mask, "probability": _probability, "without": _without, "residual": _residual}
_ENCODERS: Mapping[str, Callable[[PicturePrediction, ImageFolder], tuple[str, bytes]]] = {
    "translation": _translation,
    "overlay": _overlay,
}


def _channels_last(maps: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert maps is not None  # noqa: S101 - it is made where its kind is asked for
    return np.moveaxis(maps, 0, 2)


def _inner(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """Where (H, W) is inside and also some pixels further, up, down, left and right."""
    wide = np.pad(mask, distance, mode="edge")
    low, middle, high = slice(2 * distance, None), slice(distance, -distance), slice(-2 * distance)
    inner: NDArray[np.bool_] = wide[low, middle] & wide[high, middle]
    return inner & wide[middle, low] & wide[middle, high]


def _shown(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """A picture of any type as one of 8 bits in colour, (H, W, 3), that may be written to."""
    if picture.shape[2] not in (1, 3):
        picture = picture[..., :1]
    if picture.dtype != np.uint8:
        values = picture.reshape(-1)[:: -(-picture.size // _MOST_SAMPLES)]
        low, high = np.percentile(values.astype(np.float64), _SHOWN_PERCENTILES)
        scale = 255 / (high - low) if high > low else 0.0
        picture = ((picture.astype(np.float32) - low) * scale).clip(0, 255).astype(np.uint8)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture.copy()


def _png(image: NDArray[Any]) -> bytes:
    flat = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    # Rows as differences from those above, then runs: twice as fast as what is usual, no larger.
    options = {"strategy": imagecodecs.PNG.STRATEGY.RLE, "filter": imagecodecs.PNG.FILTER.UP}
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(flat), level=_LEVEL, **options))


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    # Colour at full resolution: the outline is thin.
    return bytes(imagecodecs.jpeg8_encode(image, level=_JPEG_QUALITY, subsampling="444"))


def _tiff(image: NDArray[Any]) -> bytes:
    n_channels = image.shape[2]
    flat = np.ascontiguousarray(image[..., 0] if n_channels == 1 else image)
    file = io.BytesIO()
    colour = "rgb" if n_channels == 3 else "minisblack"
    tifffile.imwrite(
        file, flat, photometric=colour, planarconfig="contig" if n_channels > 1 else None,
        compression="zlib", compressionargs={"level": _LEVEL}, metadata=None,
    )  # fmt: skip
    return file.getvalue()

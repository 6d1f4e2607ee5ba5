"""From a picture to what is stored of it: the whole, or parts whose domain is certain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from segtrans.data.pathologies import bit
from segtrans.data.values import is_target
from segtrans.sources.image_folder.facts import Facts
from segtrans.sources.image_folder.fitting import Fitting, Place
from segtrans.sources.image_folder.intensities import is_whole_range, levels_of
from segtrans.sources.image_folder.item import Item
from segtrans.tasks.base import VOID
from segtrans.tasks.image_folder import ImageFolder

WHOLE = (-1, -1)  # where a part begins that is no part
_PART_STREAM = 1005  # keeps the draw apart from those of other modules
_TRIES = 20  # at a part that shows enough of the target


@dataclass(frozen=True)
class Sample:
    """What is stored of a picture.

    Attributes:
        image: (C, h, w), of the file's own type where that is exact, else float16 intensities.
        mask: (h, w) uint8; None without one.
        place: first row and column of a part, in the picture's pixels; `WHOLE` of the whole.
    """

    image: NDArray[Any]
    mask: NDArray[np.uint8] | None
    place: Place = WHOLE


def places_of(
    item: Item,
    shape: tuple[int, int],
    mask: NDArray[np.uint8] | None,
    task: ImageFolder,
    *,
    data_seed: int,
) -> list[Place]:
    """Where what is stored of a picture begins; nowhere where too little of it is target.

    Parts are cut from A images and, by their mask, from labelled P images: such a part shows the
    target in no less than the task's share. Who knows whether a part of an unlabelled P image shows
    it? So these stay whole, resized: `WHOLE`.

    Args:
        item: whose domain decides.
        shape: (H, W) of the image.
        mask: (H, W) uint8 of a P image; None without one.
        task: of the folder.
        data_seed: of where a crop lies, together with the item's place.
    """
    fitting = Fitting(shape, task)
    # Where no mask says what it shows, and where the masks that there are say what it does not.
    is_seen = mask is not None and (not item.shows or bool(is_target(mask).any()))
    if not fitting.has_parts or (item.domain == "present" and not is_seen):
        known = zip(item.shows, item.is_masked, strict=True)
        may_show_more = any(said != 0 and not is_masked for said, is_masked in known)
        is_kept = mask is None or may_show_more or _shows_enough(fitting.mask(mask), task)
        return [WHOLE] if is_kept else []
    padded = None if mask is None else fitting.padded(mask)
    if task.size == "tile":
        return [
            place
            for place in fitting.places()
            if padded is None or _shows_enough(fitting.part(padded, place), task)
        ]
    rng = np.random.default_rng((data_seed, _PART_STREAM, crc32(item.place.encode())))
    return _crop(fitting, padded, rng)


def samples_of(
    image: NDArray[Any],
    mask: NDArray[np.uint8] | None,
    places: Sequence[Place],
    task: ImageFolder,
) -> list[Sample]:
    """What is stored of a picture.

    Args:
        image: (H, W, C), of any type.
        mask: (H, W) uint8 of a P image; None without one.
        places: of `places_of`.
        task: of the folder.

    Raises:
        UserError: the intensity of the task does not fit the image's values.
    """
    fitting = Fitting(image.shape[:2], task)
    if WHOLE in places:
        return [Sample(_whole(image, fitting), None if mask is None else fitting.mask(mask))]
    padded = None if mask is None else fitting.padded(mask)
    return list(_parts(image, padded, fitting, places))


def shows_of(sample: Sample, facts: Facts, task: ImageFolder) -> tuple[int, ...]:
    """Whether what is stored of a P image shows each of several pathologies: 1, 0 or `VOID`.

    By its masks where it has some: 1 of no less than the task's share. Less is neither shown nor
    not, and so is what was lost when the image was resized.
    """
    is_whole = sample.place == WHOLE
    shows = []
    for k, (said, is_masked) in enumerate(zip(facts.shows, facts.item.is_masked, strict=True)):
        if is_masked and sample.mask is not None:
            own = bit(sample.mask, k)
            if _shows_enough(own, task):
                said = 1
            elif not (is_whole or own.any()):
                said = 0
            elif said == 1:
                said = VOID
        elif said == 1 and not is_whole:
            said = VOID
        shows.append(said)
    return tuple(shows)


def _whole(image: NDArray[Any], fitting: Fitting) -> NDArray[Any]:
    if is_whole_range(image, fitting.task.intensity) and fitting.is_exact:
        return fitting.whole(image)
    return fitting.image(image).astype(np.float16)


def _parts(
    image: NDArray[Any], mask: NDArray[np.uint8] | None, fitting: Fitting, places: Sequence[Place]
) -> Iterator[Sample]:
    padded, intensity = fitting.padded(image), fitting.task.intensity
    levels = levels_of(image, intensity)
    top, left = fitting.margin
    for place in places:
        part = fitting.part(padded, place)
        if is_whole_range(image, intensity):
            part = np.ascontiguousarray(part)
        else:
            seen = levels.apply(np.moveaxis(part, 0, 2))
            part = np.ascontiguousarray(np.moveaxis(seen, 2, 0)).astype(np.float16)
        of_mask = None if mask is None else np.ascontiguousarray(fitting.part(mask, place))
        yield Sample(part, of_mask, (place[0] - top, place[1] - left))


def _crop(
    fitting: Fitting, mask: NDArray[np.uint8] | None, rng: np.random.Generator
) -> list[Place]:
    """One place, about a pixel of the target if there is a mask; none if it shows too little."""
    room = np.subtract(fitting.padded_shape, fitting.size)
    if mask is None:
        return [tuple(int(n) for n in rng.integers(0, room + 1))]  # type: ignore[list-item]
    target = np.argwhere(is_target(mask))
    for _ in range(_TRIES if len(target) else 0):
        middle = target[rng.integers(len(target))]
        row, column = np.clip(middle - np.array(fitting.size) // 2, 0, room).tolist()
        if _shows_enough(fitting.part(mask, (row, column)), fitting.task):
            return [(row, column)]
    return []


def _shows_enough(mask: NDArray[np.uint8], task: ImageFolder) -> bool:
    """Whether the target is there, and its share of the pixels that are known is large enough."""
    n_target, n_known = int(is_target(mask).sum()), int((mask != VOID).sum())
    return 0 < n_target >= task.min_target_fraction * n_known

"""A run on pictures as a registered model serves it: the bytes of a file in, those of files out."""

from pathlib import Path
from tempfile import TemporaryDirectory

from segtrans.config.runs import Run
from segtrans.digests import file_sha256
from segtrans.methods.weights import load_method
from segtrans.predict.picture_files import PicturePrediction, encoded
from segtrans.predict.picture_list import PictureFiles
from segtrans.predict.picture_stream import Loaded, Networks, through
from segtrans.predict.prepared import preparation_of_pictures, read_finite_image
from segtrans.predict.several import place_of
from segtrans.sources.image_folder.fitting import Fitting

DOUBT = "doubt"  # column of the answer
NEEDED = ("imagecodecs", "pillow", "tifffile")  # beside what every model needs


class PictureSegmenter:
    """Segments pictures of any size with the best weights of a run, on the CPU.

    Args:
        run: on pictures.

    Raises:
        UserError: the run is of another task, or its weights are damaged.
    """

    def __init__(self, run: Run) -> None:
        self._prepared, self._pathologies = preparation_of_pictures(run), run.config.maps
        self._task = self._prepared.definition
        self._networks = Networks(load_method(run, which="best"), with_translation=False)

    def segment(self, content: bytes, threshold: float) -> dict[str, bytes | float | str]:
        """What `segtrans predict` writes of a picture, and says of it in its table.

        Args:
            content: of the picture's file, in any format that is read; one file for all channels.
            threshold: probability above which a pixel is segmented.

        Returns:
            mask and probability, PNG in the picture's own size; max_probability and score: as
            `columns_of` calls them, of each of several pathologies; and doubt, why the run may
            not be made for a picture of this type, else empty.

        Raises:
            UserError: it is no such picture.
        """
        with TemporaryDirectory() as folder:
            file = Path(folder) / "picture"
            file.write_bytes(content)
            picture = read_finite_image((file,), self._task)
            files, sources = PictureFiles("picture", "picture", (file,)), (file_sha256(file),)
        fitting = Fitting((picture.shape[0], picture.shape[1]), self._task)
        loaded = Loaded(files, sources, picture, fitting, fitting.views(picture))
        ((_, maps),) = through(self._networks, [loaded])
        predicted = PicturePrediction.of(
            picture,
            [fitting.joined(of_views) for of_views in maps],
            threshold=threshold,
            pathologies=self._pathologies,
        )
        files_of = {kind: encoded(kind, predicted, self._task) for kind in ("mask", "probability")}
        answer: dict[str, bytes | float | str] = {}
        for name, seen in predicted.seen.items():
            values: tuple[bytes | float, ...] = (
                *(files_of[kind][place_of(kind, name, "{}.png")] for kind in files_of),
                float(seen.probability.max()),
                seen.score(self._task.min_target_fraction),
            )
            answer |= dict(zip(columns_of(name), values, strict=True))
        type_ = picture.dtype.name
        doubt = self._prepared.doubt_of(type_)
        return answer | {DOUBT: f"the picture holds {type_}, and {doubt}" if doubt else ""}


def columns_of(pathology: str = "") -> tuple[str, ...]:
    """What the answer has of one of several pathologies, or of a single target."""
    behind = f"_{pathology}" if pathology else ""
    return tuple(f"{what}{behind}" for what in ("mask", "probability", "max_probability", "score"))

"""A run on pictures as a registered model serves it: the bytes of a file in, those of files out."""

from pathlib import Path
from tempfile import TemporaryDirectory

from segtrans.config.runs import Run
from segtrans.digests import file_sha256
from segtrans.methods.weights import load_method
from segtrans.predict.picture_files import PicturePrediction, encoded
from segtrans.predict.picture_list import PictureFiles
from segtrans.predict.picture_stream import Loaded, Networks, through
from segtrans.predict.prepared import read_finite_image, task_of_pictures
from segtrans.sources.image_folder.fitting import Fitting

NEEDED = ("imagecodecs", "pillow", "tifffile")  # beside what every model needs


class PictureSegmenter:
    """Segments pictures of any size with the best weights of a run, on the CPU.

    Args:
        run: on pictures.

    Raises:
        UserError: the run is of another task, or its weights are damaged.
    """

    def __init__(self, run: Run) -> None:
        self._task = task_of_pictures(run)
        self._networks = Networks(load_method(run, which="best"), with_translation=False)

    def segment(self, content: bytes, threshold: float) -> dict[str, bytes | float]:
        """What `segtrans predict` writes of a picture, and says of it in its table.

        Args:
            content: of the picture's file, in any format that is read; one file for all channels.
            threshold: probability above which a pixel is segmented.

        Returns:
            mask and probability, PNG in the picture's own size; max_probability and score.

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
        ((_, (maps,)),) = through(self._networks, [loaded])
        predicted = PicturePrediction(picture, fitting.joined(maps))
        mask = predicted.mask(threshold)
        files_of = {
            kind: encoded(kind, predicted, mask, self._task)[1] for kind in ("mask", "probability")
        }
        return files_of | {
            "max_probability": float(predicted.probability.max()),
            "score": predicted.score(self._task.min_target_fraction),
        }

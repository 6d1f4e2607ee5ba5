"""How the images of a run were prepared, and how to read others in the same way."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from segtrans.config.refusals import validate
from segtrans.config.runs import Run
from segtrans.errors import UserError
from segtrans.sources.image_folder.intensities import check_values
from segtrans.sources.image_folder.reading import read_image
from segtrans.tasks.image_folder import ImageFolder
from segtrans.tasks.scan_folder import ScanFolder

# What the type of a picture's values decides, by mode of intensity; by others nothing.
_BY_TYPE = {
    "dtype": "1 is the largest number of each type, so the same scene may be brighter or darker",
    "window": "low and high are taken as they are, though they may mean something else there",
}
_Length = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class PicturePreparation(BaseModel):
    """How pictures became images.

    Attributes:
        definition: the whole task.
        type: of the pictures' values; None of runs that do not say it.
    """

    model_config = ConfigDict(strict=True)
    definition: ImageFolder
    type: str | None = None

    def doubt_of(self, type_: str) -> str | None:
        """Why a run may not be made for pictures of a type, the end of a sentence; or None."""
        intensity = self.definition.intensity.mode
        if self.type in (None, type_) or intensity not in _BY_TYPE:
            return None
        return f"the run was trained on {self.type}: {_BY_TYPE[intensity]}; save them as those were"


class ScanPreparation(BaseModel):
    """How scans became images.

    Attributes:
        definition: the whole task.
        spacing_mm: of columns, rows and slices, to which scans are resampled.
    """

    model_config = ConfigDict(strict=True)
    definition: ScanFolder
    spacing_mm: tuple[_Length, _Length, _Length]


def task_of_pictures(run: Run) -> ImageFolder:
    """The whole task that a run's pictures were prepared by.

    Raises:
        UserError: as `preparation_of_pictures`.
    """
    return preparation_of_pictures(run).definition


def preparation_of_pictures(run: Run) -> PicturePreparation:
    """What a run's pictures were prepared by.

    Raises:
        UserError: the run was not trained on pictures.
    """
    if not run.has_pictures:
        is_of_scans = run.config.definition.has_patients
        why = "which reads scans: give --case" if is_of_scans else "whose images are synthetic"
        raise UserError(
            f"{run.folder}: a run of task {run.config.task}, {why}; expected one on pictures in a "
            "folder"
        )
    origin = f"{run.folder / 'run.json'}, data.parameters"
    return validate(PicturePreparation, run.record.data.parameters, origin=origin)


def preparation_of_scans(run: Run) -> ScanPreparation:
    """What a run's scans were prepared by.

    Raises:
        UserError: the run's data do not say it.
    """
    origin = f"{run.folder / 'run.json'}, data.parameters"
    return validate(ScanPreparation, run.record.data.parameters, origin=origin)


def read_finite_image(files: tuple[Path, ...], task: ImageFolder) -> NDArray[Any]:
    """A picture (H, W, C) in the type of its files.

    Raises:
        UserError: it cannot be read, has other channels, or holds values that are no numbers, or
            none that the run's intensity takes.
    """
    picture = read_image(files, task.channels)
    if picture.dtype.kind == "f" and not np.isfinite(picture).all():
        raise UserError(f"{files[0]}: holds values that are no numbers; put 0 there")
    try:
        check_values(picture, task.intensity)
    except UserError as error:
        raise UserError(f"{files[0]}: {error}; save it with values as the run's own have") from None
    return picture

"""How the images of a run were prepared, and how to read others in the same way."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from segtrans.config.refusals import validate
from segtrans.config.runs import Run
from segtrans.errors import UserError
from segtrans.sources.image_folder.reading import read_image
from segtrans.tasks.image_folder import ImageFolder
from segtrans.tasks.scan_folder import ScanFolder

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
        UserError: it cannot be read, has other channels, or holds values that are no numbers.
    """
    picture = read_image(files, task.channels)
    if picture.dtype.kind == "f" and not np.isfinite(picture).all():
        raise UserError(f"{files[0]}: holds values that are no numbers; put 0 there")
    return picture

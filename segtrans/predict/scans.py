"""Segment and translate one patient's scan with a trained run, in the scan's own geometry."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from segtrans.config.refusals import validate
from segtrans.config.runs import Run, read_run
from segtrans.errors import UserError
from segtrans.methods.weights import load_method
from segtrans.predict.case_files import OVERVIEW, file_names, volumes_of
from segtrans.predict.files import all_or_none, check_output
from segtrans.predict.network_of_cases import predict
from segtrans.predict.overview import Drawn, overview_figure
from segtrans.sources.brats.half_slices import brain_of
from segtrans.sources.scans.cases import PHANTOM, CaseFiles, find_case
from segtrans.sources.scans.volumes import Case, read_case

_SPACING_TOLERANCE = 0.02  # of the training's
_Size = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


def predict_cases(
    run_folder: Path, case_paths: Sequence[Path], output: Path, *, threshold: float
) -> Iterator[Path]:
    """Write segmentation, translation and residual as NIfTI, and an overview as PNG.

    Of several pathologies that the run tells apart, each has files of its own, by its name.

    Every slice with any brain is segmented, also those that training leaves out. Cases are read
    one after the other, and never live together.

    Args:
        run_folder: a run of task brats.
        case_paths: of each case its folder in any supported layout, or a 4D file.
        output: folder to write to.
        threshold: probability above which a voxel is segmented, as label 1.

    Yields:
        The files written, once all of a case are; beside them lies the list of
        `segtrans.predict.files`.

    Raises:
        UserError: the run is of another task or damaged, the case is bad, or the output lies in the
            run folder, is the case's own folder or holds files of these names that this command did
            not write; nothing is left of that case in the output then.
    """
    run = _run_of_patients(run_folder, output)
    prepared = _preparation(run)
    cases = [find_case(path) for path in case_paths]
    for found in cases:
        check_output(output, found, list(file_names(found.case_id, run.config.maps).values()))
    method = load_method(run, which="best")
    for found in cases:
        yield from _predict_case(run, prepared, method, found, output, threshold)


def _predict_case(
    run: Run,
    prepared: "_Preparation",
    method: nn.Module,
    found: CaseFiles,
    output: Path,
    threshold: float,
) -> list[Path]:
    pathologies = run.config.maps
    names = file_names(found.case_id, pathologies)
    check_output(output, found, list(names.values()))  # another one may have its id
    case = read_case(found, with_mask=False)
    doubts = _doubts(run, prepared, case)
    for doubt in doubts:
        print(f"segtrans: warning: {found.case_id}: {doubt}", file=sys.stderr)
    made = predict(
        method,
        case,
        grid=run.config.definition.image_size if _is_of_volumes(run) else None,
        normalisation=prepared.normalisation,
        mirror_right=prepared.mirror_right,
        neighbours=run.config.neighbours,
        pathologies=pathologies,
    )
    masks = {name: (of > threshold).astype(np.uint8) for name, of in made.probabilities.items()}
    with all_or_none(output, found, list(names.values())) as folder:
        for key, geometry, volume in volumes_of(case, made, masks):
            geometry.save(volume, folder / names[key], dtype=volume.dtype)
        written = [name for name in names.values() if (folder / name).exists()]
        overview_figure(
            Drawn(case.sequences, brain_of(case.sequences), made, masks),
            folder / names[OVERVIEW],
            title=_title(run, case),
            notes=[*doubts, *case.notes],
        )
    return [output / name for name in (*written, names[OVERVIEW])]


class _Preparation(BaseModel):
    """How the run's own data were prepared; and their grid, where the data say it."""

    model_config = ConfigDict(strict=True)
    normalisation: Literal["per_sequence", "joint"]
    mirror_right: bool
    spacing_mm: tuple[_Size, _Size, _Size] | None = None
    volume_shape: tuple[_Size, _Size, _Size] | None = None


def _run_of_patients(folder: Path, output: Path) -> Run:
    run = read_run(folder)
    if run.has_scans:
        raise UserError(f"{folder}: a run on a folder of scans: give --input instead of --case")
    if not (run.config.definition.has_patients or _is_of_volumes(run)):
        raise UserError(
            f"{folder}: a run of task {run.config.task}; expected one of brats, which reads scans"
        )
    if output.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{output}: lies in the run folder {folder}; expected another folder for the output"
        )
    return run


def _is_of_volumes(run: Run) -> bool:
    return len(run.config.definition.image_size) == 3


def _preparation(run: Run) -> _Preparation:
    origin = f"{run.folder / 'run.json'}, data.parameters"
    try:
        return validate(_Preparation, run.record.data.parameters, origin=origin)
    except UserError as error:
        raise UserError(f"{error}; make the data set with them and train again") from None


def _doubts(run: Run, prepared: _Preparation, case: Case) -> list[str]:
    """Why the run may not be made for this scan, a sentence each."""
    doubts: list[str] = []
    # Runs of earlier versions say it in the sentence on their source alone.
    has_phantoms = run.has_phantoms or "phantoms" in run.record.data.source
    if has_phantoms and not case.files.case_id.startswith(PHANTOM):
        doubts.append(
            "the run was trained on synthetic phantoms: on a real scan it shows that the pipeline "
            "works, but finds no lesion reliably"
        )
    spacing, shape = case.geometry.spacing_mm, next(iter(case.sequences.values())).shape
    if prepared.spacing_mm is None or prepared.volume_shape is None:
        missing = "spacing_mm" if prepared.spacing_mm is None else "volume_shape"
        return [*doubts, f"the run does not say which {missing} it was trained on"]
    # Half-volumes have a grid of their own: more slices on it are another scale.
    n_compared = len(run.config.definition.image_size)
    trained_spacing, trained_shape = prepared.spacing_mm, prepared.volume_shape[:n_compared]
    if not np.allclose(spacing, trained_spacing, rtol=_SPACING_TOLERANCE, atol=0):
        doubts.append(
            f"voxels of {_listed(spacing)} mm; the run was trained on {_listed(trained_spacing)} "
            "mm: resample the scan"
        )
    if list(shape[:n_compared]) != list(trained_shape):
        what = "volumes" if _is_of_volumes(run) else "slices"
        doubts.append(
            f"{what} of {_listed(shape[:n_compared])} voxels; the run was trained on "
            f"{_listed(trained_shape)}: crop or pad the scan"
        )
    return doubts


def _listed(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)


def _title(run: Run, case: Case) -> str:
    return f"{case.files.case_id}: {run.method_name}, {run.config.training.iterations:,} iterations"

"""Segment and translate one patient's scan with a trained run, in the scan's own geometry."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from tqdm import tqdm

from segtrans.config.refusals import validate
from segtrans.config.runs import Run, read_run
from segtrans.data.beside import beside
from segtrans.errors import UserError
from segtrans.methods.asked_again import inference
from segtrans.methods.inference import (
    Translates,
    device_of,
    removal,
    segmented_maps,
    target_probability,
)
from segtrans.methods.weights import load_method
from segtrans.predict.case_files import OVERVIEW, file_names, volumes_of
from segtrans.predict.files import all_or_none, check_output
from segtrans.predict.made import Made
from segtrans.predict.overview import Drawn, overview_figure
from segtrans.sources.brats.half_slices import (
    Intensities,
    Volumes,
    brain_of,
    half,
    intensities_of,
    normalised,
)
from segtrans.sources.brats.half_volumes import enlarged, reduced_images
from segtrans.sources.intensity import Z_SCORE_SCALE
from segtrans.sources.scans.cases import PHANTOM, CaseFiles, find_case
from segtrans.sources.scans.volumes import Case, read_case
from segtrans.tasks.sides import SIDES

_BATCH_SIZE = 8
_SPACING_TOLERANCE = 0.02  # of the training's
_Size = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
_MIN_SIZE = 64  # pixels a side that the networks of tables 5 to 7 can halve and reflect


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


def predict(
    method: nn.Module,
    case: Case,
    *,
    grid: tuple[int, ...] | None = None,
    normalisation: str,
    mirror_right: bool,
    neighbours: int = 0,
    pathologies: tuple[str, ...] = (),
) -> Made:
    """Run a method on all half-slices with brain, or on both half-volumes.

    Args:
        method: in evaluation mode.
        case: the scan.
        grid: voxels of the half-volumes that the method sees; None: it sees half-slices.
        normalisation: as in the data that the method was trained on.
        mirror_right: as in the data that the method was trained on.
        neighbours: half-slices on either side of each that the method sees with it.
        pathologies: names of several that the method tells apart.

    Returns:
        Volumes (X, Y, Z) in LPS orientation, 0 outside of the brain.

    Raises:
        UserError: a sequence has one value everywhere in the brain.
    """
    volumes, names = case.sequences, pathologies or ("",)
    brain = brain_of(volumes)
    intensities = intensities_of(
        volumes, brain, normalisation=normalisation, case_id=case.files.case_id
    )
    translates = isinstance(method, Translates)
    made = Made(
        {name: _background(brain) for name in names},
        {sequence: _background(brain) for sequence in volumes if translates},
        {name: {of: _background(brain) for of in volumes if translates} for name in names},
    )
    with inference(method):
        for side, slices in tqdm(list(_blocks(brain, grid)), unit="block", disable=None):
            mirror = mirror_right and side == "right"
            seen = beside(slices, brain.shape[2], neighbours).ravel()
            z_scores = normalised(
                volumes, brain, intensities, side=side, slices=seen, mirror=mirror
            )
            x = _as_seen(z_scores, len(slices), grid).to(device_of(method))
            place = _Place(half(brain, side)[slices], side, slices, mirror)
            maps = segmented_maps(method, x)
            of_each = maps.unbind(dim=1) if pathologies else [target_probability(method, maps)]
            for volume, values in zip(made.probabilities.values(), of_each, strict=True):
                place.put(volume, values)
            if translates:
                x_PA, taken = removal(method, x)
                _put_intensities(place, made.translation, x_PA, intensities, is_difference=False)
                deltas = taken.unbind(dim=1) if pathologies else [taken]
                for of, delta_PA in zip(made.residuals.values(), deltas, strict=True):
                    _put_intensities(place, of, delta_PA, intensities, is_difference=True)
    return made


def _background(brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Zeros (X, Y, Z) like the brain; each slice lies in one piece, as it is written."""
    return np.zeros(brain.shape[::-1], np.float32).transpose(2, 1, 0)


@dataclass(frozen=True)
class _Place:
    """Where a block of half-slices lies in its volume, and which of its pixels are brain."""

    shown: NDArray[np.bool_]
    side: str
    slices: NDArray[np.int64]
    is_mirrored: bool

    def put(self, volume: NDArray[np.float32], values: Tensor) -> None:
        """Write half-slices (n, H, W) back where they come from, the brain's voxels alone.

        Or one half-volume (1, D, H, W), enlarged from its grid to all slices of the scan.
        """
        array = values.float().cpu().numpy()
        if values.ndim == 4:
            array = enlarged(array[0], self.shown.shape)
        _, height, width = self.shown.shape
        array = array[:, :height, :width]
        if self.is_mirrored:
            array = array[..., ::-1]
        half(volume, self.side)[self.slices] = np.where(self.shown, array, np.float32(0))


def _as_seen(z_scores: NDArray[np.float16], n_slices: int, grid: tuple[int, ...] | None) -> Tensor:
    """Half-slices with their neighbours as channels, or one half-volume, in [-1, 1]."""
    if grid is not None:
        z_scores = reduced_images(z_scores, grid)[None]
    x = (torch.from_numpy(z_scores).float() * Z_SCORE_SCALE).clamp_(-1, 1)
    if grid is not None:
        return x
    x = _padded(x)
    return x.view(n_slices, -1, *x.shape[2:])


def _padded(x: Tensor) -> Tensor:
    """Images (n, C, H, W) with background below and beside, where they are too small to reflect."""
    missing = [max(0, _MIN_SIZE - size) for size in x.shape[:1:-1]]
    return nn.functional.pad(x, (0, missing[0], 0, missing[1]))


def _put_intensities(
    place: _Place,
    volumes: Volumes,
    x: Tensor,
    intensities: Intensities,
    *,
    is_difference: bool,
) -> None:
    """Write images (n, C, H, W) in [-1, 1] back in the scan's own units."""
    for channel, (name, volume) in enumerate(volumes.items()):
        z_score = x[:, channel] / Z_SCORE_SCALE
        centre = 0.0 if is_difference else intensities.mean[name]
        place.put(volume, z_score * intensities.sd[name] + centre)


def _blocks(
    brain: NDArray[np.bool_], grid: tuple[int, ...] | None
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Slices with brain, some at a time, side by side; of half-volumes all slices at once."""
    for side in SIDES:
        if grid is not None:
            yield side, np.arange(brain.shape[2])
            continue
        slices = np.flatnonzero(half(brain, side).any(axis=(1, 2)))
        for start in range(0, len(slices), _BATCH_SIZE):
            yield side, slices[start : start + _BATCH_SIZE]


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

"""Read the volumes of a case in one orientation, with a background that is exactly 0.

Whatever the stored axis order, arrays are (X, Y, Z) in LPS orientation: X grows to the patient's
left, Y to the back, Z to the top, as BraTS stores them. Axes are turned, never resampled: of an
oblique scan each takes the nearest direction.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.scans.case_names import MSD, MSD_SEQUENCES, SEQUENCES
from segtrans.sources.scans.case_tables import check_labels
from segtrans.sources.scans.cases import CaseFiles
from segtrans.sources.scans.duplicates import fingerprints
from segtrans.sources.scans.geometry import Geometry, geometry_of
from segtrans.sources.scans.masks import classes_of
from segtrans.sources.scans.nifti import Nifti, read_nifti

_AFFINE_TOLERANCE = 1e-3  # mm
_STEP_TOLERANCE = 1e-3  # of a step: float32 makes of one step a little more
# An extracted brain fills about half of the box around it.
_LARGEST_BRAIN = 0.9
_LARGEST_SHARE = 0.2  # of the brain's voxels that one value may have in every sequence
_SAMPLE = 20_000  # voxels that are looked at for it
# The corners of a volume are empty even where the box is tight around an extracted brain.
_CORNER = 16  # part of each axis that makes a corner
_FILLED_CORNER = 0.01  # of its voxels: scattered noise of the air is not in every voxel
_MOST_FILLED = 3  # corners; more is a scan with its air
# A lesion lies in the brain, and fills a third of it at most.
_MOST_OUTSIDE = 0.5  # of its voxels
_FEW_OUTSIDE = 0.02  # at a rim that was cut by the extraction
_LARGEST_LESION = 0.9  # of the brain's voxels
_LARGEST_LITRES = 3.0  # a brain with all its fluid has 1 to 2, a whole head 3.5 to 5


@dataclass(frozen=True)
class Case:
    """A patient's scan in memory.

    Attributes:
        files: where it comes from.
        sequences: by name, in channel order, (X, Y, Z) in LPS orientation; as stored, or float32
            where the file scales; the background is 0.
        mask: (X, Y, Z) uint8: 0 background, 1 necrotic or non-enhancing core, 2 oedema,
            3 enhancing, and more of white-matter lesions (`segtrans.sources.scans.masks`); None
            when it was not asked for.
        label_convention: which stored labels those were; None when the mask does not tell.
        geometries: of the files, by sequence.
        notes: what was guessed or chosen, a sentence each.
    """

    files: CaseFiles
    sequences: dict[str, NDArray[Any]]
    mask: NDArray[np.uint8] | None
    label_convention: str | None
    geometries: dict[str, Geometry]
    notes: tuple[str, ...]

    @property
    def geometry(self) -> Geometry:
        """That of the first sequence; the others lie at the same place."""
        return self.geometries[SEQUENCES[0]]


def read_case(
    files: CaseFiles, *, with_mask: bool, label_classes: Sequence[int] | None = None
) -> Case:
    """Read the four sequences of a case, and its mask if asked for.

    What was guessed or chosen is said on stderr.

    Args:
        files: of the case.
        with_mask: read the mask as well.
        label_classes: class of the mask's labels 1, 2, 3... in turn; None: as the layout has them.

    Raises:
        UserError: a file is missing, truncated, no NIfTI, or not of three dimensions (four in the
            Decathlon's layout); nobody knows where it lies; shapes or affines disagree; a voxel is
            NaN, infinite or beyond 1e30; there is no brain, no background or a whole head; a label
            is unknown, or the lesion lies outside the brain or is most of it.
    """
    notes: dict[str, list[str]] = {}
    if files.layout == MSD:
        path = files.sequences["t1"]
        whole = read_nifti(path, n_axes=4)
        geometries = dict.fromkeys(SEQUENCES, _geometry(whole, "its scan", path, notes))
        n_volumes = whole.voxels.shape[3]
        if n_volumes != len(MSD_SEQUENCES):
            raise UserError(
                f"{path}: {n_volumes} volumes along the last axis; expected "
                f"{len(MSD_SEQUENCES)}: {', '.join(MSD_SEQUENCES)}"
            )
        steps = dict.fromkeys(SEQUENCES, whole.step)
        volumes = {name: whole.voxels[..., MSD_SEQUENCES.index(name)] for name in SEQUENCES}
    else:
        read = {name: read_nifti(path, n_axes=3) for name, path in files.sequences.items()}
        geometries = {
            name: _geometry(read[name], name, files.sequences[name], notes) for name in SEQUENCES
        }
        first = SEQUENCES[0]
        for name in SEQUENCES:
            _check_alike(
                geometries[first], geometries[name], files.sequences[first], files.sequences[name]
            )
        steps = {name: read[name].step for name in SEQUENCES}
        volumes = {name: read[name].voxels for name in SEQUENCES}
    volumes = _with_exact_background(volumes, steps)
    voxel_mm3 = math.prod(geometries[SEQUENCES[0]].spacing_mm)
    _check_background(volumes, files.case_id, notes, voxel_mm3=voxel_mm3)
    sequences = {name: geometries[name].to_lps(volume) for name, volume in volumes.items()}
    _note_copies(sequences, notes)
    mask, convention = None, None
    if with_mask:
        mask, convention = _read_mask(files, geometries[SEQUENCES[0]], label_classes, notes)
        _check_lesion(mask != 0, sequences, files, notes)
    said = tuple(f"{', '.join(names)}: {note}" for note, names in notes.items())
    for note in said:
        print(f"segtrans: warning: {files.case_id}: {note}", file=sys.stderr)
    return Case(files, sequences, mask, convention, geometries, said)


def _note_copies(sequences: Mapping[str, NDArray[Any]], notes: dict[str, list[str]]) -> None:
    note = "hold the same intensities; expected two sequences: was a file copied by mistake?"
    for pair in combinations(prints := fingerprints(sequences), 2):
        if prints[pair[0]] == prints[pair[1]]:
            notes.setdefault(note, []).extend(pair)


def _geometry(read: Nifti, name: str, path: Path, notes: dict[str, list[str]]) -> Geometry:
    geometry, said = geometry_of(read.header, path)
    for note in said:
        notes.setdefault(note, []).append(name)
    return geometry


def _with_exact_background(
    volumes: dict[str, NDArray[Any]], steps: Mapping[str, float]
) -> dict[str, NDArray[Any]]:
    """Volumes that are 0 where each is, within one step of its stored type.

    Whole numbers with a slope and an intercept (z-scores, as many store them) need not have a 0:
    the background becomes what lies nearest. One sequence alone may cross 0 within the brain.
    """
    if not any(steps.values()):
        return volumes
    is_background = np.logical_and.reduce(
        [
            np.abs(volume) <= steps[name] * (1 + _STEP_TOLERANCE) if steps[name] else volume == 0
            for name, volume in volumes.items()
        ]
    )
    return {
        name: np.where(is_background, volume.dtype.type(0), volume)
        for name, volume in volumes.items()
    }


def _check_background(
    volumes: dict[str, NDArray[Any]],
    case_id: str,
    notes: dict[str, list[str]],
    *,
    voxel_mm3: float,
) -> None:
    """What is not 0 counts as brain: refuse a case of none, a whole head or no background."""
    brain = np.logical_or.reduce([volume != 0 for volume in volumes.values()])
    if not brain.any():
        raise UserError(
            f"{case_id}: every voxel of every sequence is zero; expected a brain on a zero "
            "background; take the case out or mend its files"
        )
    filled = _filled_corners(brain)
    share, litres = np.count_nonzero(brain) / brain.size, np.count_nonzero(brain) * voxel_mm3 / 1e6
    expected = "expected an extracted brain on a background of 0; extract the brain (skull-strip)"
    if filled > _MOST_FILLED or share > _LARGEST_BRAIN:
        of_each = ", ".join(
            f"{_filled_corners(volume != 0)} of {name}" for name, volume in volumes.items()
        )
        values = ", ".join(
            f"{name} {float(volume[0, 0, 0]):.4g}" for name, volume in volumes.items()
        )
        raise UserError(
            f"{case_id}: {share:.0%} of the voxels are not 0 and would count as brain, {filled} of "
            f"8 corners among them ({of_each}; the first voxel has {values}); {expected}, or set "
            "the background to 0"
        )
    if litres > _LARGEST_LITRES:
        raise UserError(
            f"{case_id}: {litres:.2g} litres are not 0 and would count as brain, which has 1 to 2; "
            f"{expected}, or mend the voxel size in the headers"
        )
    _check_varied(volumes, brain, case_id)
    if filled:
        note = f"{filled} of 8 corners are not 0 and count as brain; expected a background of 0"
        notes.setdefault(note, []).append("its scan")


def _filled_corners(is_set: NDArray[np.bool_]) -> int:
    """How many of the 8 corners of (X, Y, Z) are not empty, a few stray voxels aside."""
    sizes = [max(1, size // _CORNER) for size in is_set.shape]
    corners = product(*((slice(None, size), slice(-size, None)) for size in sizes))
    return sum(bool(is_set[corner].mean() > _FILLED_CORNER) for corner in corners)


def _check_varied(volumes: dict[str, NDArray[Any]], brain: NDArray[np.bool_], case_id: str) -> None:
    """Refuse what has one value in much of what would count as brain, in every sequence.

    Such is a background that is not 0, within a frame of zeros that hides it from the corners.
    """
    inside = np.flatnonzero(brain.ravel())
    sample = inside[:: max(1, len(inside) // _SAMPLE)]
    shares, values = [], []
    for name, volume in volumes.items():
        found, counts = np.unique(volume.ravel()[sample], return_counts=True)
        shares.append(counts.max() / len(sample))
        values.append(f"{name} {float(found[counts.argmax()]):.4g}")
    if min(shares) > _LARGEST_SHARE:
        raise UserError(
            f"{case_id}: at least {min(shares):.0%} of the voxels that are not 0 have one value "
            f"({', '.join(values)}), as a background has; expected an extracted brain on a "
            "background of 0; set the background to 0"
        )


def _check_alike(geometry: Geometry, other: Geometry, first: Path, path: Path) -> None:
    expected, shape = (one.header.get_data_shape()[:3] for one in (geometry, other))
    if shape != expected:
        raise UserError(
            f"{path}: has the shape {shape}, {first.name} has {expected}; expected one "
            "for the whole case; register the scans to each other"
        )
    if not np.allclose(other.affine, geometry.affine, atol=_AFFINE_TOLERANCE):
        off = float(np.nanmax(np.abs(other.affine - geometry.affine)))
        raise UserError(
            f"{path}: its affine differs from that of {first.name} by up to {off:.3g}; expected "
            "one for the whole case; register the scans to each other"
        )


def _read_mask(
    files: CaseFiles,
    geometry: Geometry,
    label_classes: Sequence[int] | None,
    notes: dict[str, list[str]],
) -> tuple[NDArray[np.uint8], str | None]:
    if files.mask is None:
        raise UserError(f"{files.case_id}: has no mask; a case to train on needs one")
    read = read_nifti(files.mask, n_axes=3)
    own = _geometry(read, "mask", files.mask, notes)
    _check_alike(geometry, own, files.sequences[SEQUENCES[0]], files.mask)
    if files.layout == MSD and label_classes is None:
        check_labels(files.mask.parent.parent)
    mask, convention = classes_of(read.voxels, files.mask, files.layout, label_classes)
    return own.to_lps(mask), convention


def _check_lesion(
    lesion: NDArray[np.bool_],
    sequences: Mapping[str, NDArray[Any]],
    files: CaseFiles,
    notes: dict[str, list[str]],
) -> None:
    """Refuse a lesion that lies elsewhere than in the brain, or is the brain itself."""
    brain = np.logical_or.reduce([volume != 0 for volume in sequences.values()])
    n_lesion, n_inside = int(np.count_nonzero(lesion)), int(np.count_nonzero(lesion & brain))
    share = (n_lesion - n_inside) / n_lesion if n_lesion else 0.0
    said = f"{share:.0%} of the lesion of case {files.case_id} lies outside the brain"
    remedy = "expected the labels of a lesion on the grid of the scan; mend the mask"
    if share > _MOST_OUTSIDE:
        raise UserError(f"{files.mask}: {said}; {remedy}")
    if n_inside > _LARGEST_LESION * np.count_nonzero(brain):
        of_brain = n_inside / np.count_nonzero(brain)
        raise UserError(
            f"{files.mask}: the lesion of case {files.case_id} is {of_brain:.0%} of the brain, as "
            f"a mask of the brain itself would be; {remedy}"
        )
    if share > _FEW_OUTSIDE:
        notes.setdefault(f"{said}; {remedy}", []).append("mask")

"""From a patient's volumes to half-volumes of P and A, on a coarser grid.

A half is (Z, Y, X / 2) as in `half_slices`; each voxel of the grid is the mean of what it covers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize, resize_local_mean

from segtrans.errors import UserError
from segtrans.sources.brats.half_slices import (
    Volumes,
    brain_of,
    half,
    intensities_of,
    normalised,
)
from segtrans.tasks.half_volumes import HalfVolumes
from segtrans.tasks.parameters import HalfSliceRules
from segtrans.tasks.sides import SIDES

_LEAST_SHARE = 0.5  # of a voxel that is brain, or lesion, to count as such


@dataclass(frozen=True)
class HalfVolume:
    """One half of a brain.

    Attributes:
        side: of SIDES.
        domain: present, absent, or neither: with too little lesion.
        image: (C, D, H, W) float16, means of z-scores of the brain; the background is 0.
        mask: (D, H, W) uint8, 1 where at least half of a voxel is lesion, of any class.
    """

    side: str
    domain: str
    image: NDArray[np.float16]
    mask: NDArray[np.uint8]


def make_half_volumes(
    volumes: Volumes,
    mask: NDArray[np.uint8],
    rules: HalfSliceRules,
    task: HalfVolumes,
    *,
    case_id: str,
) -> list[HalfVolume]:
    """Both halves of a patient.

    A half is of A if it has no lesion at all in the scan, and of P if the lesion is
    `min_lesion_fraction` of its brain, and a voxel, on the reduced grid.

    Args:
        volumes: (X, Y, Z) in LPS orientation by sequence, in channel order.
        mask: (X, Y, Z), 0 is background.
        rules: how intensities are normalised, and whether right halves are mirrored.
        task: says the grid.
        case_id: names the patient in errors.

    Raises:
        UserError: the scan has fewer voxels than the grid, or a sequence has one value everywhere
            in the brain.
    """
    brain, size = brain_of(volumes), task.image_size
    _check_size(half(brain, SIDES[0]).shape, task, case_id)
    intensities = intensities_of(volumes, brain, normalisation=rules.normalisation, case_id=case_id)
    made = []
    for side in SIDES:
        mirror = rules.mirror_right and side == "right"
        lesion = half(mask, side) != 0
        on_grid = reduced(lesion[..., ::-1] if mirror else lesion, size) >= _LEAST_SHARE
        n_brain = int((reduced(half(brain, side), size) >= _LEAST_SHARE).sum())
        n_lesion, domain = int(on_grid.sum()), "neither"
        if not lesion.any():
            domain = "absent"
        elif n_lesion >= max(1, task.min_lesion_fraction * n_brain):
            domain = "present"
        slices = np.arange(brain.shape[2])
        z_scores = normalised(volumes, brain, intensities, side=side, slices=slices, mirror=mirror)
        image = reduced_images(z_scores, size)
        made.append(HalfVolume(side, domain, image, on_grid.astype(np.uint8)))
    return made


def reduced_images(z_scores: NDArray[np.float16], size: tuple[int, ...]) -> NDArray[np.float16]:
    """All slices of one half (Z, C, H, W), as `half_slices.normalised`, on a grid (C, D, H, W)."""
    of_channels = [reduced(of, size) for of in z_scores.transpose(1, 0, 2, 3)]
    return np.stack(of_channels).astype(np.float16)


def reduced(half_volume: NDArray[Any], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Means of a half (Z, Y, W) over the voxels of a coarser grid; of a region its shares."""
    means: NDArray[np.float32] = resize_local_mean(
        half_volume.astype(np.float32), size, preserve_range=True
    )
    return means


def enlarged(on_grid: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A map on a coarser grid (D, H, W) at the voxels of a half (Z, Y, W), linear in between."""
    values: NDArray[np.float32] = resize(
        on_grid, shape, order=1, mode="edge", anti_aliasing=False, preserve_range=True
    )
    return values


def _check_size(shape: tuple[int, ...], task: HalfVolumes, case_id: str) -> None:
    if any(n < reduced for n, reduced in zip(shape, task.image_size, strict=True)):
        listed, grid = (" x ".join(map(str, of)) for of in (shape, task.image_size))
        raise UserError(
            f"{case_id}: halves of the scan have {listed} voxels; expected at least depth x height "
            f"x width, {grid}, of the task: choose a coarser grid"
        )

"""A method on one patient's scan: half-slices or half-volumes in, volumes of the scan out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from segtrans.data.beside import beside
from segtrans.methods.asked_again import inference
from segtrans.methods.inference import (
    Translates,
    device_of,
    removal,
    segmented_maps,
    target_probability,
)
from segtrans.predict.made import Made
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
from segtrans.sources.scans.volumes import Case
from segtrans.tasks.sides import SIDES

_BATCH_SIZE = 8
_MIN_SIZE = 64  # pixels a side that the networks of tables 5 to 7 can halve and reflect


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

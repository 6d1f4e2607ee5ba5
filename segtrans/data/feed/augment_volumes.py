"""The random changes of images with an axis more; the paper has no volumes.

The voxel at (s, r, c) of the result, slice, row and column from the centre, is looked up at
A F (s, r, c) + D(s, r, c), where F flips each axis, A rotates axial slices and zooms all axes, and
D is the displacement by the natural cubic spline through 3 x 3 x 3 points.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from segtrans.config.blocks import AugmentationParams
from segtrans.data.feed.resampling import look_up, spline, spline_terms


@dataclass(frozen=True)
class VolumeAugmentation:
    """What was drawn for N volumes.

    Attributes:
        control_points: displacements of the spline's 3 x 3 x 3 points, in voxels, (N, 3, 3, 3, 3)
            float32: slices, rows, columns; the points are first, middle and last of each axis.
        rotation_deg: of axial slices, counter-clockwise as displayed with row 0 on top, (N,).
        zoom: magnification about the centre, (N,); above 1 enlarges.
        shift: added to the brain, (N, C), in the networks' range of [-1, 1].
        flips: whether each axis is flipped, (N, 3) bool.
    """

    control_points: Tensor
    rotation_deg: Tensor
    zoom: Tensor
    shift: Tensor
    flips: Tensor

    def first(self, n: int) -> "VolumeAugmentation":
        """That of the first n volumes."""
        return VolumeAugmentation(*(tensor[:n] for tensor in vars(self).values()))


def draw_volumes(
    n: int, n_channels: int, ranges: AugmentationParams, *, generator: torch.Generator
) -> VolumeAugmentation:
    """Draw for n volumes, on the generator's device; nothing is read back from it."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device)

    normal = torch.randn((n, 3, 3, 3, 3), generator=generator, device=generator.device)
    return VolumeAugmentation(
        control_points=normal * ranges.warp_sd,
        rotation_deg=(2 * uniform(n) - 1) * ranges.rotation_deg,
        zoom=1 + (2 * uniform(n) - 1) * ranges.zoom,
        shift=(2 * uniform(n, n_channels) - 1) * ranges.intensity,
        flips=uniform(n, 3) < (0.5 if ranges.flips else 0.0),
    )


def augment_volumes(x: Tensor, augmentation: VolumeAugmentation) -> Tensor:
    """Resample linearly, shift the brain's intensities, clip; all channels are moved alike.

    Args:
        x: volumes (N, C, D, H, W) float32, not clipped; the background is 0.
        augmentation: drawn for N volumes, on the same device.

    Returns:
        Of the shape of x, float32 in [-1, 1]; the same bits as x where nothing changes.
    """
    moved = _resample(x, augmentation, mode="bilinear")
    is_brain = moved.abs().amax(1, keepdim=True).sign_()
    return moved.addcmul_(is_brain, augmentation.shift[:, :, None, None, None]).clamp_(-1, 1)


def move_masks(y: Tensor, augmentation: VolumeAugmentation) -> Tensor:
    """Labels (L, D, H, W) of the first L of N volumes, moved as these; the nearest label stays."""
    moved = _resample(y[:, None].float(), augmentation.first(len(y)), mode="nearest")
    return moved[:, 0].to(y.dtype)


def _resample(volumes: Tensor, augmentation: VolumeAugmentation, *, mode: str) -> Tensor:
    sizes = volumes.shape[2:]
    terms = [spline_terms(size, volumes.device) for size in sizes]
    coefficients = augmentation.control_points
    for axis, size in enumerate(sizes):
        coefficients = spline(coefficients, size, dim=axis + 2)
    angle = torch.deg2rad(augmentation.rotation_deg)
    cosine, sine = angle.cos() / augmentation.zoom, angle.sin() / augmentation.zoom
    none = torch.zeros_like(cosine)
    rows = [  # of A, for each axis looked up along
        [1 / augmentation.zoom, none, none],
        [none, cosine, sine],
        [none, -sine, cosine],
    ]
    directions = 1 - 2 * augmentation.flips.float()

    def positions(axis: int) -> Tensor:
        found = _spread(coefficients[:, axis], terms) + (sizes[axis] - 1) / 2
        for other, factor in enumerate(rows[axis]):
            slope = (factor * directions[:, other]).view(-1, 1, 1, 1)
            found += slope * _along(terms[other][0], other)
        return found

    return look_up(volumes, positions, mode=mode)


def _spread(coefficients: Tensor, terms: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The values (N, D, H, W) of a spline with coefficients (N, 3, 3, 3), axis by axis.

    Element by element, since matrix products may be rounded to bf16 or TF32.
    """
    values = coefficients
    for axis in (2, 1, 0):
        constant, slope, bend = torch.split(values, 1, dim=axis + 1)
        pixels, curve = (_along(term, axis) for term in terms[axis])
        values = constant + slope * pixels + bend * curve
    return values


def _along(term: Tensor, axis: int) -> Tensor:
    """Values along one of three axes, to be spread over the others and over volumes."""
    shape = [1, 1, 1, 1]
    shape[axis + 1] = -1
    return term.view(shape)

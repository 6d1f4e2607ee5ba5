"""Random changes of training images, drawn first and then applied (appendix A of the paper).

All that moves pixels is one resampling of the whole batch. The pixel at (r, c) of the result,
measured from the centre, is looked up in the image at

    (row, column) = A F (r, c) + D(r, c),

where F flips, A rotates and zooms, and D is the displacement of the spline warp. The three-point
natural cubic spline is a polynomial in 1, r and a curve q(|r|); so is everything else there, and
the whole lookup is one 3 x 3 matrix of coefficients per image and axis.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from segtrans.batch import Batch
from segtrans.config.blocks import AugmentationParams
from segtrans.data.feed.augment_volumes import augment_volumes, draw_volumes, move_masks
from segtrans.data.feed.resampling import look_up, spline, spline_terms


@dataclass(frozen=True)
class Augmentation:
    """What was drawn for N images.

    Attributes:
        control_points: displacements of the spline's 3 x 3 points, in pixels, (N, 2, 3, 3)
            float32: rows, then columns; the points are the image's corners, the middles of its
            edges and its centre. The result looks up its pixel there so much further on.
        rotation_deg: counter-clockwise as displayed with row 0 on top, (N,) float32.
        zoom: magnification about the centre, (N,) float32; above 1 enlarges.
        shift: added to the brain, (N, C) float32, in the networks' range of [-1, 1].
        flip_rows: whether up and down change places, (N,) bool.
        flip_columns: whether left and right change places, (N,) bool.
    """

    control_points: Tensor
    rotation_deg: Tensor
    zoom: Tensor
    shift: Tensor
    flip_rows: Tensor
    flip_columns: Tensor

    def first(self, n: int) -> "Augmentation":
        """That of the first n images."""
        return Augmentation(*(tensor[:n] for tensor in vars(self).values()))


def augment_batch(
    batch: Batch,
    ranges: AugmentationParams,
    *,
    generator: torch.Generator,
    neighbours: int = 0,
) -> Batch:
    """Change every image of a batch, P and A apart, and the masks with their images.

    Args:
        batch: on the generator's device, neither augmented nor clipped; images, or volumes.
        ranges: what may be drawn.
        generator: the only source of randomness; one state gives one result.
        neighbours: slices on either side that images are stacks with; a stack is changed as one.

    Returns:
        A batch of the same shapes and types; images are clipped to [-1, 1].
    """
    if batch.x_P.ndim == 5:
        n_channels = batch.x_P.shape[1]
        of_P = draw_volumes(len(batch.x_P), n_channels, ranges, generator=generator)
        of_A = draw_volumes(len(batch.x_A), n_channels, ranges, generator=generator)
        return Batch.of(
            augment_volumes(batch.x_P, of_P),
            augment_volumes(batch.x_A, of_A),
            move_masks(batch.y, of_P),
        )
    n_channels = batch.x_P.shape[1] // (2 * neighbours + 1)
    for_P = draw_augmentation(len(batch.x_P), n_channels, ranges, generator=generator)
    for_A = draw_augmentation(len(batch.x_A), n_channels, ranges, generator=generator)
    changed = Batch.of(
        augment_images(batch.x_P, for_P),
        augment_images(batch.x_A, for_A),
        augment_masks(batch.y, for_P),
    )
    return replace(changed, t=batch.t, has_mask=batch.has_mask)


def draw_augmentation(
    n: int, n_channels: int, ranges: AugmentationParams, *, generator: torch.Generator
) -> Augmentation:
    """Draw for n images, on the generator's device; nothing is read back from it."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device)

    normal = torch.randn((n, 2, 3, 3), generator=generator, device=generator.device)
    share = 0.5 if ranges.flips else 0.0
    return Augmentation(
        control_points=normal * ranges.warp_sd,
        rotation_deg=(2 * uniform(n) - 1) * ranges.rotation_deg,
        zoom=1 + (2 * uniform(n) - 1) * ranges.zoom,
        shift=(2 * uniform(n, n_channels) - 1) * ranges.intensity,
        flip_rows=uniform(n) < share,
        flip_columns=uniform(n) < share,
    )


def augment_images(x: Tensor, augmentation: Augmentation) -> Tensor:
    """Resample linearly, shift the brain's intensities, clip.

    The brain is what is not 0 in every sequence of the resampled image; the background stays 0. All
    slices of a stack are moved alike, and a sequence is shifted by as much in each.

    Args:
        x: images (N, C, H, W), or stacks of them, float32, not clipped; the background is 0.
        augmentation: drawn for N images, on the same device.

    Returns:
        Of the shape of x, float32 in [-1, 1]; the same bits as x where nothing changes.
    """
    moved = _resample(x, augmentation, mode="bilinear")
    shift = augmentation.shift
    slices = moved.view(len(moved), -1, shift.shape[1], *moved.shape[2:])
    is_brain = slices.abs().amax(2, keepdim=True).sign_()
    slices.addcmul_(is_brain, shift[:, None, :, None, None])
    return moved.clamp_(-1, 1)


def augment_masks(y: Tensor, augmentation: Augmentation) -> Tensor:
    """Move masks as their images are moved; each pixel keeps the nearest label.

    Args:
        y: class labels of the first L of N images, (L, H, W) uint8; L may be 0.
        augmentation: drawn for the N images, on the same device.

    Returns:
        Labels (L, H, W) of the type of y.
    """
    moved = _resample(y[:, None].float(), augmentation.first(len(y)), mode="nearest")
    return moved[:, 0].to(y.dtype)


def _resample(images: Tensor, augmentation: Augmentation, *, mode: str) -> Tensor:
    """Look up every pixel of (N, C, H, W) float32; never in bf16, autocast or not."""
    height, width = images.shape[2:]
    surfaces = _surfaces(augmentation, height, width)
    return look_up(images, lambda axis: _spread(surfaces[:, axis], height, width), mode=mode)


def _surfaces(augmentation: Augmentation, height: int, width: int) -> Tensor:
    """Coefficients of the positions looked up, in pixels from the first: (N, 2, 3, 3).

    By axis looked up along, term of the row, term of the column: see `spline_terms`.
    """
    surfaces = spline(augmentation.control_points, height, dim=2)
    surfaces = spline(surfaces, width, dim=3)
    surfaces[:, 0, 0, 0] += (height - 1) / 2
    surfaces[:, 1, 0, 0] += (width - 1) / 2
    angle = torch.deg2rad(augmentation.rotation_deg)
    cosine, sine = angle.cos() / augmentation.zoom, angle.sin() / augmentation.zoom
    along_rows = 1 - 2 * augmentation.flip_rows.float()
    along_columns = 1 - 2 * augmentation.flip_columns.float()
    surfaces[:, 0, 1, 0] += cosine * along_rows
    surfaces[:, 0, 0, 1] += sine * along_columns
    surfaces[:, 1, 1, 0] -= sine * along_rows
    surfaces[:, 1, 0, 1] += cosine * along_columns
    return surfaces


def _spread(surface: Tensor, height: int, width: int) -> Tensor:
    """The values (N, H, W) of a surface with coefficients (N, 3, 3).

    Element by element, since matrix products may be rounded to bf16 or TF32.
    """
    c, bend_c = spline_terms(width, surface.device)
    lines = surface[:, :, 0, None] + surface[:, :, 1, None] * c + surface[:, :, 2, None] * bend_c
    r, bend_r = (term[:, None] for term in spline_terms(height, surface.device))
    constant, slope, bend = lines[:, :, None].unbind(1)
    return torch.addcmul(constant, slope, r).addcmul_(bend, bend_r)

"""Looking pixels up elsewhere, and the spline that says how far away: of images and of volumes."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def look_up(images: Tensor, positions: Callable[[int], Tensor], *, mode: str) -> Tensor:
    """Each pixel of (N, C, ...) float32 from where it says; never in bf16, autocast or not.

    Args:
        images: with two or three axes.
        positions: gives the place along an axis, from 0, in pixels from the first: (N, ...). Beyond
            the ends it is reflected.
        mode: bilinear, which is also linear along three axes, or nearest.
    """
    sizes = images.shape[2:]
    # grid_sample counts from -1 to 1 across its canvas. Only where that is a power of two of pixels
    # is the scaling exact, so that an image that is not moved keeps all its bits.
    spans = [1 << (size - 2).bit_length() for size in sizes]
    margins = [
        margin
        for span, size in zip(reversed(spans), reversed(sizes), strict=True)
        for margin in (0, span + 1 - size)
    ]
    canvas = F.pad(images, margins, mode="replicate")
    grid = images.new_empty(len(images), *sizes, len(sizes))
    for place, axis in enumerate(reversed(range(len(sizes)))):  # grid_sample has columns first
        along = _reflected(positions(axis), sizes[axis])
        torch.sub(along.mul_(2 / spans[axis]), 1, out=grid[..., place])
    return F.grid_sample(canvas, grid, mode, padding_mode="border", align_corners=True)


def spline(points: Tensor, size: int, *, dim: int) -> Tensor:
    """Coefficients of the natural cubic spline through three points along `dim`."""
    first, middle, last = points.unbind(dim)
    mean = (first + last) / 2
    return torch.stack([middle, (last - first) / max(size - 1, 1), mean - middle], dim)


def spline_terms(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels from the centre, and the spline's curve: 0 at the centre, 1 at both ends; (size,)."""
    centre = (size - 1) / 2
    pixels = torch.arange(size, device=device) - centre
    t = pixels.abs() / max(centre, 0.5)
    return pixels, t * t * (3 - t) / 2


def _reflected(positions: Tensor, size: int) -> Tensor:
    """Positions brought into [0, size - 1] by reflection in both ends, in place."""
    period = 2 * max(size - 1, 1)
    return positions.sub_((positions / period).round_(), alpha=period).abs_()

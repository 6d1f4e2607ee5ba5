"""Smooth random fields, the raw material of every phantom."""

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Box = tuple[slice, slice, slice]

# White noise between cubic B-splines has this sd along one axis: the root of the mean, over all
# offsets from the grid, of the sum of the squared weights.
_SPLINE_SD = (151 / 315) ** 0.5


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], spacing: float) -> Volume:
    """White noise on a coarse grid, cubic B-splines between.

    Args:
        rng: draws the noise and the grid's offset.
        shape: of the field.
        spacing: of the coarse grid, in voxels.

    Returns:
        (*shape) float32, mean 0, sd 1.
    """
    weights = [_spline_weights(size, spacing, rng.uniform()) for size in shape]
    coarse = rng.standard_normal([matrix.shape[1] for matrix in weights], dtype=np.float32)
    return _interpolated(coarse, weights) / np.float32(_SPLINE_SD ** len(shape))


def band_field(rng: np.random.Generator, shape: tuple[int, ...], spacing: float) -> Volume:
    """A smooth field without its slow part, so that its zeros are evenly spread.

    Args:
        rng: draws the noise and the grid's offset.
        shape: of the field.
        spacing: of the coarse grid, in voxels; zeros lie about 1.5 spacings apart.

    Returns:
        (*shape) float32, mean 0.
    """
    weights = [_spline_weights(size, spacing, rng.uniform()) for size in shape]
    coarse = rng.standard_normal([matrix.shape[1] for matrix in weights], dtype=np.float32)
    slow = coarse
    for axis in range(coarse.ndim):
        slow = (np.roll(slow, 1, axis) + slow + np.roll(slow, -1, axis)) / np.float32(3)
    return _interpolated(coarse - slow, weights)


def smoothstep(values: NDArray[np.floating], start: float, end: float) -> Volume:
    """0 at `start` and before it, 1 from `end` on, smooth between; `end` may be the smaller."""
    share = (values - np.float32(start)) / np.float32(end - start)
    t: Volume = np.asarray(np.clip(share, 0, 1), np.float32)
    return t * t * (3 - 2 * t)


def steepness(volume: Volume) -> Volume:
    """Length of the gradient, per voxel, by central differences; 0 at the volume's faces."""
    inner = slice(1, -1)
    squared = np.zeros_like(volume)
    for axis in range(3):
        after, before = ([inner] * 3 for _ in range(2))
        after[axis], before[axis] = slice(2, None), slice(None, -2)
        difference = volume[tuple(after)] - volume[tuple(before)]
        squared[inner, inner, inner] += difference * difference
    length: Volume = np.sqrt(squared / 4)
    return length


def axes_of(box: Box) -> tuple[Volume, Volume, Volume]:
    """The voxel indices along each axis of a box, shaped to broadcast over it."""
    x, y, z = (np.arange(part.start, part.stop, dtype=np.float32) for part in box)
    return x[:, None, None], y[None, :, None], z[None, None, :]


def shape_of(box: Box) -> tuple[int, int, int]:
    """Voxels of a box along each axis."""
    x, y, z = (part.stop - part.start for part in box)
    return x, y, z


def within(inner: Box, outer: Box) -> Box:
    """The box `inner` as a part of an array that holds the box `outer`."""
    x, y, z = (
        slice(small.start - large.start, small.stop - large.start)
        for small, large in zip(inner, outer, strict=True)
    )
    return x, y, z


def _interpolated(coarse: Volume, weights: list[Volume]) -> Volume:
    # The last axis first, so that the largest of the products is one plain matrix product.
    for axis in reversed(range(coarse.ndim)):
        coarse = np.moveaxis(np.tensordot(weights[axis], coarse, (1, axis)), 0, axis)
    return np.ascontiguousarray(coarse)


def _spline_weights(size: int, spacing: float, offset: float) -> Volume:
    """(size, n_coarse) weight of each point of the coarse grid in each voxel."""
    position = np.arange(size) / spacing + offset
    n_coarse = int(position[-1]) + 4
    distance = np.abs(position[:, None] - (np.arange(n_coarse) - 1))
    near = 2 / 3 - distance**2 * (1 - distance / 2)
    far = (2 - distance) ** 3 / 6
    return np.where(distance < 1, near, np.where(distance < 2, far, 0)).astype(np.float32)

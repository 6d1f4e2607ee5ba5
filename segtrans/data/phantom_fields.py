"""Random fields of made-up patients: smooth ones for warp and bias, fine ones for texture."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Volume = NDArray[np.float32]


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], *, spacing: int) -> Volume:
    """A field that changes over about `spacing` voxels, mean 0 and sd near 1, (X, Y, Z)."""
    counts = tuple(-(-n // spacing) + 3 for n in shape)
    field = rng.standard_normal(counts, dtype=np.float32)
    for n, count in zip(shape, counts, strict=True):
        # Each product takes the first axis away and puts the long one last.
        field = np.tensordot(field, _bumps(n, count, spacing), axes=(0, 1))
    return np.ascontiguousarray(field)


@cache
def _bumps(n: int, count: int, spacing: int) -> Volume:
    """Weights (n, count) of control points along an axis; each row has length 1."""
    centres = (np.arange(count) - (count - 1) / 2) * spacing + (n - 1) / 2
    weights = np.exp(-0.5 * ((np.arange(n)[:, None] - centres) / (0.6 * spacing)) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return weights.astype(np.float32)


def texture(rng: np.random.Generator, shape: tuple[int, ...], *, sd: float) -> Volume:
    """White noise blurred by `sd` voxels, mean 0 and standard deviation 1, (X, Y, Z)."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    gaussian_filter(noise, sd, output=noise, truncate=2.5)
    noise /= noise.std()
    return noise

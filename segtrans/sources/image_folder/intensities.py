"""From the values of an image's files to what networks see, and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segtrans.errors import UserError
from segtrans.sources.intensity import RANGES, Z_SCORE_SCALE
from segtrans.tasks.image_folder import Intensity


@dataclass(frozen=True)
class Levels:
    """What is 0 and what is 1 to networks, in the values of an image's files.

    Attributes:
        zero: (C,) float64, the value of each channel that becomes 0.
        one: (C,) float64, that which becomes 1.
    """

    zero: NDArray[np.float64]
    one: NDArray[np.float64]

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Intensities of an image (H, W, C), clipped to [-1, 1]."""
        slope = 1 / (self.one - self.zero)
        # Channel after channel in memory, which is several times as fast.
        channels = np.moveaxis(image, 2, 0).astype(np.float32, order="C")
        channels *= slope.astype(np.float32)[:, None, None]
        channels -= (self.zero * slope).astype(np.float32)[:, None, None]
        channels.clip(-1, 1, out=channels)
        return np.moveaxis(channels, 0, 2)

    def undo(self, intensities: NDArray[np.float32], dtype: DTypeLike) -> NDArray[Any]:
        """Values of files from intensities (H, W, C); whole numbers are rounded and clipped."""
        values = intensities.astype(np.float64) * (self.one - self.zero) + self.zero
        dtype = np.dtype(dtype)
        if dtype.kind == "b":
            return values >= 0.5
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            values = values.round().clip(limits.min, limits.max)
        return values.astype(dtype)


def is_whole_range(image: NDArray[Any], intensity: Intensity) -> bool:
    """Whether 8 or 16 bits without a sign stay what they are: they are intensities of [0, 1]."""
    return intensity.mode == "dtype" and image.dtype in RANGES


def levels_of(image: NDArray[Any], intensity: Intensity) -> Levels:
    """What becomes 0 and 1 in an image.

    dtype: whole numbers without a sign by the largest one of their type, to [0, 1]; with a sign to
    [-1, 1]; floating-point numbers stay. percentile, window: low becomes -1 and high 1. zscore: the
    mean of each channel becomes 0, five standard deviations above it 1. A channel that is constant
    becomes 0 by percentile and zscore.

    Args:
        image: (H, W, C), of any type of numbers, all finite.
        intensity: of the task.

    Raises:
        UserError: mode dtype, and numbers with a point lie beyond [-1, 1].
    """
    n = image.shape[2]
    if intensity.mode == "dtype":
        return Levels(np.zeros(n), np.full(n, _largest(image)))
    if intensity.mode == "zscore":
        zero = image.mean((0, 1), dtype=np.float64)
        return Levels(zero, _above(zero, image.std((0, 1), dtype=np.float64) / Z_SCORE_SCALE))
    if intensity.mode == "percentile":
        low, high = np.percentile(image, [intensity.low, intensity.high], axis=(0, 1))
    else:
        low, high = (np.full(n, level) for level in (intensity.low, intensity.high))
    middle = (low + high) / 2
    return Levels(middle, _above(middle, (high - low) / 2))


def check_values(image: NDArray[Any], intensity: Intensity) -> None:
    """Refuse an image whose values `levels_of` refuses, without the time that it takes.

    Raises:
        UserError: as there.
    """
    if intensity.mode == "dtype":
        _largest(image)


def _above(zero: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return zero + np.where(distance > 0, distance, 1.0)


def _largest(image: NDArray[Any]) -> float:
    if image.dtype.kind == "b":
        return 1.0
    if image.dtype.kind in "iu":
        return float(np.iinfo(image.dtype).max)
    low, high = float(image.min()), float(image.max())
    if low < -1 or high > 1:
        raise UserError(
            f"values are {low:g} to {high:g}, which intensity.mode = dtype takes for intensities "
            "of -1 to 1"
        )
    return 1.0

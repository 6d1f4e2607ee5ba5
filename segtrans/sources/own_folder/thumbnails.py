"""An image from so far that no small target is seen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

THUMBNAIL = 16  # rows and columns
_ENOUGH = 128  # rows and columns that a thumbnail is made from


def thumbnail_of(image: NDArray[Any]) -> NDArray[np.float32]:
    """Of an image (H, W, C), (16, 16, C): means of blocks; of fewer pixels, the nearest ones."""
    step = max(1, min(image.shape[:2]) // _ENOUGH)
    means: NDArray[Any] = image[::step, ::step]
    for axis in (0, 1):
        length = means.shape[axis]
        starts = np.arange(THUMBNAIL) * length // THUMBNAIL
        counts = np.maximum(1, np.diff(starts, append=length))
        sums = np.add.reduceat(means, starts, axis=axis, dtype=np.float32)
        means = sums / np.expand_dims(counts, tuple({0, 1, 2} - {axis})).astype(np.float32)
    return means.astype(np.float32)


def centre_of(grey: NDArray[np.float32]) -> tuple[float, float]:
    """Row and column, from 0 to 1, of what is brighter than the darkest."""
    light = grey - grey.min()
    total = float(light.sum()) or 1.0
    places = (np.arange(THUMBNAIL) + 0.5) / THUMBNAIL
    return float(light.sum(axis=1) @ places) / total, float(light.sum(axis=0) @ places) / total

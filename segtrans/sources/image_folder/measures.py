"""What an image looks like from afar: what may tell its domain without the target."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.image_folder.item import Item

THUMBNAIL = 16  # rows and columns: no small target is seen
_ROWS = 64  # of an image, for what needs no more
_ENOUGH = 128  # rows and columns that a thumbnail is made from
_BORDER = 32  # the border is this part of an image's side


@dataclass(frozen=True)
class Measures:
    """Numbers of an image.

    Attributes:
        numbers: by name, in the order of `NAMES`.
        thumbnail: (C, 16, 16) means of blocks, in the unit of `brightness`.
    """

    numbers: tuple[float, ...]
    thumbnail: NDArray[np.float32]


NAMES = (
    "height",
    "width",
    "shape (width / height)",
    "bytes of the file, a pixel",
    "brightness",
    "contrast",
    "sharpness",
    "brightness of the border",
    "row of the centre of brightness",
    "column of the centre of brightness",
)


def measure(item: Item, image: NDArray[Any]) -> Measures:
    """Numbers and thumbnail of an image (H, W, C) of finite values.

    Brightness is a share of the largest value of the type, or the value itself of floats.
    """
    unit = 1.0 / np.iinfo(image.dtype).max if image.dtype.kind in "iu" else 1.0
    height, width = image.shape[:2]
    thumbnail = _thumbnail(image) * np.float32(unit)
    some = image[:: max(1, height // _ROWS)].astype(np.float32) * np.float32(unit)
    row, column = _centre(thumbnail.mean(axis=2))
    size = sum(path.stat().st_size for path in item.files)
    numbers = (
        *(height, width, width / height, size / (height * width)),
        *(float(thumbnail.mean()), float(some.std())),
        float(np.abs(np.diff(some, axis=1)).mean()) if width > 1 else 0.0,
        _border(image) * unit,
        *(row, column),
    )
    return Measures(tuple(map(float, numbers)), np.ascontiguousarray(thumbnail.transpose(2, 0, 1)))


def _thumbnail(image: NDArray[Any]) -> NDArray[np.float32]:
    """(16, 16, C): means of blocks; of an image with fewer pixels, its nearest ones."""
    step = max(1, min(image.shape[:2]) // _ENOUGH)
    means: NDArray[Any] = image[::step, ::step]
    for axis in (0, 1):
        length = means.shape[axis]
        starts = np.arange(THUMBNAIL) * length // THUMBNAIL
        counts = np.maximum(1, np.diff(starts, append=length))
        sums = np.add.reduceat(means, starts, axis=axis, dtype=np.float32)
        means = sums / np.expand_dims(counts, tuple({0, 1, 2} - {axis})).astype(np.float32)
    return means.astype(np.float32)


def _border(image: NDArray[Any]) -> float:
    height, width = image.shape[:2]
    rows, columns = max(1, height // _BORDER), max(1, width // _BORDER)
    sides = (image[:rows], image[-rows:], image[:, :columns], image[:, -columns:])
    return float(np.mean([side.mean(dtype=np.float64) for side in sides]))


def _centre(grey: NDArray[np.float32]) -> tuple[float, float]:
    """Row and column, from 0 to 1, of what is brighter than the darkest."""
    light = grey - grey.min()
    total = float(light.sum()) or 1.0
    places = (np.arange(THUMBNAIL) + 0.5) / THUMBNAIL
    return float(light.sum(axis=1) @ places) / total, float(light.sum(axis=0) @ places) / total

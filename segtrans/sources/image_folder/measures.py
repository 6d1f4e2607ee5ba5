"""What an image looks like from afar: what may tell its domain without the target."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.image_folder.item import Item
from segtrans.sources.own_folder.thumbnails import centre_of, thumbnail_of

_ROWS = 64  # of an image, for what needs no more
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
    "width divided by height",
    "bytes of the file per pixel",
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
    thumbnail = thumbnail_of(image) * np.float32(unit)
    some = image[:: max(1, height // _ROWS)].astype(np.float32) * np.float32(unit)
    row, column = centre_of(thumbnail.mean(axis=2))
    size = sum(path.stat().st_size for path in item.files)
    numbers = (
        *(height, width, width / height, size / (height * width)),
        *(float(thumbnail.mean()), float(some.std())),
        float(np.abs(np.diff(some, axis=1)).mean()) if width > 1 else 0.0,
        _border(image) * unit,
        *(row, column),
    )
    return Measures(tuple(map(float, numbers)), np.ascontiguousarray(thumbnail.transpose(2, 0, 1)))


def _border(image: NDArray[Any]) -> float:
    height, width = image.shape[:2]
    rows, columns = max(1, height // _BORDER), max(1, width // _BORDER)
    sides = (image[:rows], image[-rows:], image[:, :columns], image[:, -columns:])
    return float(np.mean([side.mean(dtype=np.float64) for side in sides]))

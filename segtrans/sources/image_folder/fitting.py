"""Between an image's own size and that of its task, there and back.

Resampling is Pillow's: linear, over as many pixels as become one, which is what `torch` and ONNX
call antialiased too, so that an exported model can do the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segtrans.sources.image_folder.intensities import levels_of
from segtrans.tasks.image_folder import ImageFolder

_OVERLAP = 0.25  # of neighbouring tiles of a prediction, as a share of their size

Place = tuple[int, int]  # of a tile: first row and first column


@dataclass(frozen=True)
class Fitting:
    """How an image of one size is fitted to a task: whole, or in parts at full resolution.

    Attributes:
        shape: (H, W) of the image.
        task: whose height and width are fitted to, and how.
    """

    shape: tuple[int, int]
    task: ImageFolder

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) that networks see."""
        return self.task.height, self.task.width

    @property
    def has_parts(self) -> bool:
        """Whether the task looks at parts; a whole image is fitted all the same, if asked for."""
        return self.task.has_parts

    @property
    def resized(self) -> tuple[int, int]:
        """Rows and columns of a whole image before it is padded, if it is; at least one."""
        if self.task.size == "stretch":
            return self.size
        scale = min(new / old for new, old in zip(self.size, self.shape, strict=True))
        rows, columns = (
            min(new, max(1, round(old * scale)))
            for new, old in zip(self.size, self.shape, strict=True)
        )
        return rows, columns

    @property
    def is_exact(self) -> bool:
        """Whether a whole image keeps the values of its pixels."""
        return self.resized == self.shape

    def image(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """A whole image (H, W, C) of any type, as networks see it: (C, h, w), in [-1, 1].

        Raises:
            UserError: the intensity of the task does not fit the image's values.
        """
        levels = levels_of(image, self.task.intensity)
        if self.task.intensity.mode != "dtype":
            return self.whole(levels.apply(image))
        # Nothing is clipped, so that it can be done to the pixels that are left.
        seen = levels.apply(np.moveaxis(self.whole(image), 0, 2))
        return np.moveaxis(seen, 2, 0)

    def mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A whole mask (H, W), each pixel that of the nearest one: (h, w)."""
        rows, columns = self.resized
        nearest = Image.fromarray(mask).resize((columns, rows), Image.Resampling.NEAREST)
        return _padded(np.asarray(nearest), self.size)

    def whole(self, image: NDArray[Any]) -> NDArray[Any]:
        """A whole image (H, W, C), (C, h, w); of its own type where `is_exact`, else float32."""
        channels = np.moveaxis(image, 2, 0)
        if not self.is_exact:
            # Channel after channel in memory, which is faster than to pick each out later.
            channels = _resized(channels.astype(np.float32, order="C", copy=False), self.resized)
        return np.ascontiguousarray(_padded(channels, self.size))

    def back(self, maps: NDArray[np.floating]) -> NDArray[np.float32]:
        """What networks made of a whole image, (..., h, w), in its own size: (..., H, W)."""
        rows, columns = (
            slice(before, before + inner)
            for before, inner in zip(_before(self.resized, self.size), self.resized, strict=True)
        )
        return _resized(maps[..., rows, columns].astype(np.float32), self.shape)

    def views(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """All that is to be predicted for an image (H, W, C): the whole, or tiles that overlap.

        Returns:
            (n, C, h, w), in [-1, 1].

        Raises:
            UserError: as `image`.
        """
        if not self.has_parts:
            return self.image(image)[None]
        padded = self.padded(levels_of(image, self.task.intensity).apply(image))
        return np.stack([self.part(padded, place) for place in self.places(_OVERLAP)])

    def joined(self, maps: NDArray[np.floating]) -> NDArray[np.float32]:
        """What networks made of `views`, (n, ..., h, w), in the image's own size: (..., H, W).

        Tiles count the less the nearer a pixel is to their border.
        """
        if not self.has_parts:
            return self.back(maps[0])
        weights: NDArray[np.float32] = np.outer(*(_tent(length) for length in self.size))
        total = np.zeros((*maps.shape[1:-2], *self.padded_shape), np.float32)
        weight = np.zeros(self.padded_shape, np.float32)
        for (row, column), tile in zip(self.places(_OVERLAP), maps, strict=True):
            at = (..., slice(row, row + self.size[0]), slice(column, column + self.size[1]))
            total[at] += tile * weights
            weight[at] += weights
        top, left = self.margin
        height, width = self.shape
        total /= weight
        return total[..., top : top + height, left : left + width]

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Rows and columns of an image that holds at least one part."""
        rows, columns = (max(pair) for pair in zip(self.shape, self.size, strict=True))
        return rows, columns

    @property
    def margin(self) -> tuple[int, int]:
        """Rows and columns that padding puts before an image that is smaller than a part."""
        return _before(self.shape, self.padded_shape)

    def padded(self, image: NDArray[Any]) -> NDArray[Any]:
        """An image (H, W, C) or mask (H, W) of `padded_shape`, as (C, ., .) or (., .)."""
        channels = np.moveaxis(image, 2, 0) if image.ndim == 3 else image
        return _padded(channels, self.padded_shape)

    def part(self, padded: NDArray[Any], place: Place) -> NDArray[Any]:
        """The part of a padded image or mask that begins at a place: (..., h, w)."""
        row, column = place
        return padded[..., row : row + self.size[0], column : column + self.size[1]]

    def places(self, overlap: float = 0.0) -> list[Place]:
        """Where tiles begin that cover the padded image and overlap at least by a share, row-wise.

        Without overlap no pixel is in two tiles, but where the size leaves a rest.
        """
        rows, columns = (
            list(_starts(whole, tile, overlap))
            for whole, tile in zip(self.padded_shape, self.size, strict=True)
        )
        return [(row, column) for row in rows for column in columns]


def _starts(whole: int, tile: int, overlap: float) -> Iterator[int]:
    step = max(1, tile - round(overlap * tile))
    n = 1 + -(-(whole - tile) // step)
    for number in range(n):
        yield (whole - tile) * number // max(1, n - 1)


def _tent(length: int) -> NDArray[np.float32]:
    """Weights that fall from the middle to either end, where they are not yet 0."""
    distance = np.abs(2 * np.arange(length) + 1 - length) / length
    return (1 - distance + 1 / length).astype(np.float32)


def _resized(channels: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Maps (..., H, W) resampled to another size."""
    rows, columns = size
    if channels.shape[-2:] == size:
        return channels
    flat = channels.reshape(-1, *channels.shape[-2:])
    resized = np.stack(
        [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(channel)).resize(
                    (columns, rows), Image.Resampling.BILINEAR
                )
            )
            for channel in flat
        ]
    )
    return resized.reshape(*channels.shape[:-2], rows, columns)


def _before(inner: Sequence[int], outer: Sequence[int]) -> tuple[int, int]:
    """Rows and columns in front of what stands in the middle."""
    top, left = ((of - it) // 2 for it, of in zip(inner, outer, strict=True))
    return top, left


def _padded(channels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Maps (..., H, W) in the middle of a size that is no smaller, continued by reflection."""
    inner = channels.shape[-2:]
    if inner == size:
        return channels
    around = [
        (before, of - it - before)
        for before, it, of in zip(_before(inner, size), inner, size, strict=True)
    ]
    return np.pad(channels, [(0, 0)] * (channels.ndim - 2) + around, mode="reflect")

"""From a volume to slices of one axis, spacing and size, and back.

Volumes are (X, Y, Z) in LPS orientation, slices (n, rows, columns): columns run to the left or to
the back, rows to the back or from head to foot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from segtrans.errors import UserError
from segtrans.tasks.scan_folder import ScanFolder
from segtrans.tasks.sides import SIDES, WHOLE

_Z = 2  # which runs to the head, and rows down from it
_EQUAL = 1e-3  # of a voxel's size: spacings that headers round otherwise


def to_slices(volume: NDArray[Any], lps_axes: tuple[int, int, int]) -> NDArray[Any]:
    """A view of a volume (X, Y, Z) as slices; `lps_axes` are those of columns, rows and slices."""
    slices = volume.transpose(lps_axes[::-1])
    return slices[:, ::-1] if lps_axes[1] == _Z else slices


def to_volume(slices: NDArray[Any], lps_axes: tuple[int, int, int]) -> NDArray[Any]:
    """A view of slices as the volume (X, Y, Z) that they are of."""
    upright = slices[:, ::-1] if lps_axes[1] == _Z else slices
    return upright.transpose(np.argsort(lps_axes[::-1]))


@dataclass(frozen=True)
class Resampling:
    """Between the voxels of a scan and those of another spacing, of one middle.

    Attributes:
        own: (n, rows, columns) of the scan.
        shape: the same of the other spacing.
        step: its spacing over the scan's, along these.
    """

    own: tuple[int, ...]
    shape: tuple[int, ...]
    step: tuple[float, ...]

    @classmethod
    def between(
        cls, own: Sequence[int], own_mm: Sequence[float], spacing_mm: Sequence[float]
    ) -> "Resampling":
        """Of a scan of a shape and spacing to another spacing; at least one voxel each way."""
        step = [new / old for old, new in zip(own_mm, spacing_mm, strict=True)]
        step = [1.0 if abs(ratio - 1) < _EQUAL else ratio for ratio in step]
        shape = [max(1, round(n / ratio)) for n, ratio in zip(own, step, strict=True)]
        return cls(tuple(own), tuple(shape), tuple(step))

    @property
    def is_exact(self) -> bool:
        """Whether nothing is resampled."""
        return self.step == (1.0,) * len(self.step)

    def forth(self, slices: NDArray[Any], *, order: int) -> NDArray[Any]:
        """The scan's voxels at the other spacing, of the same type; order 0: nearest, 1: linear.

        Beyond the middle of its outermost voxels a scan is as they are.
        """
        if self.is_exact:
            return slices
        offset = self.positions_of_first()
        return self._sampled(slices, self.step, offset, self.shape, order)

    def back(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Voxels of the other spacing at those of the scan, linearly."""
        if self.is_exact:
            return slices
        step = [1 / ratio for ratio in self.step]
        offset = [
            -at / ratio for at, ratio in zip(self.positions_of_first(), self.step, strict=True)
        ]
        return self._sampled(slices, step, offset, self.own, 1)

    def positions_of_first(self) -> list[float]:
        """Where the first voxel of the other spacing lies, in voxels of the scan."""
        return [
            (old - 1) / 2 - ratio * (new - 1) / 2
            for old, new, ratio in zip(self.own, self.shape, self.step, strict=True)
        ]

    def own_index(self) -> NDArray[np.int64]:
        """(n,), the nearest slice of the scan to each slice of the other spacing."""
        places = self.positions_of_first()[0] + self.step[0] * np.arange(self.shape[0])
        nearest = np.floor(places + 0.5).clip(0, self.own[0] - 1)
        return np.asarray(nearest, np.int64)

    def _sampled(
        self,
        slices: NDArray[Any],
        step: Sequence[float],
        offset: Sequence[float],
        shape: tuple[int, ...],
        order: int,
    ) -> NDArray[Any]:
        sampled: NDArray[Any] = affine_transform(
            slices, np.array(step), np.array(offset), shape, order=order, mode="nearest",
            prefilter=False,
        )  # fmt: skip
        return sampled


@dataclass(frozen=True)
class Window:
    """Which part of slices an image is of; what lies beyond them is padding.

    Attributes:
        row: of the slices, that is the image's first; negative in padding.
        column: likewise.
        size: rows and columns of the image.
        is_mirrored: whether the image's columns run the other way.
    """

    row: int
    column: int
    size: tuple[int, int]
    is_mirrored: bool = False

    def cut(self, slices: NDArray[Any], *, fill: float) -> NDArray[Any]:
        """Images (..., h, w) of slices (..., rows, columns)."""
        images = np.full((*slices.shape[:-2], *self.size), fill, slices.dtype)
        (row, column), (of_row, of_column) = self._overlap(slices.shape[-2:])
        images[..., row, column] = slices[..., of_row, of_column]
        return np.ascontiguousarray(images[..., ::-1]) if self.is_mirrored else images

    def paste(self, images: NDArray[Any], slices: NDArray[Any]) -> None:
        """Write images (n, h, w) to where they are of in slices (n, rows, columns)."""
        (row, column), (of_row, of_column) = self._overlap(slices.shape[-2:])
        upright = images[..., ::-1] if self.is_mirrored else images
        slices[..., of_row, of_column] = upright[..., row, column]

    def _overlap(self, shape: tuple[int, ...]) -> tuple[list[slice], list[slice]]:
        """What image and slices have in common, in the rows and columns of each."""
        starts = [max(0, first) for first in (self.row, self.column)]
        ends = [
            max(start, min(n, first + size))
            for start, n, first, size in zip(
                starts, shape, (self.row, self.column), self.size, strict=True
            )
        ]
        pairs = list(zip(starts, ends, (self.row, self.column), strict=True))
        return (
            [slice(start - first, end - first) for start, end, first in pairs],
            [slice(start, end) for start, end, _ in pairs],
        )


def windows_of(content: NDArray[np.bool_], task: ScanFolder, *, case_id: str) -> dict[str, Window]:
    """The window of each side of a scan: in the middle, or moved so that it holds all content.

    Halves begin at the middle between left and right; where a slice has an odd number of columns,
    both have the one in the middle.

    Args:
        content: (n, rows, columns), what is not background.
        task: whose height and width the windows have.
        case_id: names the scan in errors.

    Raises:
        UserError: content does not fit; says how many pixels it needs.
    """
    rows, columns = (_extent(np.asarray(content.any(axis=axes))) for axes in ((0, 2), (0, 1)))
    n_columns = content.shape[2]
    half = (n_columns + 1) // 2
    needed_rows, needed_columns = rows[1] - rows[0], columns[1] - columns[0]
    if task.halves:
        needed_columns = max(half - columns[0], columns[1] - (n_columns - half), 0)
    if needed_rows > task.height or needed_columns > task.width:
        of = "of each half " if task.halves else ""
        raise UserError(
            f"{case_id}: {needed_rows} rows and {needed_columns} columns {of}are not background at "
            f"this spacing, and images have {task.height} and {task.width}: crop the scan, or make "
            "height and width, or spacing_mm, of the data set larger"
        )
    size = (task.height, task.width)
    row = _start(content.shape[1], task.height, rows)
    if not task.halves:
        return {WHOLE: Window(row, _start(n_columns, task.width, columns), size)}
    right, left = SIDES
    return {
        right: Window(row, half - task.width, size, is_mirrored=True),
        left: Window(row, n_columns - half, size),
    }


def _extent(is_content: NDArray[np.bool_]) -> tuple[int, int]:
    """First and one beyond the last of what is set; of nothing, nothing."""
    places = np.flatnonzero(is_content)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)


def _start(n: int, size: int, extent: tuple[int, int]) -> int:
    """Where a window begins on an axis of n pixels."""
    if n <= size:
        return -((size - n) // 2)
    first, last = extent
    middle = (n - size) // 2
    return min(max(middle, last - size), first) if last > first else middle

"""Samples that wait on the disk until it is known how many there are, and of what type."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segtrans.sources.intensity import RANGES

_BLOCK_BYTES = 16 * 2**20  # read back at a time


class Spool:
    """Samples of one shape in the order in which they come; one number of bytes each in memory.

    Args:
        file: where they wait; overwritten.
        shape: of a sample.
    """

    def __init__(self, file: Path, shape: tuple[int, ...]) -> None:
        self._file, self._shape = file, shape
        self._types: list[np.dtype[Any]] = []
        file.write_bytes(b"")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all samples together."""
        return (len(self), *self._shape)

    def __len__(self) -> int:
        return len(self._types)

    @property
    def types(self) -> set[np.dtype[Any]]:
        """Types that samples have."""
        return set(self._types)

    def append(self, samples: NDArray[Any]) -> None:
        """Add samples (n, ...) of one type."""
        if samples.shape[1:] != self._shape:
            raise ValueError(f"{self._file}: samples are {samples.shape[1:]}, not {self._shape}")
        with self._file.open("ab") as file:
            file.write(samples.tobytes())
        self._types += [samples.dtype] * len(samples)

    def blocks(self, dtype: DTypeLike) -> Iterator[NDArray[Any]]:
        """All samples (n, ...), some at a time.

        Those of another type than `dtype`, float16, are shares of the largest number of theirs.
        """
        n_values = int(np.prod(self._shape))
        n_at_once = max(1, _BLOCK_BYTES // (n_values * np.dtype(dtype).itemsize))
        with self._file.open("rb") as file:
            for start in range(0, len(self), n_at_once):
                types = self._types[start : start + n_at_once]
                block = np.empty((len(types), *self._shape), dtype)
                for place, found in zip(block, types, strict=True):
                    sample = np.frombuffer(file.read(n_values * found.itemsize), found)
                    place[...] = _as(sample, block.dtype).reshape(self._shape)
                yield block


def _as(sample: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if sample.dtype == dtype:
        return sample
    return sample.astype(np.float32) / np.float32(RANGES[sample.dtype])

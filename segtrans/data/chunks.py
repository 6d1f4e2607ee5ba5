"""How samples are packed into the chunks of a dataset, and taken out of them."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Small enough to draw single samples, large enough to compress and to index.
_CHUNK_BYTES = 64 * 1024
# Level and strategy of deflate; the level matters for the last alone.
_WAYS = ((6, zlib.Z_HUFFMAN_ONLY), (6, zlib.Z_RLE), (1, zlib.Z_DEFAULT_STRATEGY))


def chunk_shape(shape: tuple[int, ...], dtype: DTypeLike) -> tuple[int, ...]:
    """Shape of the chunks of a dataset of `shape` (N, ...): whole samples, about 64 KiB."""
    sample_bytes = int(np.prod(shape[1:])) * np.dtype(dtype).itemsize
    return (max(1, min(shape[0], _CHUNK_BYTES // sample_bytes)), *shape[1:])


class ChunkWriter:
    """Takes samples in blocks of any size, and writes whole chunks that it compresses itself.

    HDF5's own gzip looks hard for repeated strings, which noisy images do not have: it is slower
    than the ways tried here on a dataset's first chunk, and packs no better. Any HDF5 reader
    reads the result as ordinary gzip.

    Args:
        dataset: of h5py, to be filled.
        check: called with all samples; raises where their values may not be written.
    """

    def __init__(self, dataset: Any, check: Callable[[NDArray[Any]], None] | None = None) -> None:
        self._dataset, self._check = dataset, check
        self._way: tuple[int, int] | None = None
        self._pending = np.empty((0, *dataset.shape[1:]), dataset.dtype)
        self._n_written = 0

    def append(self, samples: NDArray[Any]) -> None:
        """Write the next samples, (n, ...) of the dataset's own type."""
        if samples.dtype != self._dataset.dtype:
            raise ValueError(f"{self._dataset.name}: is {self._dataset.dtype}, not {samples.dtype}")
        if self._check is not None:
            self._check(samples)
        self._pending = np.concatenate([self._pending, samples])
        rows = self._dataset.chunks[0]
        while len(self._pending) >= rows:
            self._write_chunk(self._pending[:rows])
            self._pending = self._pending[rows:]

    def finish(self) -> None:
        """Write what is left; raises ValueError when there were too few or too many samples."""
        if len(self._pending):
            self._write_chunk(self._pending)
        if self._n_written != len(self._dataset):
            raise ValueError(
                f"{self._dataset.name}: {self._n_written} samples of {len(self._dataset)}"
            )

    def _write_chunk(self, samples: NDArray[Any]) -> None:
        chunk = np.zeros(self._dataset.chunks, self._dataset.dtype)
        chunk[: len(samples)] = samples
        content = chunk.tobytes()
        if self._way is None:
            self._way = min(_WAYS, key=lambda way: len(_deflated(content, *way)))
        offset = (self._n_written, *(0 for _ in self._dataset.shape[1:]))
        self._dataset.id.write_direct_chunk(offset, _deflated(content, *self._way))
        self._n_written += len(samples)


def gather(dataset: Any, indices: NDArray[np.int64]) -> NDArray[Any]:
    """Samples in the order asked for; every chunk that holds some is decompressed once."""
    samples = np.empty((len(indices), *dataset.shape[1:]), dataset.dtype)
    rows = dataset.chunks[0]
    chunk_of = indices // rows
    for chunk in np.unique(chunk_of):
        wanted = np.flatnonzero(chunk_of == chunk)
        start = int(chunk) * rows
        samples[wanted] = dataset[start : start + rows][indices[wanted] - start]
    return samples


def _deflated(content: bytes, level: int, strategy: int) -> bytes:
    compressor = zlib.compressobj(level, strategy=strategy)
    return compressor.compress(content) + compressor.flush()

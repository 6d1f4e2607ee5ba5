"""How samples are packed into the chunks of a dataset, and taken out of them."""

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segtrans.processors import n_processors

# Small enough to draw single samples, large enough to compress and to index.
_CHUNK_BYTES = 64 * 1024
# Level and strategy of deflate; the level matters for the last alone.
_WAYS = ((6, zlib.Z_HUFFMAN_ONLY), (6, zlib.Z_RLE), (1, zlib.Z_DEFAULT_STRATEGY))
# zlib leaves other threads to work meanwhile; no byte depends on how many there are.
_MAX_THREADS = 8


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
        pending = np.concatenate([self._pending, samples])
        rows = self._dataset.chunks[0]
        n_whole = len(pending) // rows * rows
        self._write_chunks([pending[row : row + rows] for row in range(0, n_whole, rows)])
        self._pending = pending[n_whole:]

    def finish(self) -> None:
        """Write what is left; raises ValueError when there were too few or too many samples."""
        if len(self._pending):
            self._write_chunks([self._pending])
        if self._n_written != len(self._dataset):
            raise ValueError(
                f"{self._dataset.name}: {self._n_written} samples of {len(self._dataset)}"
            )

    def _write_chunks(self, chunks: Sequence[NDArray[Any]]) -> None:
        """Write chunks of samples, the last one perhaps of fewer than a chunk holds."""
        if not chunks:
            return
        if self._way is None:
            content = self._content(chunks[0])
            self._way = min(_WAYS, key=lambda way: len(_deflated(content, *way)))
        way = self._way
        with ThreadPoolExecutor(min(_MAX_THREADS, n_processors())) as pool:
            packed = pool.map(lambda chunk: _deflated(self._content(chunk), *way), chunks)
            for chunk, content in zip(chunks, packed, strict=True):
                offset = (self._n_written, *(0 for _ in self._dataset.shape[1:]))
                self._dataset.id.write_direct_chunk(offset, content)
                self._n_written += len(chunk)

    def _content(self, samples: NDArray[Any]) -> bytes:
        chunk = np.zeros(self._dataset.chunks, self._dataset.dtype)
        chunk[: len(samples)] = samples
        return chunk.tobytes()


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

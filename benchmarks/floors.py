"""What the machine could do at best: copy bytes, compress bytes."""

import functools
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lines import best_seconds

COPIED_BYTES = 2**28  # more than a processor's cache holds
# Level and strategy; which one is fastest depends on the content.
_WAYS = ((1, zlib.Z_DEFAULT_STRATEGY), (1, zlib.Z_HUFFMAN_ONLY), (1, zlib.Z_RLE))

DEFLATED = "the bytes deflated once by zlib's fastest way"


@functools.cache
def copied_bytes_per_second() -> float:
    """How fast one core copies memory: each byte is read once and written once."""
    source = np.ones(COPIED_BYTES, np.uint8)
    target = np.empty_like(source)
    return COPIED_BYTES / best_seconds(lambda: np.copyto(target, source), repeats=5)


def deflating_seconds(arrays: Sequence[NDArray[Any]]) -> float:
    """Seconds to compress arrays in memory, each in one piece, in the fastest way."""
    return min(best_seconds(partial(_deflate, arrays, way), repeats=2) for way in _WAYS)


def _deflate(arrays: Sequence[NDArray[Any]], way: tuple[int, int]) -> None:
    level, strategy = way
    for array in arrays:
        compressor = zlib.compressobj(level, strategy=strategy)
        compressor.compress(array.data)
        compressor.flush()

"""Megabytes a second that a store gives on one core, as images and masks in memory.

Of small digits, which are packed many to a chunk, and of half-slices, one to a chunk.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.lines import Line, best_seconds, use_one_core
from benchmarks.samples import digit_store, half_slice_store
from segtrans.data.store import DOMAINS, Store

BATCH_SIZE = 20  # of each domain
N_BATCHES = 10
N_PAIRS = 8000
REPEATS = 3
FLOOR_IS = "as many bytes read from an uncompressed file, cached"


def lines() -> Iterator[Line]:
    """The whole training fold, and random batches of 20 P with their masks and 20 A."""
    use_one_core()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digits = digit_store(folder / "digits.h5", n_pairs=N_PAIRS)
        brats = half_slice_store(folder / "brats.h5")
        for kind, store in (("digits 48 x 48", digits), ("half-slices", brats)):
            for what, read in (("the whole fold", read_fold), ("random batches", read_batches)):
                seconds = best_seconds(partial(read, store), repeats=REPEATS)
                n_bytes = read(store)
                yield Line(
                    part="store",
                    case=f"{kind}, {what}",
                    value=n_bytes / seconds / 1e6,
                    unit="MB/s",
                    floor=plain_rate(folder / "plain", n_bytes),
                    floor_is=FLOOR_IS,
                )


def read_fold(store: Store) -> int:
    """Everything that is trained on; the bytes it has in memory."""
    arrays = [store.images("train", domain) for domain in DOMAINS]
    return sum(array.nbytes for array in (*arrays, store.masks("train")))


def read_batches(store: Store) -> int:
    """Random batches; the bytes they have in memory."""
    rng = np.random.default_rng(0)
    n_bytes = 0
    for _ in range(N_BATCHES):
        for domain in DOMAINS:
            indices = rng.integers(0, store.n("train", domain), BATCH_SIZE)
            n_bytes += store.images("train", domain, indices).nbytes
            if domain == "present":
                n_bytes += store.masks("train", indices).nbytes
    return n_bytes


def plain_rate(path: Path, n_bytes: int) -> float:
    """Megabytes a second of a file without compression that the system holds in memory."""
    np.zeros(n_bytes, np.uint8).tofile(path)
    return n_bytes / 1e6 / best_seconds(lambda: np.fromfile(path, np.uint8), repeats=REPEATS)

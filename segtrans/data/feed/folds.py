"""The samples of a fold in order, for scoring: from the file, or kept where they are few."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from segtrans.data.stacks import Stacks
from segtrans.data.store import Store

# Images (n, C, ...) float32 as networks see them, in [-1, 1], and masks (n, ...) uint8; None in the
# absence domain.
Samples = tuple[Tensor, Tensor | None]

# Of a batch without gradients: 64 small digits or 5 half-slices. Larger ones leave the processor's
# cache, and half-slices then take 2.7 times as long.
_SCORED_PIXELS = 64 * 48 * 48
# Reading half-slices again takes 2.7 ms each, so a fold is kept in memory where it fits into this.
_KEPT_BYTES = 2**30
_VALUE_BYTES = torch.float32.itemsize


def fold_again_and_again(
    store: Store, fold: str, domain: str, *, neighbours: int = 0
) -> Iterable[Samples]:
    """What `iterate_fold` yields, as often as it is gone through.

    A fold of up to 1 GiB is read now and kept; a larger one is read from the file each time, so
    that memory does not grow with it.
    """
    of_fold = _Fold(store, fold, domain, neighbours)
    return list(of_fold) if of_fold.n_bytes <= _KEPT_BYTES else of_fold


@dataclass(frozen=True)
class _Fold:
    store: Store
    fold: str
    domain: str
    neighbours: int

    @property
    def n_bytes(self) -> int:
        """Memory that its images take."""
        values = math.prod(self.store.image_shape) * (2 * self.neighbours + 1)
        return self.store.n(self.fold, self.domain) * values * _VALUE_BYTES

    def __iter__(self) -> Iterator[Samples]:
        return iterate_fold(self.store, self.fold, self.domain, neighbours=self.neighbours)


def iterate_fold(
    store: Store, fold: str, domain: str, *, neighbours: int = 0, at_most: int | None = None
) -> Iterator[Samples]:
    """All samples of a fold in order, for scoring, a cache-friendly number at a time.

    Args:
        store: the data.
        fold: such as "valid".
        domain: "present" or "absent".
        neighbours: slices on either side of each image that come with it, as a stack.
        at_most: so many samples alone, spread evenly over the fold.

    Yields:
        Images (n, C, ...) float32 as networks see them, in [-1, 1], and masks (n, ...) uint8; None
        in the absence domain.
    """
    n, stacks = store.n(fold, domain), Stacks(store, fold, domain, neighbours)
    batch_size = max(1, _SCORED_PIXELS // math.prod(store.image_shape[1:]))
    chosen = np.arange(n)
    if at_most is not None and at_most < n:
        chosen = np.linspace(0, n - 1, at_most).round().astype(np.int64)
    for start in range(0, len(chosen), batch_size):
        indices = chosen[start : start + batch_size]
        masks = torch.from_numpy(store.masks(fold, indices)) if domain == "present" else None
        yield torch.from_numpy(stacks.read(indices)), masks

"""Batches as a function of the iteration alone, so that a resumed run sees the same ones."""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from segtrans.data.store import Store
from segtrans.errors import UserError

Indices = NDArray[np.int64]

# Of a batch without gradients: 64 small digits or 5 half-slices. Larger ones leave the processor's
# cache, and half-slices then take 2.7 times as long.
_SCORED_PIXELS = 64 * 48 * 48

_LABELLED, _UNLABELLED, _ABSENT = range(3)


@dataclass(frozen=True)
class Batch:
    """Images of both domains, and masks of the labelled ones; not yet augmented nor clipped.

    Attributes:
        x_P: presence images, (N, C, H, W) float32; the labelled ones come first.
        x_A: absence images, (N, C, H, W) float32.
        y: class labels of the first L images of x_P, (L, H, W) uint8; L may be 0.
    """

    x_P: Tensor
    x_A: Tensor
    y: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; from pinned memory the copy does not wait."""
        tensors = (self.x_P, self.x_A, self.y)
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in tensors))

    def pin_memory(self) -> "Batch":
        """Called by the loader, so that copies to a device do not wait."""
        return Batch(*(tensor.pin_memory() for tensor in (self.x_P, self.x_A, self.y)))


@dataclass(frozen=True)
class BatchPlan:
    """Which samples each iteration draws. Every pool is drawn without replacement in epochs.

    Attributes:
        labelled: sample indices of the labelled presence images.
        unlabelled: of the others.
        n_absent: number of absence images.
        batch_size: images of each domain in a batch.
        labelled_per_batch: labelled images in each batch; 0: as the draw has it.
        only_labelled: draw labelled images alone (segmentation only).
        seed: of every epoch's order.
    """

    labelled: Indices
    unlabelled: Indices
    n_absent: int
    batch_size: int
    labelled_per_batch: int
    only_labelled: bool
    seed: int

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be drawn."""
        wants_labelled = self.only_labelled or self.labelled_per_batch > 0
        if wants_labelled and len(self.labelled) == 0:
            raise ValueError("labelled images are wanted in every batch, and there is none")
        if not 0 <= self.labelled_per_batch <= self.batch_size:
            raise ValueError(f"{self.labelled_per_batch} labelled of {self.batch_size} in a batch")

    def at(self, iteration: int) -> tuple[Indices, Indices, int]:
        """Presence indices with the labelled ones first, absence indices, number of labelled."""
        size = self.batch_size
        absent = self._draw(np.arange(self.n_absent), _ABSENT, iteration, size)
        if self.only_labelled or len(self.unlabelled) == 0:
            return self._draw(self.labelled, _LABELLED, iteration, size), absent, size
        quota = self.labelled_per_batch
        if quota:
            labelled = self._draw(self.labelled, _LABELLED, iteration, quota)
            rest = self._draw(self.unlabelled, _UNLABELLED, iteration, size - quota)
            return np.concatenate([labelled, rest]), absent, quota
        pool = np.concatenate([self.labelled, self.unlabelled])
        present = self._draw(pool, _UNLABELLED, iteration, size)
        is_labelled = np.isin(present, self.labelled)
        ordered = np.concatenate([present[is_labelled], present[~is_labelled]])
        return ordered, absent, int(is_labelled.sum())

    def _draw(self, pool: Indices, stream: int, iteration: int, count: int) -> Indices:
        """`count` of an endless row of shuffled epochs; a batch may span two of them."""
        if count == 0:
            return pool[:0]
        positions = np.arange(iteration * count, (iteration + 1) * count)
        epochs, places = np.divmod(positions, len(pool))
        drawn = [
            pool[_order(self.seed, stream, epoch, len(pool))[places[epochs == epoch]]]
            for epoch in np.unique(epochs).tolist()
        ]
        return np.concatenate(drawn)


@functools.lru_cache(maxsize=8)
def _order(seed: int, stream: int, epoch: int, n: int) -> Indices:
    """The order of one epoch; kept, since thousands of iterations share it."""
    return np.random.default_rng((seed, stream, epoch)).permutation(n)


class TrainingBatches(Dataset[Batch]):
    """The batch of each iteration, from memory when the training fold fits, else from the file.

    Args:
        store: the data set.
        plan: which samples each iteration draws.
        memory_limit_bytes: most that the images and masks may take.

    Raises:
        UserError: an image holds NaN or an infinite value, or the file is damaged there; said when
            the image is drawn.
    """

    def __init__(self, store: Store, plan: BatchPlan, *, memory_limit_bytes: int) -> None:
        self.store, self.plan = store, plan
        self.in_memory = store.n_bytes("train") <= memory_limit_bytes
        self._arrays: tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8]] | None = None
        if self.in_memory:
            self._arrays = (
                store.images("train", "present"),
                store.images("train", "absent"),
                store.masks("train"),
            )
        self._scales = (store.scale("train", "present"), store.scale("train", "absent"))

    def __getitem__(self, iteration: int) -> Batch:
        p, a, n_labelled = self.plan.at(iteration)
        if self._arrays is not None:
            x_P, x_A, y = self._arrays[0][p], self._arrays[1][a], self._arrays[2][p[:n_labelled]]
        else:
            x_P = self.store.images("train", "present", p)
            x_A = self.store.images("train", "absent", a)
            y = self.store.masks("train", p[:n_labelled])
        return Batch(
            _to_tensor(x_P, self._scales[0], f"{self.store.path}: /train/present/image", p),
            _to_tensor(x_A, self._scales[1], f"{self.store.path}: /train/absent/image", a),
            torch.from_numpy(y),
        )


def make_loader(
    batches: TrainingBatches, start: int, stop: int, *, n_workers: int, pin: bool
) -> Iterable[Batch]:
    """Batches of iterations start to stop - 1, in order; worker processes when read from a file."""
    n_workers = 0 if batches.in_memory else n_workers
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, stop),
        num_workers=n_workers,
        # A plain fork would copy locked locks: HDF5, CUDA and the tracking client have threads.
        multiprocessing_context="forkserver" if n_workers else None,
        pin_memory=pin,
    )


def iterate_fold(store: Store, fold: str, domain: str) -> Iterator[tuple[Tensor, Tensor | None]]:
    """All samples of a fold in order, for scoring, a cache-friendly number at a time.

    Yields:
        Images (n, C, H, W) float32 as networks see them, in [-1, 1], and masks (n, H, W) uint8;
        None in the absence domain.
    """
    n = store.n(fold, domain)
    batch_size = max(1, _SCORED_PIXELS // (store.image_shape[1] * store.image_shape[2]))
    for start in range(0, n, batch_size):
        indices = np.arange(start, min(n, start + batch_size))
        masks = torch.from_numpy(store.masks(fold, indices)) if domain == "present" else None
        yield read_images(store, fold, domain, indices), masks


def read_images(store: Store, fold: str, domain: str, indices: Indices) -> Tensor:
    """Images (n, C, H, W) float32 as networks see them: clipped to [-1, 1], not augmented.

    Raises:
        UserError: an image holds NaN or an infinite value, or the file is damaged there.
    """
    images = store.images(fold, domain, indices)
    place = f"{store.path}: /{fold}/{domain}/image"
    return _to_tensor(images, store.scale(fold, domain), place, indices).clamp_(-1, 1)


def _to_tensor(images: NDArray[Any], scale: float, place: str, indices: Indices) -> Tensor:
    if images.dtype.kind == "f":  # whole numbers are always finite
        is_finite = np.isfinite(images).all(axis=(1, 2, 3))
        if not is_finite.all():
            raise UserError(
                f"{place}: image {indices[np.argmin(is_finite)]} holds NaN or an infinite value; "
                "make the data set again"
            )
    return torch.from_numpy(images).float() * scale

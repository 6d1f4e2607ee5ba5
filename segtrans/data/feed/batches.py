"""Batches as a function of the iteration alone, so that a resumed run sees the same ones."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from segtrans.batch import Batch
from segtrans.data.pathologies import read_knowledge
from segtrans.data.stacks import Stacks
from segtrans.data.store import DOMAINS, Store
from segtrans.tasks.base import VOID

Indices = NDArray[np.int64]

# What a training fold may take of the processor's memory, and of a GPU's while nothing else is on
# it: the rest is for networks and their activations.
_CPU_BYTES = 8 * 2**30
_GPU_SHARE = 0.25
_READ_BYTES = 64 * 2**20  # read at a time, so that a fold on a GPU never stands in host memory too

_LABELLED, _UNLABELLED, _ABSENT = range(3)


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
        n_iterations: length of the training.
        seed: of every epoch's order.
    """

    labelled: Indices
    unlabelled: Indices
    n_absent: int
    batch_size: int
    labelled_per_batch: int
    only_labelled: bool
    n_iterations: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be drawn."""
        wants_labelled = self.only_labelled or self.labelled_per_batch > 0
        if wants_labelled and len(self.labelled) == 0:
            raise ValueError("labelled images are wanted in every batch, and there is none")
        if not 0 <= self.labelled_per_batch <= self.batch_size:
            raise ValueError(f"{self.labelled_per_batch} labelled of {self.batch_size} in a batch")

    @functools.cached_property
    def n_slots(self) -> int:
        """Most labelled images that a batch of this training has."""
        return self._quota or self._most_labelled()

    def at(self, iteration: int) -> tuple[Indices, Indices, int]:
        """Presence indices with the labelled ones first, absence indices, number of labelled."""
        size, quota = self.batch_size, self._quota
        n_labelled, n_unlabelled = len(self.labelled), len(self.unlabelled)
        absent = self._draw(self.n_absent, _ABSENT, iteration, size)
        if quota:
            labelled = self._draw(n_labelled, _LABELLED, iteration, quota)
            rest = self._draw(n_unlabelled, _UNLABELLED, iteration, size - quota)
            return np.concatenate([self.labelled[labelled], self.unlabelled[rest]]), absent, quota
        places = self._draw(n_labelled + n_unlabelled, _UNLABELLED, iteration, size)
        is_labelled = places < n_labelled  # which stand first
        present = np.concatenate(
            [self.labelled[places[is_labelled]], self.unlabelled[places[~is_labelled] - n_labelled]]
        )
        return present, absent, int(is_labelled.sum())

    @property
    def _quota(self) -> int:
        """Labelled images in every batch; 0: as the draw has it."""
        has_no_other = self.only_labelled or len(self.unlabelled) == 0
        return self.batch_size if has_no_other else self.labelled_per_batch

    def _most_labelled(self) -> int:
        """Counted epoch by epoch over all iterations, without drawing a batch."""
        n = len(self.labelled) + len(self.unlabelled)
        counts = np.zeros(self.n_iterations, np.int64)
        for epoch in range(-(-self.n_iterations * self.batch_size // n)):
            # The labelled ones stand first in the pool.
            places = np.flatnonzero(_order(self.seed, _UNLABELLED, epoch, n) < len(self.labelled))
            iterations = (epoch * n + places) // self.batch_size
            np.add.at(counts, iterations[iterations < self.n_iterations], 1)
        return int(counts.max())

    def _draw(self, n: int, stream: int, iteration: int, count: int) -> Indices:
        """`count` places in a pool of n: shuffled epochs in an endless row, of which some follow.

        A batch may span two epochs. No step is as long as the pool, but once an epoch.
        """
        if count == 0:
            return np.arange(0)
        epochs, places = np.divmod(np.arange(iteration * count, (iteration + 1) * count), n)
        drawn = [
            _order(self.seed, stream, epoch, n)[places[epochs == epoch]]
            for epoch in range(int(epochs[0]), int(epochs[-1]) + 1)
        ]
        return np.concatenate(drawn)


@functools.lru_cache(maxsize=8)
def _order(seed: int, stream: int, epoch: int, n: int) -> Indices:
    """The order of one epoch; kept, since thousands of iterations share it."""
    return np.random.default_rng((seed, stream, epoch)).permutation(n)


def memory_for_data(device: torch.device) -> int:
    """Bytes of a device that a training fold may take, before anything else is put there."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(_GPU_SHARE * free)
    return _CPU_BYTES


class TrainingBatches(Dataset[Batch]):
    """The batch of each iteration, from the device's memory when the fold fits, else from the file.

    A fold in memory is held as stored. Making a batch of it sends a few indices to the device and
    never waits for it.

    Args:
        store: the data set.
        plan: which samples each iteration draws.
        device: where batches are wanted.
        memory_limit_bytes: most that the images and masks may take there.
        neighbours: slices on either side of each image that come with it, as a stack.
        tells_apart: whether several pathologies are wanted each by itself; else they are one target
            (`masks_of_any`), and nothing more is said of them.

    Raises:
        UserError: an image holds NaN or an infinite value, or the file is damaged there; said at
            once of a fold in memory, else when the image is drawn. Or there are fewer neighbours.
    """

    def __init__(
        self,
        store: Store,
        plan: BatchPlan,
        *,
        device: torch.device,
        memory_limit_bytes: int,
        neighbours: int = 0,
        tells_apart: bool = True,
    ) -> None:
        self.store, self.plan, self.device = store, plan, device
        self._n_slots = plan.n_slots  # counted here once, not in every reading process
        self._scales = (store.scale("train", "present"), store.scale("train", "absent"))
        self._stacks = tuple(Stacks(store, "train", domain, neighbours) for domain in DOMAINS)
        known = read_knowledge(store, "train")
        # A few bytes an image: held wherever batches are made.
        is_held = store.n_bytes("train") <= memory_limit_bytes
        place = device if is_held else torch.device("cpu")
        self._known = tuple(torch.from_numpy(of).to(place) for of in known or ())
        self._tells_apart = tells_apart
        self._held: tuple[Tensor, Tensor, Tensor] | None = None
        if is_held:
            # Stacks of P and of A share their slices.
            by_parts = {of.parts: of for of in self._stacks}
            pools = {
                parts: _hold(functools.partial(_read_pool, of), of.n_pool, device)
                for parts, of in by_parts.items()
            }
            masks = _hold(self._read_masks, store.n("train", "present"), device)
            self._held = (pools[self._stacks[0].parts], pools[self._stacks[1].parts], masks)

    @property
    def is_held(self) -> bool:
        """Whether the fold is in the device's memory, and so is every batch."""
        return self._held is not None

    def __getitem__(self, iteration: int) -> Batch:
        p, a, n_labelled = self.plan.at(iteration)
        slices = [of.places(at) for of, at in zip(self._stacks, (p, a), strict=True)]
        if self._held is None:
            x_P, x_A = (
                _read_pool(of, at.ravel()) for of, at in zip(self._stacks, slices, strict=True)
            )
            y = self._read_masks(p[:n_labelled])
            known = [of[torch.from_numpy(p)] for of in self._known]
        else:
            at_P, at_A = torch.split(self._send(np.concatenate(slices)), [len(p), len(a)])
            x_P, x_A = (
                held.index_select(0, at.flatten())
                for held, at in zip(self._held[:2], (at_P, at_A), strict=True)
            )
            # Slices of P stand first in either pool.
            y = self._held[2].index_select(0, at_P[:n_labelled, at_P.shape[1] // 2])
            middle = at_P[:, at_P.shape[1] // 2]
            known = [of.index_select(0, middle) for of in self._known]
        if known and not self._tells_apart:
            y, known = masks_of_any(y, *(of[:n_labelled] for of in known)), []
        # Slices side by side.
        x_P, x_A = (x.view(len(p), -1, *x.shape[2:]) for x in (x_P, x_A))
        # A fixed number of masks, or none: shapes that vary cost a GPU time.
        n_missing = self._n_slots - n_labelled if n_labelled else 0
        images = {"present": x_P.float() * self._scales[0], "absent": x_A.float() * self._scales[1]}
        return Batch(images, torch.cat([y, y.new_full((n_missing, *y.shape[1:]), VOID)]), *known)

    def _send(self, indices: Indices) -> Tensor:
        tensor = torch.from_numpy(indices)
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def _read_masks(self, indices: Indices) -> Tensor:
        return torch.from_numpy(self.store.masks("train", indices))


def masks_of_any(masks: Tensor, t: Tensor, has_mask: Tensor) -> Tensor:
    """Masks (L, H, W) for methods that take all pathologies for one target.

    `VOID` where none is seen and one may be that no mask says anything of.

    Args:
        masks: uint8, bit k of pathology k.
        t: (L, K) uint8, as in `segtrans.data.pathologies.Knowledge`.
        has_mask: likewise.
    """
    is_whole = ((has_mask > 0) | (t == 0)).all(dim=1)[:, None, None]
    return masks.where(is_whole | (masks > 0), VOID)


def _read_pool(stacks: Stacks, places: Indices) -> Tensor:
    return torch.from_numpy(stacks.read_pool(places))


def _hold(read: Callable[[Indices], Tensor], n: int, device: torch.device) -> Tensor:
    """All n samples as stored, on a device."""
    none = read(np.arange(0))
    held = torch.empty((n, *none.shape[1:]), dtype=none.dtype, device=device)
    n_at_once = max(1, _READ_BYTES * n // max(1, held.nbytes))
    for indices in np.split(np.arange(n), range(n_at_once, n, n_at_once)):
        held[indices[0] : indices[-1] + 1] = read(indices)
    return held


def make_loader(
    batches: TrainingBatches, start: int, stop: int, *, n_workers: int
) -> Iterator[Batch]:
    """Batches of iterations start to stop - 1, in order, on their device.

    Those of a fold that does not fit are read by worker processes while earlier ones train; the
    copy to a GPU waits for nothing.
    """
    if batches.is_held:
        return (batches[iteration] for iteration in range(start, stop))
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, stop),
        num_workers=n_workers,
        # A plain fork would copy locked locks: HDF5, CUDA and the tracking client have threads.
        multiprocessing_context="forkserver" if n_workers else None,
        pin_memory=batches.device.type == "cuda",
    )
    return (batch.to(batches.device) for batch in loader)

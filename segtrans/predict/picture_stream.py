"""Pictures through a method's networks: reading, networks and writing at the same time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segtrans.methods.asked_again import inference
from segtrans.methods.inference import Segments, device_of, removal
from segtrans.predict.picture_list import PictureFiles
from segtrans.processors import n_processors
from segtrans.sources.image_folder.fitting import Fitting

BATCH_SIZE = 8

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Loaded:
    """A picture that was read.

    Attributes:
        files: its files.
        sources: SHA-256 of each.
        picture: (H, W, C), as they hold it.
        fitting: of this size to the task.
        views: (n, C, h, w) float32: what networks are to see of it.
    """

    files: PictureFiles
    sources: tuple[str, ...]
    picture: NDArray[Any]
    fitting: Fitting
    views: NDArray[np.float32]


@dataclass
class _Waiting:
    """A picture some of whose views were predicted: a list of maps for each view."""

    loaded: Loaded
    outputs: list[tuple[NDArray[np.float32], ...]] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return len(self.outputs) == len(self.loaded.views)

    @property
    def result(self) -> tuple[Loaded, list[NDArray[np.float32]]]:
        return self.loaded, [np.stack(maps) for maps in zip(*self.outputs, strict=True)]


class Networks:
    """The maps of a method for views of pictures, in batches of one size.

    Args:
        method: in evaluation mode, on its device.
        with_translation: whether images without the target and residuals are wanted too.
    """

    def __init__(self, method: nn.Module, *, with_translation: bool) -> None:
        self._method, self.with_translation = method, with_translation

    def __call__(self, views: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Maps of (n, C, h, w) with n up to `BATCH_SIZE`.

        The batch is filled up: convolutions round otherwise in a smaller one, and what is made of
        a picture must not depend on those beside it.

        Returns:
            Probabilities (n, K, h, w); translations and residuals (n, C, h, w) where wanted, of
            several pathologies residuals (n, K, C, h, w).
        """
        n = len(views)
        missing = ((0, BATCH_SIZE - n), (0, 0), (0, 0), (0, 0))
        x = torch.from_numpy(np.pad(views, missing)).to(device_of(self._method))
        with inference(self._method):
            maps = [cast(Segments, self._method).segment(x)]
            if self.with_translation:
                maps += removal(self._method, x)
        return tuple(tensor[:n].float().cpu().numpy() for tensor in maps)


@contextmanager
def one_processor_left() -> Iterator[None]:
    """In the block networks on the CPU leave a processor to what reads and writes.

    The threads of an operation spin while they wait for each other: if a reader holds up one of
    them, all others burn their time (docs/performance.md).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, n_processors() - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def through(
    networks: Networks, pictures: Iterable[Loaded]
) -> Iterator[tuple[Loaded, list[NDArray[np.float32]]]]:
    """Give each picture, in their order, with its maps: those of all its views, (n, ., h, w)."""
    queue: deque[_Waiting] = deque()
    batch: list[tuple[_Waiting, NDArray[np.float32]]] = []
    for loaded in pictures:
        queue.append(_Waiting(loaded))
        for view in loaded.views:
            batch.append((queue[-1], view))
            if len(batch) == BATCH_SIZE:
                _run(batch, networks)
                batch = []
        while queue and queue[0].is_complete:
            yield queue.popleft().result
    if batch:
        _run(batch, networks)
    yield from (waiting.result for waiting in queue)


def _run(batch: list[tuple[_Waiting, NDArray[np.float32]]], networks: Networks) -> None:
    outputs = networks(np.stack([view for _, view in batch]))
    for (waiting, _), *maps in zip(batch, *outputs, strict=True):
        waiting.outputs.append(tuple(maps))


def in_order(
    pool: Executor, function: Callable[[_Item], _Result], items: Iterable[_Item], *, ahead: int
) -> Iterator[_Result]:
    """Results of a function in the order of items, at most `ahead` of them being made or waiting.

    Items are asked for when there is room, so that what makes them is held back too.
    """
    futures: deque[Future[_Result]] = deque()
    for item in items:
        futures.append(pool.submit(function, item))
        if len(futures) >= ahead:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()

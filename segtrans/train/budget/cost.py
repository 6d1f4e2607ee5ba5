"""What one iteration of a training costs, found by going through it without any data."""

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from segtrans.batch import Batch
from segtrans.config.catalogue import METHODS
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Method, plain_step
from segtrans.methods.weights import build_method
from segtrans.nets.upsampling import forget_constants


@dataclass(frozen=True)
class IterationCost:
    """One iteration in single precision.

    Attributes:
        flops: of convolutions and matrix products, a multiplication and an addition each counted;
            the mean over the stages of a training that has several.
        peak_bytes: of all tensors that live at once: weights, gradients, moments, activations. What
            libraries take for themselves comes on top.
    """

    flops: int
    peak_bytes: int


def iteration_cost(config: RunConfig) -> IterationCost:
    """The cost of a full batch with its labelled images: all, the quota or what the fraction gives.

    The update itself runs on tensors that have shapes but no values, so the figures are those of
    the code as it is, for any method.
    """
    size = config.training.batch_size
    n_labelled = config.labels.per_batch or math.ceil(config.labels.fraction * size)
    if METHODS[config.method].only_labelled:
        n_labelled = size
    method = build_method(config)  # in the mode below this takes several times as long
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            return _cost(config, n_labelled, lambda: method.to_empty(device="cpu"))
    finally:
        forget_constants()


def cost_of_updates(config: RunConfig, n_labelled: int) -> IterationCost:
    """The same by updates on tensors with values: of small ones it is faster.

    Args:
        config: of the run.
        n_labelled: images of P with a mask.
    """
    return _cost(config, n_labelled, lambda: build_method(config))


def _cost(config: RunConfig, n_labelled: int, make: Callable[[], Method]) -> IterationCost:
    task, size = config.definition, config.training.batch_size
    with _LiveBytes() as live:
        method = make()
        method.prepare(config.training)
        x = torch.zeros(size, config.n_input_channels, *task.image_size)
        y = torch.zeros(n_labelled, *task.image_size, dtype=torch.uint8)
        n_iterations, flops = config.training.iterations, {}
        # One of the first, of the middle and of the last: stages are of equal length.
        stages = [method.stage(t) for t in (0, n_iterations // 2, n_iterations - 1)]
        for stage in sorted({*stages}):
            for _ in range(2):  # the moments of the optimiser appear in the first one
                step = plain_step(torch.Generator(), stage=stage)
                with FlopCounterMode(display=False) as counter:
                    method.update(Batch.of(x, x, y), step)
            flops[stage] = counter.get_total_flops()
    return IterationCost(sum(flops[stage] for stage in stages) // len(stages), live.peak)


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages of all tensors made inside, until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        return output

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        n_bytes = storage.nbytes()
        self.live += n_bytes
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, n_bytes)

    def _free(self, n_bytes: int) -> None:
        self.live -= n_bytes

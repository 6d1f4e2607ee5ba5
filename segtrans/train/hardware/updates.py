"""On a GPU, a training's updates as CUDA graphs: one launch instead of some thousand."""

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import torch

from segtrans.batch import Batch
from segtrans.methods.base import Engine, Method, Step, Terms
from segtrans.processes import n_processes

# Before one is captured: optimisers make their moments, networks their constants, libraries choose.
_N_BY_ITSELF = 3

# Updates of one kind are the same operations: by the stage of the training, and the shapes.
Kind = tuple[int, tuple[torch.Size, ...]]


class _Captured(NamedTuple):
    graph: torch.cuda.CUDAGraph
    batch: Batch
    terms: Terms


class Updates:
    """Updates a method on one batch after the other.

    Each operation is launched by itself at first; once batches of a shape have come a few times in
    a stage of the training, and if the method allows it and trains alone on a GPU, their update is
    captured and from then on replayed. The results are the same: a replayed update reads the batch,
    the iteration and the generator's seed anew.

    Args:
        method: with its optimisers, on its device.
        engine: precision and backward.

    Attributes:
        generator: on the device; every update draws from it, so it is to be seeded before each.
    """

    def __init__(self, method: Method, engine: Engine) -> None:
        device = next(method.parameters()).device
        self._method = method
        self._may_capture = method.is_replayable and device.type == "cuda" and n_processes() == 1
        # One generator for all: a graph goes on drawing from the one that it was captured with.
        self.generator = torch.Generator(device)
        self._step = Step(engine, self.generator, torch.zeros((), device=device))
        self._captured: dict[Kind, _Captured] = {}
        self._n_seen: Counter[Kind] = Counter()
        self._pool = torch.cuda.graph_pool_handle() if self._may_capture else None

    def __call__(self, batch: Batch, iteration: int) -> Terms:
        """One update on a batch, as `Method.update`; it draws from `generator`.

        Args:
            batch: on the device.
            iteration: number of the update, from 0.

        Returns:
            The terms; of a replayed update the next call overwrites them.
        """
        step = replace(self._step, stage=self._method.stage(iteration))
        kind = (step.stage, batch.shapes)
        step.iteration.fill_(iteration)
        if not self._may_capture or self._n_seen[kind] < _N_BY_ITSELF:
            self._n_seen[kind] += 1
            return self._method.update(batch, step)
        if kind not in self._captured:
            self._captured[kind] = self._capture(batch, step)
        captured = self._captured[kind]
        captured.batch.copy_(batch)
        captured.graph.replay()
        return captured.terms

    def _capture(self, batch: Batch, step: Step) -> _Captured:
        """Record an update without doing it."""
        for optimiser in self._method.optimisers.values():
            optimiser.zero_grad()  # makes room: the graph has gradients of its own
            for group in optimiser.param_groups:
                group["capturable"] = True
        graph, own = torch.cuda.CUDAGraph(), batch.clone()
        graph.register_generator_state(self.generator)
        # Only this thread's calls are watched: another one may be pinning memory for batches.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            terms = self._method.update(own, step)
        return _Captured(graph, own, terms)

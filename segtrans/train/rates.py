"""Learning rates that fall towards the end of a training."""

import torch

from segtrans.config.blocks import TrainingParams
from segtrans.methods.base import Method


class Rates:
    """Sets the rates of a method's optimisers: `training.decay_from` says from when on they fall.

    They depend on the iteration alone, so that a resumed training has those it would have had.

    Args:
        method: with its optimisers, as they were made, on its device.
        training: has the share of the iterations from which on rates fall linearly to 0.
    """

    def __init__(self, method: Method, training: TrainingParams) -> None:
        self._method, self._n = method, training.iterations
        self._start = round(training.decay_from * training.iterations)
        self._device = next(method.parameters()).device
        self._initial = {
            name: [group["lr"] for group in optimiser.param_groups]
            for name, optimiser in method.optimisers.items()
        }

    def factor(self, iteration: int) -> float:
        """What the rates of an update are multiplied by, in (0, 1].

        Args:
            iteration: number of the update, from 0.
        """
        if iteration < self._start:
            return 1.0
        return (self._n - iteration) / (self._n - self._start)

    def set(self, iteration: int) -> None:
        """Set all rates for an update, to be called before it."""
        if self._start == self._n:
            return
        factor = self.factor(iteration)
        for name, optimiser in self._method.optimisers.items():
            for group, initial in zip(optimiser.param_groups, self._initial[name], strict=True):
                if self._device.type == "cpu":
                    group["lr"] = initial * factor
                    continue
                # A recorded update reads its rates where they were when it was recorded.
                rate = group["lr"]
                if not isinstance(rate, torch.Tensor) or rate.device != self._device:
                    rate = group["lr"] = torch.zeros((), device=self._device)
                rate.fill_(initial * factor)

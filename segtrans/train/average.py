"""An exponential average of a training's weights: less noisy than any of them.

Of those that are trained: a teacher (`segtrans.methods.teacher`) is an average already.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from segtrans.nets.convolution import settled_spectrum


class WeightAverage:
    """The average of a method's trained parameters, kept beside them; nothing without a decay.

    Args:
        method: on its device.
        decay: share of the average that an update leaves, in [0, 1). In the n-th it is at most
            n / (n + 9), so that the initial weights are soon forgotten.

    Attributes:
        weights: the average by the parameter's name; empty when the decay is 0.
    """

    def __init__(self, method: nn.Module, decay: float) -> None:
        self.decay = decay
        named = method.named_parameters() if decay else ()
        self.weights: dict[str, Tensor] = {
            name: p.detach().clone() for name, p in named if p.requires_grad
        }

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Take over what a checkpoint holds."""
        for name, average in self.weights.items():
            average.copy_(weights[name])

    @torch.no_grad()
    def add(self, method: nn.Module, n: int) -> None:
        """Take in the parameters after an update, the n-th from 1 of the stage of the training."""
        if self.weights:
            decay = min(self.decay, n / (n + 9))
            parameters = [p.detach() for p in method.parameters() if p.requires_grad]
            torch._foreach_lerp_(list(self.weights.values()), parameters, 1 - decay)

    @contextmanager
    def in_place(self, method: nn.Module) -> Iterator[None]:
        """Inside the block the method's parameters are the average.

        Weights with a spectral norm are normalised again, over their own largest singular value:
        that of an average is not the average of the largest singular values. Afterwards parameters
        and singular vectors are the newest ones, to the last bit.
        """
        if not self.weights:
            yield
            return
        parameters = {name: p for name, p in method.named_parameters() if name in self.weights}
        newest = {name: p.detach().clone() for name, p in parameters.items()}
        try:
            _set(parameters, self.weights)
            with settled_spectrum(method):
                yield
        finally:
            _set(parameters, newest)


@torch.no_grad()
def _set(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(values[name])

"""What a method makes of images is asked for in several ways: nothing of it is made twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

from segtrans.nets.convolution import SharedWeights

_Made = TypeVar("_Made")


class Keeps:
    """Networks that keep what they made last, while in a block of `inference`.

    Attributes:
        kept: by what made it: of what, and the result; None outside of such a block.
    """

    kept: dict[str, tuple[tuple[Any, ...], Any]] | None = None

    def once(self, make: Callable[..., _Made], *of: Any) -> _Made:
        """`make(*of)`, or what it gave for the very same objects when it was last called."""
        if self.kept is None:
            return make(*of)
        before, made = self.kept.get(make.__name__, ((), None))
        if len(before) != len(of) or any(a is not b for a, b in zip(before, of, strict=True)):
            made = make(*of)
            self.kept[make.__name__] = (of, made)
        result: _Made = made
        return result


@contextmanager
def inference(method: nn.Module) -> Iterator[None]:
    """In the block weights are normalised once, what is made of a batch is made once, no gradients.

    The numbers are the same, bit for bit. Weights, and the images that are asked about, must not
    be changed in place inside it.

    Args:
        method: in evaluation mode, on its device.
    """
    keeping = [module for module in method.modules() if isinstance(module, Keeps)]
    # No inference mode: caches share tensors with training.
    with torch.no_grad(), SharedWeights(method).normalised(update=False):
        for module in keeping:
            module.kept = {}
        try:
            yield
        finally:
            for module in keeping:
                module.kept = None

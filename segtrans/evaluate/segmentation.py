"""Run a trained method on images, whatever its kind and device."""

from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn


class Segments(Protocol):
    """Every method."""

    def segment(self, x: Tensor) -> Tensor:
        """Probabilities (N, K, H, W) of images (N, C, H, W)."""
        ...


@runtime_checkable
class Translates(Protocol):
    """A method that translates between the domains."""

    def remove(self, x_P: Tensor) -> tuple[Tensor, Tensor]:
        """Images x_PA and residuals delta_PA."""
        ...

    def insert(self, x_A: Tensor, u_prior: Tensor) -> tuple[Tensor, Tensor]:
        """Images x_AP and residuals delta_AP."""
        ...

    def sample_u(self, x_A: Tensor, generator: torch.Generator) -> Tensor:
        """Unique codes from the prior for images x_A."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """A method that reconstructs its input."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images like x."""
        ...


def lesion_probability(method: nn.Module, x: Tensor) -> Tensor:
    """Probability that a pixel belongs to a lesion of any class.

    Args:
        method: has `segment`.
        x: images (N, C, H, W) float32, on any device.

    Returns:
        (N, H, W) in [0, 1], on the method's device: the one map of a sigmoid output, or all but
        the background (the first map) of a softmax output.
    """
    with torch.no_grad():
        y_seg = cast(Segments, method).segment(x.to(device_of(method), non_blocking=True))
    return y_seg[:, 0] if y_seg.shape[1] == 1 else 1 - y_seg[:, 0]


def device_of(method: nn.Module) -> torch.device:
    """Where the method's weights are."""
    return next(method.parameters()).device

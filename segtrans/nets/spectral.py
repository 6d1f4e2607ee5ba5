"""The one convolution of all networks, and spectral normalisation (reference 30 of the paper)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Enough for u and v to point the right way before the first training step; torch's number too.
_INITIAL_POWER_ITERATIONS = 15


@contextmanager
def normalised_weights(module: nn.Module, *, update: bool) -> Iterator[None]:
    """Normalise every weight of `module` once; all forward passes inside the block share them.

    Gradients flow through the weights, those in sigma included; u and v are constants, as in
    `torch.nn.utils.parametrizations.spectral_norm`. Outside of a block each forward pass
    normalises for itself and never updates u and v. Networks without spectral norm are untouched.

    Args:
        module: network, or several in one module.
        update: first improve u and v by one power iteration, in place (once per training step).

    Raises:
        RuntimeError: `module` is inside such a block already.
    """
    convolutions = [m for m in module.modules() if isinstance(m, Convolution) and m.spectral_norm]
    if any(convolution.shared_weight is not None for convolution in convolutions):
        raise RuntimeError("normalised_weights: the module's weights are normalised already")
    try:
        for convolution in convolutions:
            convolution.shared_weight = convolution.normalised_weight(update=update)
        yield
    finally:
        for convolution in convolutions:
            convolution.shared_weight = None


class Convolution(nn.Conv2d):
    """Reflection-padded convolution with Kaiming-normal weights and zero biases (appendix A).

    An image side of n pixels becomes n at stride 1 and, at stride 2, n / 2 rounded up for odd
    kernels and down for even ones. Even kernels at stride 1 are padded by one pixel less before
    than after.

    Attributes:
        u: left singular vector of the flattened weight, estimated, (out_channels,); absent
            without spectral norm.
        v: right singular vector, (in_channels * kernel_size ** 2,); likewise.
        shared_weight: weight / sigma while inside `normalised_weights`.
    """

    u: Tensor
    v: Tensor
    shared_weight: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        spectral_norm: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding="same" if stride == 1 else (kernel_size - 1) // 2,
            # Padding a 1 x 1 convolution by nothing "by reflection" would copy its input.
            padding_mode="zeros" if kernel_size == 1 else "reflect",
        )
        self.spectral_norm = spectral_norm
        self.shared_weight = None
        with torch.no_grad():
            nn.init.kaiming_normal_(self.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(self.get_parameter("bias"))
            if spectral_norm:
                self._start_power_iteration(generator)

    def reset_parameters(self) -> None:
        """Left to __init__: torch's own would draw from the global generator."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve images (N, in_channels, H, W)."""
        weight = self.weight
        if self.shared_weight is not None:
            weight = self.shared_weight
        elif self.spectral_norm:
            weight = self.normalised_weight(update=False)
        y: Tensor = self._conv_forward(x, weight, self.bias)
        return y

    def normalised_weight(self, *, update: bool) -> Tensor:
        """The weight divided by its largest singular value sigma = u' W v, in its own precision."""
        # Autocast would estimate sigma to three digits.
        with torch.autocast(self.weight.device.type, enabled=False):
            if update:
                self._iterate()
            sigma = torch.dot(self.u, self.weight.flatten(1).mv(self.v))
            return self.weight * sigma.reciprocal()

    def _start_power_iteration(self, generator: torch.Generator) -> None:
        n_rows, n_columns = self.weight.flatten(1).shape
        self.register_buffer("u", self.weight.new_zeros(n_rows))
        self.register_buffer("v", torch.randn(n_columns, generator=generator))
        for _ in range(_INITIAL_POWER_ITERATIONS):
            self._iterate()

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight.flatten(1)
        self.u.copy_(F.normalize(matrix.mv(self.v), dim=0))
        self.v.copy_(F.normalize(matrix.t().mv(self.u), dim=0))

"""The one convolution of all networks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrans.nets.rectifier import rectified
from segtrans.nets.spectral import Spectrum
from segtrans.precision import at_least_single, without_autocast

# Enough for u and v to point the right way before the first training step; torch's number too.
_INITIAL_POWER_ITERATIONS = 15


Form = Callable[[Tensor], Tensor]


def _as_it_is(weight: Tensor) -> Tensor:
    return weight


class SharedWeights:
    """Normalises the weights of networks once for many forward passes.

    Args:
        module: network, or several in one module, on its device; networks without spectral norm
            are untouched.
    """

    def __init__(self, module: nn.Module) -> None:
        self.convolutions = [
            m for m in module.modules() if isinstance(m, Convolution) and m.spectral_norm
        ]
        self.spectrum = Spectrum(
            [convolution.weight for convolution in self.convolutions],
            [convolution.u for convolution in self.convolutions],
            [convolution.v for convolution in self.convolutions],
        )

    @contextmanager
    def normalised(self, *, update: bool) -> Iterator[None]:
        """All forward passes inside the block share the weights that are normalised at its start.

        Outside of a block each forward pass normalises for itself and never updates u and v.

        Args:
            update: first improve u and v by one power iteration, in place (once per training
                step).

        Raises:
            RuntimeError: inside such a block already.
        """
        if any(convolution.shared is not None for convolution in self.convolutions):
            raise RuntimeError("SharedWeights: the module's weights are normalised already")
        try:
            weights = self.spectrum.normalised(update=update)
            for convolution, weight in zip(self.convolutions, weights, strict=True):
                convolution.shared = {_as_it_is: convolution.as_read(weight)}
            yield
        finally:
            for convolution in self.convolutions:
                convolution.shared = None


@contextmanager
def settled_spectrum(module: nn.Module) -> Iterator[None]:
    """Inside the block u and v of all trained weights fit them; after it they are as before.

    Args:
        module: with new weights, in no block of `SharedWeights`.
    """
    trained = [c for c in SharedWeights(module).convolutions if c.weight.requires_grad]
    if not trained:
        yield
        return
    spectrum = Spectrum([c.weight for c in trained], [c.u for c in trained], [c.v for c in trained])
    vectors = [*spectrum.us, *spectrum.vs]
    before = [vector.clone() for vector in vectors]
    try:
        for _ in range(_INITIAL_POWER_ITERATIONS):
            spectrum.improve()
        yield
    finally:
        for vector, earlier in zip(vectors, before, strict=True):
            vector.copy_(earlier)


def channels_last(x: Tensor) -> Tensor:
    """The same (N, C, H, W) with the channels of a pixel side by side in memory; volumes unchanged.

    Convolutions, layer norm and padding are faster so, most of all with few channels; instance norm
    is slower. Images of one channel lie the same in memory either way; this makes their strides say
    so, where `contiguous` would leave them.
    """
    return x.to(memory_format=torch.channels_last) if x.ndim == 4 else x


class Convolution(nn.Module):
    """Reflection-padded convolution with Kaiming-normal weights and zero biases (appendix A).

    Of images (N, C, H, W), or with three dimensions of volumes (N, C, D, H, W): all that is said of
    two axes here and in the other modules holds for three.

    An image side of n pixels becomes n at stride 1 and, at stride 2, n / 2 rounded up for odd
    kernels and down for even ones. Even kernels at stride 1 are padded by one pixel less before
    than after.

    Attributes:
        weight: (out_channels, in_channels, k, k), or (..., k, k, k).
        bias: (out_channels,).
        u: left singular vector of the flattened weight, estimated, (out_channels,); absent
            without spectral norm.
        v: right singular vector, (in_channels * k * k,), in the order of the weight in memory;
            likewise.
        shared: weight / sigma, by the form in which it was asked for, while inside a block of
            `SharedWeights`.
    """

    u: Tensor
    v: Tensor
    shared: dict[Form, Tensor] | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        spectral_norm: bool,
        reads_channels_last: bool = False,
        n_dimensions: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = (kernel_size,) * n_dimensions, (stride,) * n_dimensions
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *self.kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        before = (kernel_size - 1) // 2
        after = before if stride > 1 else kernel_size - 1 - before
        self.reflected = (before, after) * n_dimensions
        self.spectral_norm = spectral_norm
        self.reads_channels_last = reads_channels_last
        self.shared = None
        with torch.no_grad():
            nn.init.kaiming_normal_(self.weight, nonlinearity="relu", generator=generator)
            self.weight.data = self.as_read(self.weight)
            if spectral_norm:
                self._start_power_iteration(generator)

    def forward(self, x: Tensor, slope: float | None = None) -> Tensor:
        """Convolve images (N, in_channels, H, W).

        Args:
            x: images.
            slope: of negative values in the (leaky) ReLU that comes first; None: there is none.
        """
        if slope is not None:
            x = rectified(x, self.reflected, slope=slope)
        elif any(self.reflected):
            x = F.pad(x, self.reflected, mode="reflect")
        # Padding cannot tell how images of one channel lie.
        return self._convolved(self.as_read(x), self.current_weight())

    def current_weight(self, form: Form = _as_it_is) -> Tensor:
        """The weight that convolves, (out, in, k, k): normalised where it is to be.

        Args:
            form: what to make of it; made once in a block of `SharedWeights`.
        """
        if self.shared is None:
            weight: Tensor = self.weight
            if self.spectral_norm:
                weight = self._spectrum().normalised(update=False)[0]
            return form(weight)
        if form not in self.shared:
            self.shared[form] = form(self.shared[_as_it_is])
        return self.shared[form]

    def as_read(self, x: Tensor) -> Tensor:
        """Images or weights in the memory format that this convolution reads."""
        return channels_last(x) if self.reads_channels_last else x

    def _convolved(self, x: Tensor, weight: Tensor) -> Tensor:
        convolve = F.conv2d if x.ndim == 4 else F.conv3d
        if not self._may_be_left_unwritten(x):
            return convolve(x, weight, self.bias, self.stride)
        rounded = torch.get_autocast_dtype("cpu")
        with without_autocast(x.device):
            y = convolve(at_least_single(x), weight, self.bias, self.stride)
        return y.to(rounded)

    def _may_be_left_unwritten(self, x: Tensor) -> bool:
        """Whether a CPU would round this convolution, and may leave parts of it as memory was.

        In bf16, with AMX, oneDNN 3.12 does so at stride 2: to outputs one pixel wide, and of
        volumes to the gradient of voxels that a convolution to one channel did not read.
        """
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or max(self.stride) == 1:
            return False
        return x.ndim == 5 or x.shape[-1] < self.kernel_size[-1] + self.stride[-1]

    def _start_power_iteration(self, generator: torch.Generator) -> None:
        n_rows, n_columns = self.weight.flatten(1).shape
        self.register_buffer("u", self.weight.new_zeros(n_rows))
        self.register_buffer("v", torch.randn(n_columns, generator=generator))
        for _ in range(_INITIAL_POWER_ITERATIONS):
            self._spectrum().improve()

    def _spectrum(self) -> Spectrum:
        return Spectrum([self.weight], [self.u], [self.v])

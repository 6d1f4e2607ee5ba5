"""The parts that encoder, decoders and discriminators are made of (appendix A)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrans.nets.convolution import Convolution, channels_last
from segtrans.nets.upsampling import upsample, upsampled_convolution

_FEW_CHANNELS = 16
LONG_SKIPS = ("compress", "concat", "sum", "none")


def instance_norm(x: Tensor) -> Tensor:
    """Each map of (N, C, H, W) to mean 0 and variance 1: (x - mean) / sqrt(variance + 1e-5).

    Without gain and bias, as in the authors' code. As group norm with a group per channel it is
    one native operation; torch's instance norm is several, and slower by half or more.
    """
    return F.group_norm(x, x.shape[1])


def adaptive_instance_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Instance norm of (N, C, H, W) with gain and bias per sample, each (N, C) (equation 5)."""
    n_maps = x.shape[0] * x.shape[1]
    maps = x.reshape(1, n_maps, *x.shape[2:])  # so that group norm can give each sample its gain
    return F.group_norm(maps, n_maps, gain.flatten(), bias.flatten()).view_as(x)


class LayerNorm(nn.Module):
    """Layer norm over C, H, W of each sample, then a gain (1) and a bias (0) per channel.

    eps is 1e-5. It is group norm with one group; with few channels, side by side in memory, torch's
    layer norm is five times faster.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        if x.shape[1] >= _FEW_CHANNELS:
            return F.group_norm(x, 1, self.gain, self.bias)
        maps = x.movedim(1, -1)
        shape = maps.shape[1:]
        y = F.layer_norm(maps, shape, self.gain.expand(shape), self.bias.expand(shape))
        return y.movedim(-1, 1)


class ConvBlock(nn.Module):
    """The conv block of figure 9 from its ReLU on; its caller normalises.

    The short skip is the identity; where the shape changes it is a 1 x 1 convolution with the
    block's stride and no normalisation (our choice; the paper is silent). In decoders it comes
    before the repetition, which is the same function at a quarter of the work.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        short_skip: bool = True,
        spectral_norm: bool,
        n_dimensions: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.convolution = Convolution(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            spectral_norm=spectral_norm,
            n_dimensions=n_dimensions,
            generator=generator,
        )
        self.stride = stride
        self.short_skip: nn.Module | None = None
        if short_skip and (in_channels != out_channels or stride != 1):
            self.short_skip = Convolution(
                in_channels,
                out_channels,
                1,
                spectral_norm=spectral_norm,
                n_dimensions=n_dimensions,
                generator=generator,
            )
        elif short_skip:
            self.short_skip = nn.Identity()

    def forward(self, x: Tensor, normalised: Tensor, size: torch.Size | None = None) -> Tensor:
        """Rectify, convolve, and add the short skip.

        Args:
            x: the block's input, (N, in_channels, h, w): what the short skip carries.
            normalised: x after its norm, same shape.
            size: upsample to it before the convolution (decoders), see `upsample`.
        """
        if size is None:
            y: Tensor = self.convolution(normalised, slope=0.0)
        else:
            y = upsampled_convolution(self.convolution, normalised, size, slope=0.0)
        if self.short_skip is None:
            return y
        if self.stride > 1:
            # Leaving out pixels is faster than a stride of the 1 x 1 convolution; and oneDNN's own
            # with a stride corrupts memory for channels-last maps of one or two channels.
            left: tuple[Any, ...] = (..., *[slice(None, None, self.stride)] * (x.ndim - 2))
            x = x[left]
        skipped: Tensor = self.short_skip(x)
        return y + (skipped if size is None else upsample(skipped, size))


class LongSkip(nn.Module):
    """Brings encoder maps into a decoder (section 3.4, table 1b).

    `compress` concatenates them squeezed to one map by a 1 x 1 convolution, `concat` as they are,
    `sum` adds them, `none` leaves them out. They come instance-normalised from the encoder.

    Attributes:
        out_channels: channels after merging.

    Raises:
        ValueError: an unknown kind, or `sum` of different channel counts.
    """

    def __init__(
        self,
        kind: str,
        channels: int,
        skip_channels: int,
        *,
        spectral_norm: bool,
        n_dimensions: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if kind not in LONG_SKIPS:
            raise ValueError(f"long_skip = {kind}: allowed: {', '.join(LONG_SKIPS)}")
        if kind == "sum" and channels != skip_channels:
            raise ValueError(f"long_skip = sum: {channels} and {skip_channels} channels")
        self.kind = kind
        self.out_channels = channels + {"compress": 1, "concat": skip_channels}.get(kind, 0)
        if kind == "compress":
            self.compress = Convolution(
                skip_channels,
                1,
                1,
                spectral_norm=spectral_norm,
                n_dimensions=n_dimensions,
                generator=generator,
            )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Merge (N, channels, H, W) and (N, skip_channels, H, W)."""
        if self.kind == "compress":
            compressed = self._compress(skip).to(x.dtype)  # it may be single in mixed precision
            return torch.cat([x, channels_last(compressed)], dim=1)
        if self.kind == "concat":
            return torch.cat([x, channels_last(skip)], dim=1)
        return x + skip if self.kind == "sum" else x

    def _compress(self, skip: Tensor) -> Tensor:
        """The 1 x 1 convolution to one map as what it is, a weighted sum: a fifth of the time."""
        weighted = skip * self.compress.current_weight()
        return weighted.sum(1, keepdim=True) + self.compress.get_parameter("bias")

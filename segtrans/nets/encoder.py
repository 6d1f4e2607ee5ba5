"""The encoder of tables 2 and 5."""

from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrans.errors import UserError
from segtrans.nets.blocks import ConvBlock, instance_norm
from segtrans.nets.convolution import Convolution, channels_last
from segtrans.nets.tables import Architecture
from segtrans.stacks import middle

_KERNEL_SIZE = 3


class Encoder(nn.Module):
    """Images to codes, halving the size (rounded up) with each conv block; instance norm.

    Args:
        in_channels: image channels.
        channels: of the first convolution, then of each conv block (`Architecture`).
        spectral_norm: normalise every convolution (translation methods).
        n_dimensions: of the images.
        generator: draws the weights.
    """

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, ...],
        *,
        spectral_norm: bool,
        n_dimensions: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.first = Convolution(
            in_channels,
            channels[0],
            _KERNEL_SIZE,
            spectral_norm=spectral_norm,
            reads_channels_last=True,
            n_dimensions=n_dimensions,
            generator=generator,
        )
        self.blocks = nn.ModuleList(
            ConvBlock(
                before,
                after,
                _KERNEL_SIZE,
                stride=2,
                spectral_norm=spectral_norm,
                n_dimensions=n_dimensions,
                generator=generator,
            )
            for before, after in pairwise(channels)
        )

    @classmethod
    def of(
        cls,
        tables: Architecture,
        in_channels: int,
        *,
        spectral_norm: bool,
        generator: torch.Generator,
    ) -> Self:
        """The encoder of a task's tables."""
        return cls(
            in_channels,
            tables.encoder_channels,
            spectral_norm=spectral_norm,
            n_dimensions=tables.n_dimensions,
            generator=generator,
        )

    def beside(self, stacks: Tensor, n_channels: int) -> Tensor:
        """What the first convolution makes of neighbours alone, (N, channels[0], H, W).

        Args:
            stacks: of slices with neighbours, (N, in_channels, H, W).
            n_channels: of a slice: what lies between neighbours.
        """
        n = (stacks.shape[1] - n_channels) // 2
        weight = self.first.current_weight()
        x, weight = (torch.cat([of[:, :n], of[:, -n:]], dim=1) for of in (stacks, weight))
        return self._first(x, weight)

    def forward(self, x: Tensor, beside: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Encode images of any size from 2 ** blocks + 1 pixels a side.

        Args:
            x: images, (N, in_channels, H, W), or volumes, (N, in_channels, D, H, W); or slices, of
                whose neighbours there is
            beside: what `beside` made of them: many images between the same neighbours are encoded
                at the cost of images without any.

        Returns:
            The code, (N, channels[-1], h, w) with h = H / 2 ** blocks rounded up, at least 0 since
            the table ends in Norm + ReLU. And the maps for the long skips: the input of each
            conv block after its instance norm, from full resolution down. That norm is the one
            that section 3.4 asks of skipped features, so every decoder shares it.

        Raises:
            UserError: the image is smaller.
        """
        self._check_size(x)
        if beside is None:
            x = self.first(x).contiguous()
        else:
            weight = middle(self.first.current_weight(), x.shape[1])
            x = self._first(x, weight, self.first.bias) + beside
        skips = []
        for block in self.blocks:
            skip = instance_norm(x)
            skips.append(skip)
            x = block(x, skip)
        return instance_norm(x).relu_(), skips

    def _first(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The first convolution with some of its weights."""
        padded = F.pad(x, self.first.reflected, mode="reflect")
        return F.conv2d(channels_last(padded), channels_last(weight), bias).contiguous()

    def _check_size(self, x: Tensor) -> None:
        # Then the code has 2 pixels a side, which instance norm needs to vary at all, and the
        # maps before it have 3, which the 5 x 5 kernels of the residual decoder need to reflect.
        smallest = 2 ** len(self.blocks) + 1
        sizes = x.shape[2:]
        if min(sizes) < smallest:
            raise UserError(
                f"image of {' x '.join(map(str, sizes))} pixels: too small for an encoder that "
                f"halves it {len(self.blocks)} times; it needs at least "
                f"{' x '.join([str(smallest)] * len(sizes))}"
            )

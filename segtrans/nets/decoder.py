"""The decoder of tables 3 and 6, and the trunk that it shares with the residual decoder."""

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from segtrans.nets.blocks import ConvBlock, LayerNorm, LongSkip
from segtrans.nets.convolution import Convolution, channels_last
from segtrans.nets.tables import Architecture
from segtrans.nets.upsampling import upsampled_convolution

Norm = Callable[[Tensor], Tensor]


class Decoder(nn.Module):
    """Codes to maps of the image's size with layer norm; the output is raw (no tanh, no sigmoid).

    Args:
        code_channels: channels of the code.
        channels: of the first convolution, then of each conv block (`Architecture`).
        out_channels: image channels or classes.
        kernel_size: of all convolutions but the 1 x 1 ones.
        short_skip: whether conv blocks add their input to their output.
        long_skip: compress, concat, sum or none (`LongSkip`).
        skip_channels: of the encoder's maps, from full resolution down.
        spectral_norm: normalise every convolution (translation methods).
        n_dimensions: of the images.
        generator: draws the weights.
    """

    def __init__(
        self,
        code_channels: int,
        channels: tuple[int, ...],
        out_channels: int,
        *,
        kernel_size: int,
        short_skip: bool,
        long_skip: str,
        skip_channels: tuple[int, ...],
        spectral_norm: bool,
        n_dimensions: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(
            code_channels,
            channels,
            kernel_size=kernel_size,
            short_skip=short_skip,
            long_skip=long_skip,
            skip_channels=skip_channels,
            spectral_norm=spectral_norm,
            n_dimensions=n_dimensions,
            generator=generator,
        )
        self.norms = nn.ModuleList(map(LayerNorm, self.trunk.norm_channels))
        self.last = Convolution(
            self.trunk.norm_channels[-1],
            out_channels,
            kernel_size,
            spectral_norm=spectral_norm,
            n_dimensions=n_dimensions,
            generator=generator,
        )

    @classmethod
    def of(
        cls,
        tables: Architecture,
        code_channels: int,
        out_channels: int,
        *,
        long_skip: str,
        spectral_norm: bool,
        generator: torch.Generator,
    ) -> Self:
        """The decoder of a task's tables."""
        return cls(
            code_channels,
            tables.decoder_channels,
            out_channels,
            kernel_size=tables.decoder_kernel,
            short_skip=True,
            long_skip=long_skip,
            skip_channels=tables.encoder_channels[:-1],
            spectral_norm=spectral_norm,
            n_dimensions=tables.n_dimensions,
            generator=generator,
        )

    def forward(self, code: Tensor, skips: list[Tensor]) -> Tensor:
        """Decode.

        Args:
            code: (N, code_channels, h, w).
            skips: the encoder's maps, from full resolution (H, W) down. Also without long skips:
                their sizes are those to which the upsampled maps are cropped.

        Returns:
            (N, out_channels, H, W).
        """
        output: Tensor = self.last(self.trunk(code, skips, list(self.norms)), slope=0.0)
        return output


class Trunk(nn.Module):
    """All of a decoder but its norms and its last ReLU and convolution.

    The first convolution is preceded by upsampling too, so there are as many upsamplings as the
    encoder has downsamplings; each is followed by a long skip of the same resolution.

    Attributes:
        norm_channels: channels that each norm sees: one before every conv block, one at the end.

    Raises:
        ValueError: `channels` and `skip_channels` differ in number.
    """

    def __init__(
        self,
        code_channels: int,
        channels: tuple[int, ...],
        *,
        kernel_size: int,
        short_skip: bool,
        long_skip: str,
        skip_channels: tuple[int, ...],
        spectral_norm: bool,
        n_dimensions: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        long_skips = [
            LongSkip(
                long_skip,
                here,
                skipped,
                spectral_norm=spectral_norm,
                n_dimensions=n_dimensions,
                generator=generator,
            )
            for here, skipped in zip(channels, reversed(skip_channels), strict=True)
        ]
        self.norm_channels = [skip.out_channels for skip in long_skips]
        self.first = Convolution(
            code_channels,
            channels[0],
            kernel_size,
            spectral_norm=spectral_norm,
            n_dimensions=n_dimensions,
            generator=generator,
        )
        self.blocks = nn.ModuleList(
            ConvBlock(
                before,
                after,
                kernel_size,
                short_skip=short_skip,
                spectral_norm=spectral_norm,
                n_dimensions=n_dimensions,
                generator=generator,
            )
            for before, after in zip(self.norm_channels[:-1], channels[1:], strict=True)
        )
        self.long_skips = nn.ModuleList(long_skips)

    def forward(self, code: Tensor, skips: list[Tensor], norms: Sequence[Norm]) -> Tensor:
        """Features before the last ReLU and convolution: (N, norm_channels[-1], H, W).

        Args:
            code: (N, code_channels, h, w).
            skips: the encoder's maps, from full resolution (H, W) down.
            norms: what normalises before each conv block, and at the end.
        """
        deepest, *rest = reversed(skips)
        x = upsampled_convolution(self.first, channels_last(code), deepest.shape[2:])
        x = self.long_skips[0](x, deepest)
        for block, long_skip, norm, skip in zip(
            self.blocks, self.long_skips[1:], norms[:-1], rest, strict=True
        ):
            x = block(x, norm(x), skip.shape[2:])
            x = long_skip(x, skip)
        return norms[-1](x)

"""The residual decoder of tables 4 and 7, which also segments (equations 3 to 5).

Of several pathologies (section 5) it decodes one at a time: its norms depend on which, as they
depend on whether it segments (equations 4 and 5). All convolutions but the classifying one are
shared.
"""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn

from segtrans.errors import UserError
from segtrans.nets.blocks import LayerNorm, adaptive_instance_norm
from segtrans.nets.convolution import Convolution
from segtrans.nets.decoder import Norm, Trunk


class ResidualDecoder(nn.Module):
    """Codes (common and unique) to residual images and, but for the last layer, to segmentations.

    Spectrally normalised, except for what only segmentation uses; no short skips. To segment, the
    trunk gets norms of its own: `adaptive_instance_norm` (equation 5) or `layer_norm` (a second
    set of gains and biases), then a 1 x 1 convolution.

    Args:
        code_channels: channels of common and unique code together.
        channels: of the first convolution, then of each conv block (`Architecture`).
        out_channels: image channels.
        kernel_size: of the convolutions.
        long_skip: compress, concat, sum or none (`LongSkip`).
        skip_channels: of the encoder's maps, from full resolution down.
        n_classes: channels of a segmentation; None when another decoder segments.
        segmentation_norm: adaptive_instance_norm or layer_norm.
        image_size: (H, W) of the images to segment, which the MLP needs to know; of volumes
            (D, H, W).
        mlp_units: hidden units of the MLP.
        generator: draws the weights.
        n_pathologies: that have norms of their own.

    Raises:
        ValueError: an unknown segmentation_norm or long_skip.
    """

    def __init__(
        self,
        code_channels: int,
        channels: tuple[int, ...],
        out_channels: int,
        *,
        kernel_size: int,
        long_skip: str,
        skip_channels: tuple[int, ...],
        n_classes: int | None,
        segmentation_norm: str,
        image_size: tuple[int, ...],
        mlp_units: int,
        generator: torch.Generator,
        n_pathologies: int = 1,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(
            code_channels,
            channels,
            kernel_size=kernel_size,
            short_skip=False,
            long_skip=long_skip,
            skip_channels=skip_channels,
            spectral_norm=True,
            n_dimensions=len(image_size),
            generator=generator,
        )
        norm_channels = self.trunk.norm_channels
        self.norms = nn.ModuleList(map(LayerNorm, norm_channels))
        self.last = Convolution(
            norm_channels[-1],
            out_channels,
            kernel_size,
            spectral_norm=True,
            n_dimensions=len(image_size),
            generator=generator,
        )
        self.segmentation_norms: nn.Module | None = None
        if n_classes is not None:
            code_shape = (code_channels, *_code_size(image_size, len(channels)))
            self.segmentation_norms = _segmentation_norms(
                segmentation_norm, code_shape, norm_channels, mlp_units, generator
            )
            self.segmentation_head = _segmentation_head(
                norm_channels[-1], n_classes, len(image_size), generator
            )
        others = nn.ModuleList()
        for _ in range(1, n_pathologies):
            own = nn.ModuleDict({"norms": nn.ModuleList(map(LayerNorm, norm_channels))})
            if n_classes is not None:
                own["segmentation_norms"] = _segmentation_norms(
                    segmentation_norm, code_shape, norm_channels, mlp_units, generator
                )
                own["segmentation_head"] = _segmentation_head(
                    norm_channels[-1], n_classes, len(image_size), generator
                )
            others.append(own)
        self.others = others  # of the pathologies behind the first

    def translate(self, code: Tensor, skips: list[Tensor], k: int = 0) -> Tensor:
        """The raw residual of equation 3, (N, out_channels, H, W), from a code (N, C, h, w).

        Args:
            code: common, and unique of pathology k.
            skips: the encoder's maps.
            k: pathology, from 0.
        """
        norms = self.norms if k == 0 else self._other(k, "norms")
        output: Tensor = self.last(self.trunk(code, skips, list(norms)), slope=0.0)
        return output

    def mlp_parameters(self) -> list[nn.Parameter]:
        """Of the MLP of equation 5; none with other norms.

        Nothing bounds its scale: spectral normalisation holds the convolutions before and behind.
        """
        return [
            parameter
            for module in self.modules()
            if isinstance(module, AdaptiveInstanceNorms)
            for parameter in module.parameters()
        ]

    def segment(self, code: Tensor, skips: list[Tensor], k: int = 0) -> Tensor:
        """The raw classes of equation 4, (N, n_classes, H, W); arguments as `translate`.

        Raises:
            ValueError: the decoder was made without classes.
            UserError: the images have another size than the MLP was made for.
        """
        if self.segmentation_norms is None:
            raise ValueError("this residual decoder was made without classes: it cannot segment")
        make, head = self.segmentation_norms, self.segmentation_head
        if k > 0:
            make, head = self._other(k, "segmentation_norms"), self._other(k, "segmentation_head")
        norms: list[Norm] = make(code)
        output: Tensor = head(self.trunk(code, skips, norms), slope=0.0)
        return output

    def _other(self, k: int, name: str) -> Any:
        own: Any = self.others[k - 1]
        return own[name]


class SeparateResidualDecoders(nn.Module):
    """A residual decoder for each pathology (the wording of section 5).

    Args:
        n_pathologies: number of decoders.
        of_one: makes one, drawing its weights.
    """

    def __init__(self, n_pathologies: int, of_one: Callable[[], ResidualDecoder]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(of_one() for _ in range(n_pathologies))

    def translate(self, code: Tensor, skips: list[Tensor], k: int = 0) -> Tensor:
        """As `ResidualDecoder.translate`."""
        return self._of(k).translate(code, skips)

    def segment(self, code: Tensor, skips: list[Tensor], k: int = 0) -> Tensor:
        """As `ResidualDecoder.segment`."""
        return self._of(k).segment(code, skips)

    def mlp_parameters(self) -> list[nn.Parameter]:
        """As `ResidualDecoder.mlp_parameters`, of all decoders."""
        return [p for k in range(len(self.decoders)) for p in self._of(k).mlp_parameters()]

    def _of(self, k: int) -> ResidualDecoder:
        return cast(ResidualDecoder, self.decoders[k])


class AdaptiveInstanceNorms(nn.Module):
    """Instance norms whose gains and biases an MLP computes from the code (equation 5).

    The MLP has 4 layers with ReLU between them; the first reads the flattened code, the last
    gives all gains, then all biases: the gains as differences from 1, so that training starts
    near plain instance norm (our choice). Not spectrally normalised.
    """

    def __init__(
        self,
        code_shape: tuple[int, ...],
        norm_channels: list[int],
        n_units: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.code_shape = code_shape
        self.norm_channels = norm_channels
        self.mlp = nn.Sequential(
            nn.Flatten(),
            _Linear(prod(code_shape), n_units, generator),
            nn.ReLU(),
            _Linear(n_units, n_units, generator),
            nn.ReLU(),
            _Linear(n_units, n_units, generator),
            nn.ReLU(),
            _Linear(n_units, 2 * sum(norm_channels), generator),
        )

    def forward(self, code: Tensor) -> list[Norm]:
        """One norm per entry of `norm_channels`, for the N samples of the code (N, C, h, w)."""
        if code.shape[1:] != self.code_shape:
            raise UserError(
                f"images whose code is {tuple(code.shape[1:])} (channels, then sides): the "
                f"segmentation's MLP was made for {self.code_shape}; use images of the task's size"
            )
        gains, biases = self.mlp(code).chunk(2, dim=1)
        return [
            partial(adaptive_instance_norm, gain=1 + gain, bias=bias)
            for gain, bias in zip(
                gains.split(self.norm_channels, dim=1),
                biases.split(self.norm_channels, dim=1),
                strict=True,
            )
        ]


class LayerNorms(nn.Module):
    """Layer norms of their own for segmentation; the code does not change them."""

    def __init__(self, norm_channels: list[int]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(map(LayerNorm, norm_channels))

    def forward(self, code: Tensor) -> list[Norm]:
        """The norms, whatever the code."""
        return list(self.norms)


class _Linear(nn.Linear):
    """Fully connected layer, initialised like a `Convolution`."""

    def __init__(self, n_in: int, n_out: int, generator: torch.Generator) -> None:
        super().__init__(n_in, n_out)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(self.bias)

    def reset_parameters(self) -> None:
        """Left to __init__: torch's own would draw from the global generator."""


def _segmentation_norms(
    kind: str,
    code_shape: tuple[int, ...],
    norm_channels: list[int],
    mlp_units: int,
    generator: torch.Generator,
) -> nn.Module:
    if kind == "adaptive_instance_norm":
        return AdaptiveInstanceNorms(code_shape, norm_channels, mlp_units, generator)
    if kind == "layer_norm":
        return LayerNorms(norm_channels)
    raise ValueError(f"segmentation_norm = {kind}: allowed: adaptive_instance_norm, layer_norm")


def _segmentation_head(
    channels: int, n_classes: int, n_dimensions: int, generator: torch.Generator
) -> Convolution:
    return Convolution(
        channels,
        n_classes,
        1,
        spectral_norm=False,
        n_dimensions=n_dimensions,
        generator=generator,
    )


def _code_size(image_size: tuple[int, ...], n_halvings: int) -> tuple[int, ...]:
    """Halved again and again, rounding up, a size is divided by the power of two, rounding up."""
    return tuple(-(-size // 2**n_halvings) for size in image_size)

"""The networks of translation: codes, and what is decoded from them (equations 1 to 5)."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from segtrans.config.catalogue import TranslationOptions, options_of
from segtrans.config.run_config import RunConfig
from segtrans.errors import UserError
from segtrans.methods.asked_again import Keeps
from segtrans.methods.base import known, probabilities, tables_of
from segtrans.nets.decoder import Decoder
from segtrans.nets.encoder import Encoder
from segtrans.nets.residual_decoder import ResidualDecoder, SeparateResidualDecoders
from segtrans.precision import at_least_single


class Codes(NamedTuple):
    """What the encoder makes of N images (equation 1).

    Attributes:
        c: common code, (N, common, h, w).
        u: unique code, (N, unique, h, w); of K pathologies their codes side by side.
        skips: encoder maps for the long skips, from full resolution down.
    """

    c: Tensor
    u: Tensor
    skips: list[Tensor]

    def first(self, n: int) -> "Codes":
        """The codes of the first n images."""
        return self.with_masks(n, 0)

    def part(self, start: int, n: int) -> "Codes":
        """The codes of n images from one on."""
        c, u, *skips = (m[start : start + n] for m in (self.c, self.u, *self.skips))
        return Codes(c, u, skips)

    def with_rows(self, n: int, start: int, stop: int) -> "Codes":
        """The codes of the first n images, and of those from one on to another."""
        maps = (self.c, self.u, *self.skips)
        c, u, *skips = (torch.cat([m[:n], m[start:stop]]) for m in maps)
        return Codes(c, u, skips)

    def with_masks(self, n_labelled: int, n_absent: int) -> "Codes":
        """Of codes of P and A together: those of the first and of the last images."""
        c, u, *skips = (known(m, n_labelled, n_absent) for m in (self.c, self.u, *self.skips))
        return Codes(c, u, skips)


class Generator(Keeps, nn.Module):
    """Encoder, common and residual decoder, and the segmentation decoder when it is separate.

    Of K pathologies the unique code has K groups of channels, which share the fraction of one.

    Args:
        config: of the run.
        generator: draws the weights.
        n_pathologies: K.

    Raises:
        UserError: there are fewer latent channels than codes.
    """

    def __init__(
        self, config: RunConfig, generator: torch.Generator, n_pathologies: int = 1
    ) -> None:
        super().__init__()
        task, options = config.definition, options_of(config.method, TranslationOptions)
        tables = tables_of(config)
        latent = tables.encoder_channels[-1]
        self.n_pathologies = n_pathologies
        if latent <= n_pathologies:
            raise UserError(
                f"networks.width = {config.networks.width}: makes {latent} latent channels, a "
                f"common and {n_pathologies} unique codes need {n_pathologies + 1} or more"
            )
        wanted = round(latent * config.networks.unique_fraction / n_pathologies)
        self.n_unique = min((latent - 1) // n_pathologies, max(1, wanted))  # of each pathology
        self.n_common = latent - n_pathologies * self.n_unique
        long_skip, n_channels = options.long_skip, len(task.channels)
        self.n_channels = n_channels
        self.encoder = Encoder.of(
            tables, config.n_input_channels, spectral_norm=True, generator=generator
        )
        self.common_decoder = Decoder.of(
            tables,
            self.n_common,
            n_channels,
            long_skip=long_skip,
            spectral_norm=True,
            generator=generator,
        )
        separate = options.segmentation_decoder == "separate"
        of_residual = partial(
            ResidualDecoder,
            self.n_common + self.n_unique,
            tables.decoder_channels,
            n_channels,
            kernel_size=tables.residual_kernel,
            long_skip=long_skip,
            skip_channels=tables.encoder_channels[:-1],
            n_classes=None if separate else task.n_classes,
            segmentation_norm=task.segmentation_norm,
            image_size=task.image_size,
            mlp_units=tables.mlp_units,
            generator=generator,
        )
        self.residual_decoder: ResidualDecoder | SeparateResidualDecoders
        if options.residual_decoders == "separate":
            self.residual_decoder = SeparateResidualDecoders(n_pathologies, of_residual)
        else:
            self.residual_decoder = of_residual(n_pathologies=n_pathologies)
        self.segmentation_decoder: Decoder | None = None
        if separate:
            self.segmentation_decoder = Decoder.of(
                tables,
                latent,
                task.n_classes,
                long_skip=long_skip,
                spectral_norm=False,
                generator=generator,
            )

    def beside(self, stacks: Tensor) -> Tensor | None:
        """What of neighbours is encoded with a slice, for `encode`; None of images without any."""
        if stacks.shape[1] == self.n_channels:
            return None
        return self.encoder.beside(stacks, self.n_channels)

    def encode(self, x: Tensor, beside: Tensor | None = None) -> Codes:
        """Equation 1, of images or stacks; or of slices and what `beside` made of neighbours."""
        return self.once(self._encode, x, beside)

    def _encode(self, x: Tensor, beside: Tensor | None) -> Codes:
        code, skips = self.encoder(x, beside)
        c, u = torch.split(code, [self.n_common, code.shape[1] - self.n_common], dim=1)
        return Codes(c, u, skips)

    def common(self, codes: Codes) -> Tensor:
        """g_com of equation 2: images in [-1, 1] without the target, (N, C, H, W) float32."""
        return self.once(self._common, codes)

    def _common(self, codes: Codes) -> Tensor:
        raw: Tensor = self.common_decoder(codes.c, codes.skips)
        return at_least_single(raw).tanh()

    def of(self, codes: Codes, k: int) -> Codes:
        """The codes with the unique one of pathology k alone."""
        return codes if self.n_pathologies == 1 else codes._replace(u=self.unique(codes.u, k))

    def unique(self, u: Tensor, k: int) -> Tensor:
        """Of unique codes of all pathologies that of the k-th, (N, unique, h, w)."""
        return u if self.n_pathologies == 1 else u.narrow(1, k * self.n_unique, self.n_unique)

    def residual(self, codes: Codes, k: int = 0) -> Tensor:
        """g_res of equation 3: changes in [-1, 1] that add the target, (N, C, H, W) float32.

        Args:
            codes: with the unique code of pathology k alone.
            k: pathology, from 0.
        """
        return self.once(self._residual, codes, k)

    def _residual(self, codes: Codes, k: int) -> Tensor:
        code = torch.cat([codes.c, codes.u], dim=1)
        return at_least_single(self.residual_decoder.translate(code, codes.skips, k)).tanh()

    def residuals(self, codes: Codes) -> list[Tensor]:
        """What adds each pathology: K times (N, C, H, W)."""
        return [self.residual(self.of(codes, k), k) for k in range(self.n_pathologies)]

    def segment(self, codes: Codes) -> Tensor:
        """Equations 4 and 5: probabilities (N, K, H, W), of pathologies each by itself."""
        if self.segmentation_decoder is not None:
            code = torch.cat([codes.c, codes.u], dim=1)
            return probabilities(self.segmentation_decoder(code, codes.skips))
        of_each = [self._segment(self.of(codes, k), k) for k in range(self.n_pathologies)]
        return of_each[0] if len(of_each) == 1 else torch.cat(of_each, dim=1)

    def _segment(self, codes: Codes, k: int) -> Tensor:
        code = torch.cat([codes.c, codes.u], dim=1)
        return probabilities(self.residual_decoder.segment(code, codes.skips, k))

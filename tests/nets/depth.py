"""Networks of three dimensions that do to each slice what those of two dimensions do."""

from dataclasses import replace

import torch
from torch import nn

from segtrans.nets.convolution import Convolution
from segtrans.nets.decoder import Decoder
from segtrans.nets.discriminator import MultiScaleDiscriminator
from segtrans.nets.encoder import Encoder
from segtrans.nets.residual_decoder import ResidualDecoder
from segtrans.nets.tables import ARCHITECTURES


class Networks(nn.Module):
    """All networks of the proposed method, narrow, for images of two channels of some size."""

    def __init__(
        self,
        size,
        *,
        architecture="mnist48",
        norm="layer_norm",
        long_skip="compress",
        width=0.05,
        seed=0,
    ):
        super().__init__()
        tables = replace(ARCHITECTURES[architecture].scaled(width), n_dimensions=len(size))
        generator = torch.Generator().manual_seed(seed)
        latent = tables.encoder_channels[-1]
        self.encoder = Encoder.of(tables, 2, spectral_norm=True, generator=generator)
        self.decoder = Decoder.of(
            tables, latent, 2, long_skip=long_skip, spectral_norm=True, generator=generator
        )
        self.residual_decoder = ResidualDecoder(
            latent,
            tables.decoder_channels,
            2,
            kernel_size=tables.residual_kernel,
            long_skip=long_skip,
            skip_channels=tables.encoder_channels[:-1],
            n_classes=1,
            segmentation_norm=norm,
            image_size=size,
            mlp_units=tables.mlp_units,
            generator=generator,
        )
        self.discriminator = MultiScaleDiscriminator(
            2, tables.discriminator_channels, generator=generator, n_dimensions=len(size)
        )

    def forward(self, x):
        code, skips = self.encoder(x)
        x_PA = self.decoder(code, skips)
        delta_PA = self.residual_decoder.translate(code, skips)
        logits = self.residual_decoder.segment(code, skips)
        return x_PA, delta_PA, logits, self.discriminator(x_PA + delta_PA)


def over_depth(x, depth):
    """Images (N, C, H, W), or masks (N, H, W), repeated along a new axis before the rows."""
    return x.unsqueeze(-3).expand(*x.shape[:-2], depth, *x.shape[-2:]).contiguous()


@torch.no_grad()
def spread_over_depth(flat, deep, generator):
    """Give deep the weights of flat, those of each kernel at a place of its depth that is drawn.

    Matrices of kernels then have the same singular values. An MLP reads a code over and over: it
    gets its share from each slice.

    Returns:
        The places, by name of the convolution.
    """
    places = {}
    twins = dict(flat.named_modules())
    for name, module in deep.named_modules():
        twin = twins[name]
        if isinstance(module, Convolution):
            depth = module.kernel_size[0]
            place = int(torch.randint(depth, (1,), generator=generator))
            module.weight.zero_()
            module.weight[:, :, place] = twin.weight
            module.bias.copy_(twin.bias)
            places[name] = place
            if module.spectral_norm:
                module.u.copy_(twin.u)
                module.v.copy_(_right_vector(module, twin, place))
        elif isinstance(module, nn.Linear) and module.weight.shape != twin.weight.shape:
            n_pixels = _n_pixels_of_code(flat)
            of_map = twin.weight.view(len(twin.weight), -1, 1, n_pixels)
            depth = module.weight.shape[1] // twin.weight.shape[1]
            module.weight.copy_(of_map.expand(-1, -1, depth, -1).flatten(1) / depth)
            module.bias.copy_(twin.bias)
        else:
            for parameter, own in zip(
                module.parameters(recurse=False), twin.parameters(recurse=False), strict=True
            ):
                parameter.copy_(own)
    return places


def _right_vector(module, twin, place):
    """v in the order in which the weights lie: of two dimensions they may lie channels last."""
    shape = twin.weight.shape[1:]
    if twin.weight.is_contiguous():
        v = twin.v.view(shape)
    else:
        v = twin.v.view(*shape[1:], shape[0]).movedim(-1, 0)
    spread = torch.zeros(module.weight.shape[1:])
    spread[:, place] = v
    return spread.flatten()


def _n_pixels_of_code(flat):
    _, *sides = flat.residual_decoder.segmentation_norms.code_shape
    return sides[0] * sides[1]

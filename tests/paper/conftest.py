"""The networks of the paper's tables at full width."""

from types import SimpleNamespace

import pytest
import torch

from segtrans.nets.decoder import Decoder
from segtrans.nets.discriminator import MultiScaleDiscriminator
from segtrans.nets.encoder import Encoder
from segtrans.nets.residual_decoder import ResidualDecoder
from segtrans.nets.tables import ARCHITECTURES

IMAGE_SIZE = {"mnist48": (48, 48), "mnist128": (128, 128), "brats": (240, 120)}
N_CHANNELS = {"mnist48": 1, "mnist128": 1, "brats": 4}
NORMS = {
    "mnist48": "adaptive_instance_norm",
    "mnist128": "adaptive_instance_norm",
    "brats": "layer_norm",
}


@pytest.fixture(scope="session")
def build():
    """Makes a network by the architecture's name; decoders with compressed skips by default."""
    return SimpleNamespace(
        encoder=encoder,
        common_decoder=common_decoder,
        residual_decoder=residual_decoder,
        discriminator=discriminator,
    )


def encoder(name):
    channels = ARCHITECTURES[name].encoder_channels
    return Encoder(N_CHANNELS[name], channels, spectral_norm=True, generator=torch.Generator())


def decoder_options(name, long_skip):
    return {
        "long_skip": long_skip,
        "skip_channels": ARCHITECTURES[name].encoder_channels[:-1],
        "generator": torch.Generator(),
    }


def common_decoder(name, long_skip="compress"):
    tables = ARCHITECTURES[name]
    return Decoder(
        384,
        tables.decoder_channels,
        N_CHANNELS[name],
        kernel_size=tables.decoder_kernel,
        short_skip=True,
        spectral_norm=True,
        **decoder_options(name, long_skip),
    )


def residual_decoder(name, long_skip="compress"):
    tables = ARCHITECTURES[name]
    return ResidualDecoder(
        512,
        tables.decoder_channels,
        N_CHANNELS[name],
        kernel_size=tables.residual_kernel,
        n_classes=1,
        segmentation_norm=NORMS[name],
        image_size=IMAGE_SIZE[name],
        mlp_units=tables.mlp_units,
        **decoder_options(name, long_skip),
    )


def discriminator(name):
    channels = ARCHITECTURES[name].discriminator_channels
    return MultiScaleDiscriminator(N_CHANNELS[name], channels, generator=torch.Generator())

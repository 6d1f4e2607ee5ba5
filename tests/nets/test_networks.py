"""What holds for every network: any size, any channels, precision, gradients, state, seeds."""

import copy

import pytest
import torch
from torch import nn

from segtrans.nets.convolution import SharedWeights
from segtrans.nets.decoder import Decoder
from segtrans.nets.discriminator import MultiScaleDiscriminator
from segtrans.nets.encoder import Encoder
from segtrans.nets.residual_decoder import ResidualDecoder
from segtrans.nets.tables import ARCHITECTURES

CASES = [
    ("mnist48", (48, 48), 1, 1, "adaptive_instance_norm"),
    ("mnist48", (49, 51), 1, 1, "adaptive_instance_norm"),
    ("mnist128", (128, 128), 1, 1, "adaptive_instance_norm"),
    ("brats", (240, 120), 4, 1, "layer_norm"),
    ("brats", (75, 101), 4, 3, "layer_norm"),
]
SKIPS = ["compress", "concat", "sum", "none"]


class Networks(nn.Module):
    """All networks of the proposed method, narrow."""

    def __init__(self, case, seed=0, width=0.1, long_skip="compress"):
        super().__init__()
        architecture, image_size, n_channels, n_classes, norm = case
        tables = ARCHITECTURES[architecture].scaled(width)
        generator = torch.Generator().manual_seed(seed)
        latent = tables.encoder_channels[-1]
        self.n_common = latent - max(1, latent // 4)
        decoder = {
            "long_skip": long_skip,
            "skip_channels": tables.encoder_channels[:-1],
            "generator": generator,
        }
        self.encoder = Encoder(
            n_channels, tables.encoder_channels, spectral_norm=True, generator=generator
        )
        self.common_decoder = Decoder(
            self.n_common,
            tables.decoder_channels,
            n_channels,
            kernel_size=tables.decoder_kernel,
            short_skip=True,
            spectral_norm=True,
            **decoder,
        )
        self.residual_decoder = ResidualDecoder(
            latent,
            tables.decoder_channels,
            n_channels,
            kernel_size=tables.residual_kernel,
            n_classes=n_classes,
            segmentation_norm=norm,
            image_size=image_size,
            mlp_units=tables.mlp_units,
            **decoder,
        )
        self.discriminator = MultiScaleDiscriminator(
            n_channels, tables.discriminator_channels, generator=generator
        )

    def forward(self, x):
        code, skips = self.encoder(x)
        x_PA = self.common_decoder(code[:, : self.n_common], skips)
        delta_PA = self.residual_decoder.translate(code, skips)
        logits = self.residual_decoder.segment(code, skips)
        return x_PA, delta_PA, logits, self.discriminator(x_PA + delta_PA)


def images(case, n=2):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(n, case[2], *case[1], generator=generator)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("long_skip", SKIPS)
@torch.no_grad()
def test_outputs_have_the_images_size(case, long_skip):
    _, size, n_channels, n_classes, _ = case
    x_PA, delta_PA, logits, scores = Networks(case, long_skip=long_skip)(images(case))
    assert x_PA.shape == delta_PA.shape == (2, n_channels, *size)
    assert logits.shape == (2, n_classes, *size)
    assert scores.shape == (2,)


@pytest.mark.parametrize("long_skip", SKIPS)
@pytest.mark.parametrize("case", [CASES[1], CASES[4]])
def test_every_parameter_gets_a_gradient(case, long_skip):
    networks = Networks(case, long_skip=long_skip)
    with SharedWeights(networks).normalised(update=True):
        sum(output.float().square().mean() for output in networks(images(case))).backward()
    for name, parameter in networks.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if name.endswith("weight"):  # a bias before an instance norm has no effect
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("case", [CASES[0], CASES[4]])
def test_bf16_autocast_stays_close_to_float32(case):
    networks = Networks(case)
    x = images(case)
    with torch.no_grad(), SharedWeights(networks).normalised(update=False):
        expected = networks(x)
    with SharedWeights(networks).normalised(update=False):
        with torch.autocast("cpu", torch.bfloat16):
            outputs = networks(x)
        sum(output.float().square().mean() for output in outputs).backward()
    assert outputs[0].dtype == torch.bfloat16
    assert outputs[-1].dtype == torch.float32  # the losses read the scores as they are
    for output, reference in zip(outputs, expected, strict=True):
        error = (output.detach().float() - reference).abs().mean()
        assert error < 0.05 * reference.abs().mean()
    for name, parameter in networks.named_parameters():
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_state_dict_round_trip():
    case = CASES[0]
    networks, other = Networks(case, seed=0), Networks(case, seed=1)
    x = images(case)
    with SharedWeights(networks).normalised(update=True):
        networks(x)
    expected = networks(x)
    assert not torch.equal(other(x)[0], expected[0])
    other.load_state_dict(copy.deepcopy(networks.state_dict()))
    for output, reference in zip(other(x), expected, strict=True):
        assert torch.equal(output, reference)


def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    states = [Networks(CASES[0], seed=3).state_dict() for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@torch.no_grad()
def test_the_narrowest_networks():
    """With one channel everywhere but in the code, short skips of decoders are identities."""
    case = CASES[1]
    for output in Networks(case, width=0.004)(images(case)):
        assert output.isfinite().all()

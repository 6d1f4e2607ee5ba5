"""Both decoders against the paper's formulas written out, for every kind of skip."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segtrans.errors import UserError
from segtrans.nets.decoder import Decoder
from segtrans.nets.residual_decoder import ResidualDecoder

SIZES = [(13, 10), (7, 5)]  # full resolution, then halved and rounded up; the code is 4 x 3
CHANNELS = (4, 3)
SKIP_CHANNELS = (3, 4)


def normalised(x, axes):
    x = x - x.mean(axes, keepdim=True)
    return x / torch.sqrt((x**2).mean(axes, keepdim=True) + 1e-5)


def convolve(x, state, name):
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    margin = weight.shape[-1] // 2
    pad = [(0, 0), (0, 0), (margin, margin), (margin, margin)]
    return F.conv2d(torch.from_numpy(np.pad(x.numpy(), pad, mode="reflect")), weight, bias)


def doubled(x, size):
    x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return x[..., : size[0], : size[1]]


def merged(x, skip, state, kind, index):
    if kind == "compress":
        return torch.cat([x, convolve(skip, state, f"trunk.long_skips.{index}.compress")], 1)
    if kind == "concat":
        return torch.cat([x, skip], 1)
    return x + skip if kind == "sum" else x


def written_out(code, skips, state, kind, norms, *, short_skip):
    """Tables 3 and 4 with one conv block, up to Norm + ReLU."""
    x = convolve(doubled(code, SIZES[1]), state, "trunk.first")
    x = merged(x, skips[1], state, kind, 0)
    y = convolve(doubled(norms[0](x).relu(), SIZES[0]), state, "trunk.blocks.0.convolution")
    if short_skip:
        y = y + convolve(doubled(x, SIZES[0]), state, "trunk.blocks.0.short_skip")
    return norms[1](merged(y, skips[0], state, kind, 1)).relu()


def layer_norm(state, prefix):
    gain, bias = state[f"{prefix}.gain"], state[f"{prefix}.bias"]
    return lambda x: normalised(x, (1, 2, 3)) * gain.view(-1, 1, 1) + bias.view(-1, 1, 1)


def randomised(network, generator):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return network


def residual_decoder(generator, kind="compress", norm="adaptive_instance_norm", n_classes=2):
    return ResidualDecoder(
        5,
        CHANNELS,
        2,
        kernel_size=5,
        long_skip=kind,
        skip_channels=SKIP_CHANNELS,
        n_classes=n_classes,
        segmentation_norm=norm,
        image_size=SIZES[0],
        mlp_units=8,
        generator=generator,
    )


@pytest.fixture
def code(generator):
    return torch.randn(2, 5, 4, 3, generator=generator)


@pytest.fixture
def skips(generator):
    return [
        torch.randn(2, n, *size, generator=generator)
        for n, size in zip(SKIP_CHANNELS, SIZES, strict=True)
    ]


@pytest.mark.parametrize("kind", ["compress", "concat", "sum", "none"])
def test_table_3_written_out(kind, code, skips, generator):
    decoder = Decoder(
        5,
        CHANNELS,
        2,
        kernel_size=3,
        short_skip=True,
        long_skip=kind,
        skip_channels=SKIP_CHANNELS,
        spectral_norm=False,
        generator=generator,
    )
    state = randomised(decoder, generator).state_dict()
    norms = [layer_norm(state, f"norms.{i}") for i in range(2)]
    features = written_out(code, skips, state, kind, norms, short_skip=True)
    expected = convolve(features, state, "last")
    torch.testing.assert_close(decoder(code, skips).detach(), expected, atol=1e-4, rtol=1e-4)


def effective_state(network):
    """The state with every weight divided by its sigma = u' W v."""
    state = dict(network.state_dict())
    for name in [name for name in state if name.endswith(".u")]:
        prefix = name.removesuffix("u")
        weight = state[prefix + "weight"]
        sigma = state[name] @ weight.flatten(1) @ state[prefix + "v"]
        state[prefix + "weight"] = weight / sigma
    return state


@pytest.mark.parametrize("kind", ["compress", "concat", "sum", "none"])
def test_table_4_and_equation_5_written_out(kind, code, skips, generator):
    decoder = residual_decoder(generator, kind)
    state = effective_state(randomised(decoder, generator))
    norms = [layer_norm(state, f"norms.{i}") for i in range(2)]
    features = written_out(code, skips, state, kind, norms, short_skip=False)
    delta = decoder.translate(code, skips).detach()
    torch.testing.assert_close(delta, convolve(features, state, "last"), atol=1e-3, rtol=1e-3)

    hidden = code.flatten(1)
    for layer in (1, 3, 5, 7):
        prefix = f"segmentation_norms.mlp.{layer}"
        hidden = hidden.relu() if layer > 1 else hidden
        hidden = hidden @ state[f"{prefix}.weight"].T + state[f"{prefix}.bias"]
    n_0, n_1 = decoder.trunk.norm_channels
    gain_0, gain_1, bias_0, bias_1 = hidden.split([n_0, n_1, n_0, n_1], 1)

    def adaptive(gain, bias):
        return lambda x: normalised(x, (2, 3)) * (1 + gain)[..., None, None] + bias[..., None, None]

    norms = [adaptive(gain_0, bias_0), adaptive(gain_1, bias_1)]
    features = written_out(code, skips, state, kind, norms, short_skip=False)
    logits = decoder.segment(code, skips).detach()
    expected = convolve(features, state, "segmentation_head")
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)


def test_switched_layer_norm_written_out(code, skips, generator):
    decoder = residual_decoder(generator, norm="layer_norm")
    state = effective_state(randomised(decoder, generator))
    norms = [layer_norm(state, f"segmentation_norms.norms.{i}") for i in range(2)]
    features = written_out(code, skips, state, "compress", norms, short_skip=False)
    logits = decoder.segment(code, skips).detach()
    expected = convolve(features, state, "segmentation_head")
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)


def test_each_path_trains_its_own_norms_only(code, skips, generator):
    decoder = residual_decoder(generator)
    own = {"translate": ("norms.", "last."), "segment": ("segmentation_",)}
    for path, other in (("translate", "segment"), ("segment", "translate")):
        decoder.zero_grad()
        getattr(decoder, path)(code, skips).square().sum().backward()
        for name, parameter in decoder.named_parameters():
            trained = name.startswith(("trunk.", *own[path]))
            assert (parameter.grad is not None) == trained, name
            assert trained != name.startswith(own[other]), name


def test_without_classes_there_is_nothing_to_segment_with(code, skips, generator):
    decoder = residual_decoder(generator, n_classes=None)
    assert not [name for name in decoder.state_dict() if name.startswith("segmentation")]
    with pytest.raises(ValueError, match="cannot segment"):
        decoder.segment(code, skips)


def test_the_mlp_refuses_other_image_sizes(code, skips, generator):
    decoder = residual_decoder(generator)
    with pytest.raises(UserError, match=r"\(5, 5, 3\).*made for \(5, 4, 3\)"):
        decoder.segment(torch.zeros(2, 5, 5, 3), skips)


def test_unknown_segmentation_norm(generator):
    with pytest.raises(ValueError, match="segmentation_norm = batch_norm: allowed"):
        residual_decoder(generator, norm="batch_norm")


def test_as_many_skips_as_upsamplings(generator):
    with pytest.raises(ValueError, match="shorter"):
        Decoder(
            5,
            CHANNELS,
            1,
            kernel_size=3,
            short_skip=True,
            long_skip="none",
            skip_channels=(3,),
            spectral_norm=False,
            generator=generator,
        )

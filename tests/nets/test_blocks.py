"""Norms, conv blocks and long skips against their formulas."""

import numpy as np
import pytest
import torch

from segtrans.nets.blocks import (
    ConvBlock,
    LayerNorm,
    LongSkip,
    adaptive_instance_norm,
    instance_norm,
)
from segtrans.nets.upsampling import upsample


@pytest.fixture
def x(generator):
    return 3 * torch.randn(2, 4, 5, 6, generator=generator) + 1


def normalised(x, axes):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5)


def test_instance_norm(x):
    expected = normalised(x.numpy(), (2, 3))
    np.testing.assert_allclose(instance_norm(x), expected, atol=1e-5)


def test_layer_norm(x, generator):
    norm = LayerNorm(4)
    np.testing.assert_allclose(norm(x).detach(), normalised(x.numpy(), (1, 2, 3)), atol=1e-5)
    with torch.no_grad():
        norm.gain.normal_(generator=generator)
        norm.bias.normal_(generator=generator)
    gain, bias = (p.detach().numpy().reshape(1, 4, 1, 1) for p in (norm.gain, norm.bias))
    expected = normalised(x.numpy(), (1, 2, 3)) * gain + bias
    np.testing.assert_allclose(norm(x).detach(), expected, atol=1e-5)


def test_adaptive_instance_norm(x, generator):
    gain, bias = torch.randn(2, 2, 4, generator=generator)
    expected = normalised(x.numpy(), (2, 3)) * gain.numpy()[..., None, None]
    expected = expected + bias.numpy()[..., None, None]
    np.testing.assert_allclose(adaptive_instance_norm(x, gain, bias), expected, atol=1e-5)


def test_short_skip_keeps_or_changes_the_shape(generator):
    def kind(*channels, **options):
        block = ConvBlock(*channels, 3, spectral_norm=False, generator=generator, **options)
        return type(block.short_skip).__name__

    assert kind(4, 4) == "Identity"
    assert kind(4, 5) == "Convolution"
    assert kind(4, 4, stride=2) == "Convolution"
    assert kind(4, 5, short_skip=False) == "NoneType"


@pytest.mark.parametrize("size", [(10, 12), (9, 11)])
def test_short_skip_before_repetition_equals_after(x, size, generator):
    block = ConvBlock(4, 3, 3, spectral_norm=False, generator=generator)
    size = torch.Size(size)
    normalised = instance_norm(x)
    rectified = upsample(normalised.relu(), size)
    expected = block.convolution(rectified) + block.short_skip(upsample(x, size))
    torch.testing.assert_close(block(x, normalised, size), expected)


def test_the_identity_carries_the_input_unchanged(x, generator):
    block = ConvBlock(4, 4, 3, spectral_norm=False, generator=generator)
    normalised = instance_norm(x)
    torch.testing.assert_close(block(x, normalised) - x, block.convolution(normalised.relu()))


def test_compress_concatenates_one_map(x, generator):
    skip = torch.randn(2, 7, 5, 6, generator=generator)
    long_skip = LongSkip("compress", 4, 7, spectral_norm=False, generator=generator)
    weight = long_skip.compress.weight.detach().view(7)
    merged = long_skip(x, skip).detach()
    assert long_skip.out_channels == 5
    assert torch.equal(merged[:, :4], x)
    torch.testing.assert_close(merged[:, 4], torch.einsum("c,nchw->nhw", weight, skip))


def test_plain_skips(x, generator):
    skip = torch.randn(2, 4, 5, 6, generator=generator)

    def merge(kind):
        long_skip = LongSkip(kind, 4, 4, spectral_norm=False, generator=generator)
        assert not list(long_skip.parameters())
        merged = long_skip(x, skip)
        assert merged.shape[1] == long_skip.out_channels
        return merged

    assert torch.equal(merge("concat"), torch.cat([x, skip], 1))
    assert torch.equal(merge("sum"), x + skip)
    assert torch.equal(merge("none"), x)


@pytest.mark.parametrize(("kind", "skip_channels"), [("concatenate", 4), ("sum", 5)])
def test_impossible_skips_are_refused(kind, skip_channels, generator):
    with pytest.raises(ValueError, match="long_skip"):
        LongSkip(kind, 4, skip_channels, spectral_norm=False, generator=generator)

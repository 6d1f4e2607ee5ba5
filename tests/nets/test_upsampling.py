"""Repeating then convolving, against NumPy's repetition and padding and a plain convolution."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from segtrans.nets.convolution import Convolution, SharedWeights
from segtrans.nets.upsampling import upsample, upsampled_convolution

N_IMAGES = 8  # enough for the way with fewer operations


@given(h=st.integers(1, 200), w=st.integers(1, 200), odd=st.tuples(st.booleans(), st.booleans()))
def test_upsampling_repeats_and_crops(h, w, odd):
    x = torch.arange(h * w, dtype=torch.float32).view(1, 1, h, w)
    size = torch.Size((2 * h - odd[0], 2 * w - odd[1]))
    repeated = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(upsample(x, size), repeated[..., : size[0], : size[1]])


def plain(convolution, x, size):
    """Values by NumPy's repetition and reflection, then torch's convolution of what is there."""
    radius = convolution.kernel_size[0] // 2
    index = [np.pad(np.arange(n) // 2, radius, mode="reflect") for n in size]
    padded = x[:, :, index[0]][..., index[1]]
    return F.conv2d(padded, convolution.current_weight(), convolution.bias)


def outcome(function, convolution, x, upstream):
    y = function(convolution, x, torch.Size(upstream.shape[-2:]))
    return y, *torch.autograd.grad(y, (x, *convolution.parameters()), upstream)


@settings(max_examples=40)
@given(
    h=st.integers(2, 7),
    w=st.integers(2, 7),
    odd=st.tuples(st.booleans(), st.booleans()),
    kernel_size=st.sampled_from([3, 5]),
    spectral_norm=st.booleans(),
    n=st.sampled_from([1, N_IMAGES]),
)
def test_the_convolution_and_its_gradients_are_those_of_the_plain_way(
    h, w, odd, kernel_size, spectral_norm, n
):
    size = (2 * h - odd[0], 2 * w - odd[1])
    if min(size) <= kernel_size // 2:
        return  # nothing to reflect
    generator = torch.Generator().manual_seed(h * 8 + w)
    convolution = Convolution(
        3, 2, kernel_size, spectral_norm=spectral_norm, generator=generator
    ).double()
    torch.nn.init.normal_(convolution.bias, generator=generator)
    x = torch.randn(n, 3, h, w, generator=generator, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(n, 2, *size, generator=generator, dtype=torch.float64)
    ours = outcome(upsampled_convolution, convolution, x, upstream)
    theirs = outcome(plain, convolution, x, upstream)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_a_block_of_shared_weights_spreads_each_kernel_once(kernel_size, generator):
    convolution = Convolution(2, 2, kernel_size, spectral_norm=True, generator=generator)
    x = torch.randn(N_IMAGES, 2, 4, 4, generator=generator)
    size = torch.Size((8, 8))
    alone = upsampled_convolution(convolution, x, size)
    with SharedWeights(convolution).normalised(update=False):
        first = upsampled_convolution(convolution, x, size)
        forms = dict(convolution.shared)
        assert torch.equal(first, upsampled_convolution(convolution, x, size))
        assert {form: id(weight) for form, weight in forms.items()} == {
            form: id(weight) for form, weight in convolution.shared.items()
        }
    assert len(forms) == (2 if kernel_size == 3 else 4)  # as it is, spread, and border kernels
    torch.testing.assert_close(first, alone)

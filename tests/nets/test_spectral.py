"""The convolution against NumPy's padding, spectral norm against torch's own and an SVD."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from segtrans.nets.convolution import Convolution, SharedWeights


def torch_twin(convolution):
    """torch's own spectral norm around the same weight, u and v."""
    twin = nn.Conv2d(
        convolution.in_channels, convolution.out_channels, convolution.kernel_size, bias=False
    ).to(convolution.weight.dtype)
    twin.weight.data.copy_(convolution.weight.data)
    parametrizations.spectral_norm(twin)
    norm = twin.parametrizations.weight[0]
    norm._u.copy_(convolution.u)
    norm._v.copy_(convolution.v)
    return twin


@pytest.mark.parametrize(
    ("kernel_size", "stride", "before", "after"),
    [
        (3, 1, 1, 1),
        (5, 1, 2, 2),
        (3, 2, 1, 1),
        (4, 1, 1, 2),
        (4, 2, 1, 1),
        (1, 1, 0, 0),
        (1, 2, 0, 0),
    ],
)
@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_reflection_padding(kernel_size, stride, before, after, size, generator):
    convolution = Convolution(
        2, 3, kernel_size, stride=stride, spectral_norm=False, generator=generator
    )
    x = torch.randn(2, 2, *size, generator=generator)
    pad = [(0, 0), (0, 0), (before, after), (before, after)]
    padded = torch.from_numpy(np.pad(x.numpy(), pad, mode="reflect"))
    expected = F.conv2d(padded, convolution.weight, stride=stride)
    torch.testing.assert_close(convolution(x), expected)


def test_kaiming_normal_weights_and_zero_biases(generator):
    convolution = Convolution(64, 64, 3, spectral_norm=False, generator=generator)
    assert convolution.weight.std().item() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)
    assert not convolution.bias.any()


def test_the_global_generator_is_left_alone(generator):
    before = torch.get_rng_state()
    Convolution(2, 3, 3, spectral_norm=True, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)


def test_equals_torchs_parametrisation_over_steps(generator):
    convolution = Convolution(3, 5, 3, spectral_norm=True, generator=generator).double()
    convolution.v.normal_(generator=generator)  # far from converged
    twin = torch_twin(convolution).train()
    upstream = torch.randn(5, 3, 3, 3, generator=generator, dtype=torch.float64)
    for _ in range(3):
        with SharedWeights(convolution).normalised(update=True):
            ours = convolution.current_weight()
            theirs = twin.weight  # one access is one power iteration
            torch.testing.assert_close(ours, theirs)
            for module, weight in ((convolution, ours), (twin, theirs)):
                module.zero_grad()
                weight.backward(upstream)
        original = twin.parametrizations.weight.original
        torch.testing.assert_close(convolution.weight.grad, original.grad)
        with torch.no_grad():
            convolution.weight -= 0.3 * convolution.weight.grad
            original -= 0.3 * original.grad


def test_outside_of_a_block_u_and_v_stay(generator):
    convolution = Convolution(3, 5, 3, spectral_norm=True, generator=generator).train()
    twin = torch_twin(convolution).eval()
    state = copy.deepcopy(convolution.state_dict())
    x = torch.randn(2, 3, 6, 6, generator=generator)
    expected = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), twin.weight)
    torch.testing.assert_close(convolution(x), expected)
    with SharedWeights(convolution).normalised(update=False):
        torch.testing.assert_close(convolution(x), expected)
    for name, value in convolution.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_power_iteration_finds_the_largest_singular_value(generator):
    convolution = Convolution(4, 6, 3, spectral_norm=True, generator=generator)
    for _ in range(100):
        with SharedWeights(convolution).normalised(update=True):
            weight = convolution.current_weight().detach()
    assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-4)


def test_all_forward_passes_of_a_block_share_one_weight(generator):
    network = nn.Sequential(
        Convolution(1, 4, 3, spectral_norm=True, generator=generator),
        Convolution(4, 1, 3, spectral_norm=True, generator=generator),
    )
    x = torch.randn(1, 1, 5, 5, generator=generator)
    with SharedWeights(network).normalised(update=True):
        weight = network[0].current_weight()
        first = network(x)
        assert network[0].current_weight() is weight
        assert torch.equal(first, network(x))
    assert network[0].shared is None


def test_a_block_ends_also_by_an_exception(generator):
    convolution = Convolution(1, 4, 3, spectral_norm=True, generator=generator)
    with pytest.raises(KeyError), SharedWeights(convolution).normalised(update=False):
        raise KeyError
    assert convolution.shared is None


def test_blocks_of_one_module_do_not_nest(generator):
    convolution = Convolution(1, 4, 3, spectral_norm=True, generator=generator)
    with SharedWeights(convolution).normalised(update=True):
        with pytest.raises(RuntimeError, match="already"):
            SharedWeights(convolution).normalised(update=True).__enter__()
        assert convolution.shared is not None


def test_without_spectral_norm_nothing_is_kept(generator):
    convolution = Convolution(1, 4, 3, spectral_norm=False, generator=generator)
    assert set(convolution.state_dict()) == {"weight", "bias"}
    with SharedWeights(convolution).normalised(update=True):
        assert convolution.shared is None


def test_sigma_is_not_rounded_by_autocast(generator):
    convolution = Convolution(3, 5, 3, spectral_norm=True, generator=generator)
    expected = convolution.current_weight()
    with torch.autocast("cpu", torch.bfloat16), SharedWeights(convolution).normalised(update=False):
        assert torch.equal(convolution.current_weight(), expected)

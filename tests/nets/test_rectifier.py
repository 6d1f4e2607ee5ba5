"""ReLU and padding as one, against torch's own two, and what autograd keeps of them."""

import pytest
import torch
from torch.nn import functional as F

from segtrans.nets.convolution import Convolution
from segtrans.nets.rectifier import rectified


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize(
    ("amounts", "mode"),
    [
        ((0, 0, 0, 0), "reflect"),
        ((1, 1, 1, 1), "reflect"),
        ((1, 2, 3, 0), "reflect"),
        ((1, 1, 1, 1), "replicate"),
    ],
)
def test_values_and_gradients_are_those_of_the_two_apart(
    amounts, mode, slope, memory_format, generator
):
    x = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.float64)
    x[:, :, 1:3] = 0  # where the gradient is that of negative values
    x = x.to(memory_format=memory_format).requires_grad_()
    expected = F.leaky_relu(x, slope)
    if any(amounts):
        expected = F.pad(expected, amounts, mode=mode)
    ours = rectified(x, amounts, mode, slope=slope)
    assert torch.equal(ours, expected)
    upstream = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    before = upstream.clone()
    (gradient,) = torch.autograd.grad(ours, x, upstream)
    assert torch.equal(upstream, before)  # others may hold it
    torch.testing.assert_close(
        gradient, *torch.autograd.grad(expected, x, upstream), rtol=1e-14, atol=0
    )


def test_a_convolution_keeps_one_map_of_what_it_rectifies_and_pads(generator):
    convolution = Convolution(4, 4, 3, spectral_norm=False, generator=generator)
    x = torch.randn(2, 4, 8, 8, generator=generator, requires_grad=True)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        convolution(x * 1, slope=0.0)
    maps = [tensor.shape for tensor in kept.values() if len(tensor) == 2]
    assert maps == [(2, 4, 10, 10)]

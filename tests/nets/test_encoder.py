"""The encoder against the paper's formulas written out, and its smallest image."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segtrans.errors import UserError
from segtrans.nets.encoder import Encoder


def norm(x):
    return (x - x.mean((2, 3), keepdim=True)) / torch.sqrt(
        x.var((2, 3), keepdim=True, correction=0) + 1e-5
    )


def convolve(x, state, name, stride=1):
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    margin = weight.shape[-1] // 2
    pad = [(0, 0), (0, 0), (margin, margin), (margin, margin)]
    padded = torch.from_numpy(np.pad(x.numpy(), pad, mode="reflect"))
    return F.conv2d(padded, weight, bias, stride=stride)


def test_table_2_written_out(generator):
    encoder = Encoder(2, (3, 4, 5), spectral_norm=False, generator=generator)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(generator=generator)  # biases too
    state = encoder.state_dict()
    x = torch.randn(2, 2, 9, 12, generator=generator)
    code, skips = encoder(x)

    x0 = convolve(x, state, "first")
    x1 = convolve(norm(x0).relu(), state, "blocks.0.convolution", 2)
    x1 = x1 + convolve(x0, state, "blocks.0.short_skip", 2)
    x2 = convolve(norm(x1).relu(), state, "blocks.1.convolution", 2)
    x2 = x2 + convolve(x1, state, "blocks.1.short_skip", 2)
    for ours, expected in zip([*skips, code], [norm(x0), norm(x1), norm(x2).relu()], strict=True):
        torch.testing.assert_close(ours.detach(), expected, atol=1e-4, rtol=1e-4)


def test_every_sample_is_encoded_by_itself(generator):
    encoder = Encoder(1, (3, 4, 5), spectral_norm=True, generator=generator)
    x = torch.randn(3, 1, 16, 16, generator=generator)
    code, skips = encoder(x)
    code_1, skips_1 = encoder(x[1:2])
    torch.testing.assert_close(code[1:2], code_1)
    for skip, skip_1 in zip(skips, skips_1, strict=True):
        torch.testing.assert_close(skip[1:2], skip_1)


@pytest.mark.parametrize(("n_blocks", "smallest"), [(4, 17), (5, 33)])
def test_smallest_image(n_blocks, smallest, generator):
    encoder = Encoder(1, (2,) * (n_blocks + 1), spectral_norm=False, generator=generator)
    code, _ = encoder(torch.randn(1, 1, smallest, 100, generator=generator))
    assert code.shape[2] == 2
    with pytest.raises(UserError, match=rf"too small.*at least {smallest} x {smallest}"):
        encoder(torch.zeros(1, 1, 100, smallest - 1))

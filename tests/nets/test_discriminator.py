"""Table 8 written out at three scales, and the smallest image."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segtrans.errors import UserError
from segtrans.nets.discriminator import MultiScaleDiscriminator


def norm(x):
    x = x - x.mean((1, 2, 3), keepdim=True)
    return x / torch.sqrt((x**2).mean((1, 2, 3), keepdim=True) + 1e-5)


def convolve(x, module, stride, before, after):
    pad = [(0, 0), (0, 0), (before, after), (before, after)]
    padded = torch.from_numpy(np.pad(x.numpy(), pad, mode="reflect"))
    sigma = module.u @ module.weight.permute(0, 2, 3, 1).flatten(1) @ module.v
    return F.conv2d(padded, module.weight / sigma, module.bias, stride=stride)


def halved(x):
    """Mean of what there is in each 3 x 3 window around every second pixel."""
    n, c, height, width = x.shape
    rows, columns = range(0, height, 2), range(0, width, 2)
    out = torch.empty(n, c, len(rows), len(columns))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = x[..., max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            out[..., i, j] = window.mean((2, 3))
    return out


@pytest.mark.parametrize("size", [(32, 32), (29, 37)])
@torch.no_grad()
def test_table_8_written_out(size, generator):
    discriminator = MultiScaleDiscriminator(2, (3, 3, 4, 5), generator=generator)
    x_0 = image = torch.randn(2, 2, *size, generator=generator)
    scores = []
    for scale in discriminator.scales:
        x = convolve(image, scale.first, 1, 1, 2)
        for module in scale.convolutions:
            x = norm(x)
            x = convolve(torch.where(x > 0, x, 0.2 * x), module, 2, 1, 1)
        scores.append(convolve(x, scale.last, 1, 0, 0).mean((1, 2, 3)))
        image = halved(image)
    torch.testing.assert_close(discriminator(x_0), sum(scores) / 3, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_scales_differ(generator):
    discriminator = MultiScaleDiscriminator(1, (2, 2, 2, 2), generator=generator)
    weights = [scale.first.weight for scale in discriminator.scales]
    assert len(weights) == 3
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize(("n_layers", "smallest"), [(4, 29), (5, 61)])
@torch.no_grad()
def test_smallest_image(n_layers, smallest, generator):
    discriminator = MultiScaleDiscriminator(1, (2,) * n_layers, generator=generator)
    assert (
        discriminator(torch.randn(2, 1, smallest, smallest, generator=generator)).isfinite().all()
    )
    with pytest.raises(UserError, match=f"at least {smallest} x {smallest}"):
        discriminator(torch.zeros(2, 1, smallest, smallest - 1))

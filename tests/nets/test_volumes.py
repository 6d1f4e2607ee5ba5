"""Operators of three dimensions against NumPy and SciPy; networks against those of two."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from torch.nn import functional as F

from segtrans.errors import UserError
from segtrans.nets.blocks import LayerNorm, LongSkip, adaptive_instance_norm, instance_norm
from segtrans.nets.convolution import Convolution, SharedWeights
from segtrans.nets.rectifier import rectified
from segtrans.nets.tables import ARCHITECTURES
from segtrans.nets.upsampling import upsampled_convolution
from segtrans.tasks.base import LEAST_SIDE
from segtrans.tasks.half_volumes import HalfVolumes
from tests.nets.depth import Networks, over_depth, spread_over_depth

SIZE = (5, 8, 7)


def volumes(generator, n=2, channels=3, size=SIZE):
    return torch.randn(n, channels, *size, generator=generator)


@pytest.mark.parametrize(
    ("kernel_size", "stride"), [(1, 1), (3, 1), (3, 2), (4, 1), (4, 2), (5, 1)]
)
@pytest.mark.parametrize("slope", [None, 0.0, 0.2])
@torch.no_grad()
def test_a_convolution_is_scipys_on_reflected_volumes(kernel_size, stride, slope, generator):
    convolution = Convolution(
        3, 2, kernel_size, stride=stride, spectral_norm=False, n_dimensions=3, generator=generator
    )
    convolution.bias.copy_(torch.tensor([0.5, -1.0]))
    x = volumes(generator)
    before = (kernel_size - 1) // 2
    after = before if stride > 1 else kernel_size - 1 - before
    seen = x.numpy()
    if slope is not None:
        seen = np.where(seen > 0, seen, slope * seen)
    seen = np.pad(seen, ((0, 0), (0, 0), *[(before, after)] * 3), mode="reflect")
    weight = convolution.weight.numpy()
    expected = np.stack(
        [
            [correlate(of, kernel, mode="valid")[0] for kernel in weight]  # channels sum up
            for of in seen
        ]
    )[:, :, ::stride, ::stride, ::stride] + np.array([0.5, -1.0]).reshape(1, 2, 1, 1, 1)
    np.testing.assert_allclose(convolution(x, slope), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_padding_and_relu_as_one_have_the_gradient_of_both(mode, slope, generator):
    amounts = (0, 1, 2, 1, 1, 2)
    x, plain = (volumes(generator).requires_grad_() for _ in range(2))
    plain.data.copy_(x.data)
    ours = rectified(x, amounts, mode, slope=slope)
    pairs = [(0, 0), (0, 0), *reversed(list(zip(amounts[::2], amounts[1::2], strict=True)))]
    padded = np.pad(x.detach().numpy(), pairs, mode="reflect" if mode == "reflect" else "edge")
    np.testing.assert_array_equal(ours.detach(), np.where(padded > 0, padded, slope * padded))
    weights = torch.randn(ours.shape, generator=generator)
    (ours * weights).sum().backward()
    (F.pad(F.leaky_relu(plain, slope), amounts, mode) * weights).sum().backward()
    torch.testing.assert_close(x.grad, plain.grad)


@pytest.mark.parametrize("channels", [3, 20])
@torch.no_grad()
def test_norms_are_numpys(channels, generator):
    x = volumes(generator, channels=channels)
    array = x.double().numpy()

    def standard(axes):
        mean, variance = (of(array, axis=axes, keepdims=True) for of in (np.mean, np.var))
        return (array - mean) / np.sqrt(variance + 1e-5)

    np.testing.assert_allclose(instance_norm(x), standard((2, 3, 4)), atol=1e-5)
    gain, bias = (torch.randn(2, channels, generator=generator) for _ in range(2))
    of_each = [of.numpy()[:, :, None, None, None] for of in (gain, bias)]
    np.testing.assert_allclose(
        adaptive_instance_norm(x, gain, bias),
        standard((2, 3, 4)) * of_each[0] + of_each[1],
        atol=1e-5,
    )
    norm = LayerNorm(channels)
    norm.gain.copy_(gain[0])
    norm.bias.copy_(bias[0])
    np.testing.assert_allclose(
        norm(x), standard((1, 2, 3, 4)) * of_each[0][:1] + of_each[1][:1], atol=1e-5
    )


@torch.no_grad()
def test_upsampling_repeats_every_axis_and_crops(generator):
    """Of a batch for which images would go the way with fewer operations."""
    convolution = Convolution(3, 2, 5, spectral_norm=False, n_dimensions=3, generator=generator)
    x = volumes(generator, n=8)
    for size in ((10, 16, 14), (9, 15, 14)):
        repeated = x.numpy()
        for axis in (2, 3, 4):
            repeated = np.repeat(repeated, 2, axis=axis)
        repeated = repeated[:, :, : size[0], : size[1], : size[2]]
        expected = convolution(torch.from_numpy(repeated.copy()), 0.0)
        found = upsampled_convolution(convolution, x, torch.Size(size), slope=0.0)
        torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_a_compressed_skip_is_a_weighted_sum(generator):
    skip = LongSkip("compress", 2, 3, spectral_norm=True, n_dimensions=3, generator=generator)
    x, maps = volumes(generator, channels=2), volumes(generator)
    weight = skip.compress.current_weight().numpy()[0, :, 0, 0, 0]
    expected = np.einsum("c,ncdhw->ndhw", weight, maps.numpy())
    merged = skip(x, maps)
    np.testing.assert_allclose(merged[:, 2], expected, atol=1e-5)
    assert torch.equal(merged[:, :2], x)


@torch.no_grad()
def test_the_largest_singular_value_of_kernels_is_one(generator):
    convolution = Convolution(3, 6, 3, spectral_norm=True, n_dimensions=3, generator=generator)
    for _ in range(50):
        convolution._spectrum().improve()
    matrix = convolution.current_weight().flatten(1).numpy()
    assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("norm", ["adaptive_instance_norm", "layer_norm"])
@pytest.mark.parametrize("long_skip", ["compress", "none"])
@pytest.mark.parametrize("size", [(29, 29, 32), (30, 33, 31)])
@torch.no_grad()
def test_networks_of_what_is_constant_along_depth_are_those_of_two_dimensions(
    norm, long_skip, size, generator
):
    """Each kernel has its weights of two dimensions at one place of its depth, 0 elsewhere."""
    flat, deep = (
        Networks(of, norm=norm, long_skip=long_skip, seed=seed)
        for of, seed in ((size[1:], 0), (size, 1))
    )
    spread_over_depth(flat, deep, generator)
    x = torch.randn(2, 2, *size[1:], generator=generator)
    expected = flat(x)
    found = deep(over_depth(x, size[0]))
    for output, reference in zip(found[:-1], expected[:-1], strict=True):
        torch.testing.assert_close(output, over_depth(reference, size[0]), atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(found[-1], expected[-1], atol=2e-4, rtol=1e-3)


def test_bf16_autocast_stays_close_to_float32(generator):
    size = (32, 30, 29)
    networks = Networks(size)
    x = torch.randn(2, 2, *size, generator=generator)
    with torch.no_grad(), SharedWeights(networks).normalised(update=False):
        expected = networks(x)
    with SharedWeights(networks).normalised(update=False):
        with torch.autocast("cpu", torch.bfloat16):
            outputs = networks(x)
        sum(output.float().square().mean() for output in outputs).backward()
    assert outputs[0].dtype == torch.bfloat16
    assert outputs[-1].dtype == torch.float32
    for output, reference in zip(outputs, expected, strict=True):
        error = (output.detach().float() - reference).abs().mean()
        assert error < 0.05 * reference.abs().mean()
    for name, parameter in networks.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_a_task_asks_for_sides_that_the_networks_take(architecture):
    least = LEAST_SIDE[architecture]
    for side, is_refused in ((least, False), (least - 1, True)):
        size = (least, least, side)
        task = HalfVolumes(
            kind="half_volumes",
            title="Volumes",
            architecture=architecture,
            **dict(zip(("depth", "height", "width"), size, strict=True)),
        )
        if is_refused:
            sizes = f"depth = {least}, height = {least}, width = {side}: too small"
            assert task.why_too_small.startswith(sizes)
            assert f"at least {least} pixels a side" in task.why_too_small
            with pytest.raises(UserError, match=f"image of {least} x {least} x {side} pixels"):
                Networks(size, architecture=architecture, width=0.01)(torch.zeros(1, 2, *size))
        else:
            assert not task.why_too_small
            networks = Networks(size, architecture=architecture, width=0.01)
            assert networks(torch.zeros(1, 2, *size))[0].shape == (1, 2, *size)


@pytest.mark.parametrize(
    ("channels", "kernel_size", "size"),
    [(2, 3, (4, 5, 2)), (1, 4, (15, 18, 15)), (8, 4, (4, 9, 3)), (8, 3, (10, 2)), (8, 4, (11, 3))],
    ids=["one voxel wide", "last not read, one channel", "both", "tall image", "taller image"],
)
def test_strided_bf16_is_float32_rounded(channels, kernel_size, size, generator):
    # On CPUs with AMX torch leaves parts of such results unwritten: whatever memory held.
    convolution = Convolution(
        3,
        channels,
        kernel_size,
        stride=2,
        spectral_norm=False,
        reads_channels_last=True,
        n_dimensions=len(size),
        generator=generator,
    )
    x = volumes(generator, size=size)
    made = []
    for is_rounded in (False, True):
        seen = x.clone().requires_grad_()
        convolution.zero_grad()
        held = [torch.full((n,), 1e30, dtype=torch.bfloat16) for n in range(1, 9000, 40)]
        del held
        with torch.autocast("cpu", torch.bfloat16, enabled=is_rounded):
            y = convolution(seen)
        assert y.dtype == (torch.bfloat16 if is_rounded else torch.float32)
        (y.float() ** 2).sum().backward()
        made.append((y.detach().float(), seen.grad, convolution.weight.grad))
    for exact, rounded in zip(*made, strict=True):
        torch.testing.assert_close(rounded, exact, rtol=0, atol=0.02 * exact.abs().max().item())

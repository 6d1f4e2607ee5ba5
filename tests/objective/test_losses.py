"""Every loss once more in NumPy, and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segtrans.objective.losses import (
    dice_loss,
    hinge_discriminator,
    hinge_generator,
    l1,
    l1_outside,
)
from segtrans.tasks.base import VOID


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_dice_by_hand():
    """Two images of two pixels: p = 1, 0.5 | 0, 0.5; truth = 1, 0 | 0, 1 (as label 7)."""
    y_seg = torch.tensor([[[[1.0, 0.5]]], [[[0.0, 0.5]]]])
    y = torch.tensor([[[1, 0]], [[0, 7]]], dtype=torch.uint8)
    # overlap 1 + 0.5 = 1.5; sums 2 and 2; (2 * 1.5 + 1) / (2 + 2 + 1) = 0.8
    assert dice_loss(y_seg, y).item() == pytest.approx(0.2)
    assert dice_loss(y_seg, y, smooth=0).item() == pytest.approx(0.25)


def numpy_dice(p, t, smooth):
    return (2 * (p * t).sum() + smooth) / (p.sum() + t.sum() + smooth)


def test_dice_of_one_class(rng):
    p, y = rng.random((3, 1, 5, 4)), rng.integers(0, 3, (3, 5, 4), dtype=np.uint8)
    expected = 1 - numpy_dice(p[:, 0], y > 0, 1.0)
    assert dice_loss(torch.from_numpy(p), torch.from_numpy(y)).item() == pytest.approx(expected)


def test_dice_of_classes_averages_the_foreground(rng):
    p, y = rng.random((3, 4, 5, 4)), rng.integers(0, 4, (3, 5, 4), dtype=np.uint8)
    expected = 1 - np.mean([numpy_dice(p[:, k], y == k, 1.0) for k in (1, 2, 3)])
    assert dice_loss(torch.from_numpy(p), torch.from_numpy(y)).item() == pytest.approx(expected)


def test_dice_pools_the_batch():
    """An empty mask beside a full one is not averaged as an image of its own."""
    y_seg = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    y = torch.zeros(2, 2, 2, dtype=torch.uint8)
    y[1] = 1
    assert dice_loss(y_seg, y).item() == 0
    assert dice_loss(1 - y_seg, y).item() == pytest.approx(1 - 1 / 9)


@pytest.mark.parametrize("size", [(5, 4), (3, 5, 4)])
def test_difference_outside_of_masks(rng, size):
    """In masks it counts as none; pixels that nobody labelled do not count at all."""
    a, b = rng.random((2, 3, 2, *size))
    y = rng.choice(np.array([0, 1, 4, VOID], np.uint8), (3, *size))
    sums = [abs(a[i, k] - b[i, k])[y[i] == 0].sum() for i in range(3) for k in range(2)]
    found = l1_outside(*map(torch.from_numpy, (a, b, y)))
    assert found.item() == pytest.approx(sum(sums) / (2 * (y != VOID).sum()))
    more = [np.concatenate([of, of]) for of in (a, b, y)]
    more[2][3:] = VOID  # slots that no labelled image fills
    assert l1_outside(*map(torch.from_numpy, more)).item() == pytest.approx(found.item())
    nothing = np.full_like(y, VOID)
    assert l1_outside(*map(torch.from_numpy, (a, b, nothing))).item() == 0


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), n_classes=st.integers(1, 4))
def test_dice_lies_between_0_and_1_and_0_means_equal(seed, n_classes):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, max(2, n_classes), (2, 3, 3), generator=generator, dtype=torch.uint8)
    p = torch.rand(2, n_classes, 3, 3, generator=generator)
    assert 0 <= dice_loss(p, y).item() <= 1
    classes = torch.arange(n_classes).view(1, -1, 1, 1) if n_classes > 1 else 1
    assert dice_loss((y.unsqueeze(1) == classes).float(), y).item() == pytest.approx(0, abs=1e-6)


def test_dice_pulls_probabilities_towards_the_truth():
    y_seg = torch.full((1, 1, 1, 2), 0.5, requires_grad=True)
    dice_loss(y_seg, torch.tensor([[[1, 0]]], dtype=torch.uint8)).backward()
    assert y_seg.grad[0, 0, 0, 0] < 0 < y_seg.grad[0, 0, 0, 1]


def test_l1(rng):
    a, b = rng.standard_normal((2, 3, 4, 5))
    loss = l1(torch.from_numpy(a), torch.from_numpy(b))
    assert loss.item() == pytest.approx(np.abs(a - b).mean())
    assert loss.dtype == torch.float64


def test_l1_of_half_precision_is_summed_in_float32():
    a = torch.full((100, 100), 1.0, dtype=torch.bfloat16)
    assert l1(a, torch.zeros(100, 100)).item() == 1


def test_hinge_by_hand():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    # real: max(0, 1 - D) = 0, 0.5, 2; fake: max(0, 1 + D) = 0, 1, 2
    assert hinge_discriminator(real, fake).item() == pytest.approx(2.5 / 3 + 1)
    assert hinge_generator(fake).item() == pytest.approx(2 / 3)


def test_hinge_is_equation_12(rng):
    real, fake = rng.standard_normal(7), rng.standard_normal(5)
    expected = -np.minimum(0, real - 1).mean() - np.minimum(0, -fake - 1).mean()
    loss = hinge_discriminator(torch.from_numpy(real), torch.from_numpy(fake))
    assert loss.item() == pytest.approx(expected)
    assert hinge_generator(torch.from_numpy(fake)).item() == pytest.approx(-fake.mean())


def test_void_pixels_count_neither_for_nor_against():
    generator = torch.Generator().manual_seed(0)
    y_seg = torch.rand(2, 1, 4, 6, generator=generator)
    y = (torch.rand(2, 4, 6, generator=generator) > 0.5).to(torch.uint8)
    void = torch.cat([y, torch.full_like(y, VOID)])
    padded = torch.cat([y_seg, torch.rand(2, 1, 4, 6, generator=generator)])
    assert dice_loss(padded, void) == dice_loss(y_seg, y)
    y[:, :, :3] = VOID
    assert dice_loss(y_seg, y).item() == pytest.approx(dice_loss(y_seg[..., 3:], y[..., 3:]).item())

"""Every term of unlabelled images once more in NumPy, in float64."""

import math

import numpy as np
import pytest
import torch

from segtrans.objective.losses import mean_square
from segtrans.objective.unlabelled import (
    certain_mean_square,
    cross_entropy,
    entropy,
    known_cross_entropy,
    largest_entropy,
    only_where,
    pseudo_labels,
    ramp_up,
)
from segtrans.tasks.base import VOID


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def probabilities(rng, n_maps):
    """Of three images, (3, K, 5, 4); of one map each pixel by itself."""
    z = np.exp(rng.normal(size=(3, n_maps, 5, 4)))
    return z / (1 + z) if n_maps == 1 else z / z.sum(axis=1, keepdims=True)


def both_classes(p):
    """All classes of each pixel, the background first."""
    return np.concatenate([1 - p, p], axis=1) if p.shape[1] == 1 else p


def test_the_ramp_is_that_of_the_publication_and_stays_up():
    for t in (0, 1, 250, 399, 400, 401, 1000):
        expected = math.exp(-5 * (1 - min(t, 400) / 400) ** 2)
        assert float(ramp_up(torch.tensor(float(t)), 400)) == pytest.approx(expected, rel=1e-5)
    assert float(ramp_up(torch.tensor(0.0), 400)) == pytest.approx(0.0067379, rel=1e-4)


@pytest.mark.parametrize("n_maps", [1, 3])
def test_mean_square(rng, n_maps):
    p, q = (probabilities(rng, n_maps) for _ in range(2))
    found = mean_square(torch.from_numpy(p), torch.from_numpy(q))
    assert found.item() == pytest.approx(((p - q) ** 2).mean(), rel=1e-12)


@pytest.mark.parametrize("n_maps", [1, 3])
def test_entropy_counts_the_background_of_one_map(rng, n_maps):
    p = probabilities(rng, n_maps)
    p[0, :, 0, 0] = 0
    p[0, 0, 0, 0] = 1  # where a logarithm of zero must not be
    each = both_classes(p)
    logarithms = np.log(np.where(each > 0, each, 1))
    expected = -(each * logarithms).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(entropy(torch.from_numpy(p)), expected, rtol=1e-12)
    even = torch.full((1, n_maps, 1, 1), 1 / max(2, n_maps), dtype=torch.float64)
    assert entropy(even).item() == pytest.approx(largest_entropy(even)) == math.log(max(2, n_maps))


@pytest.mark.parametrize("n_maps", [1, 3])
def test_uncertain_pixels_do_not_count(rng, n_maps):
    """As SSL4MIS writes it for two classes: sum(mask d) / (2 sum(mask)), d of both channels."""
    p, q, mean = (probabilities(rng, n_maps) for _ in range(3))
    uncertainty = entropy(torch.from_numpy(mean))
    most = 0.8 * math.log(max(2, n_maps))
    mask = uncertainty.numpy() < most
    assert 0 < mask.sum() < mask.size
    distance = (both_classes(p) - both_classes(q)) ** 2
    expected = (mask * distance).sum() / (distance.shape[1] * mask.sum())
    found = certain_mean_square(
        torch.from_numpy(p), torch.from_numpy(q), uncertainty, torch.tensor(most)
    )
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_where_no_pixel_is_certain_the_term_and_its_gradient_are_zero():
    p = torch.full((1, 1, 2, 2), 0.3, requires_grad=True)
    term = certain_mean_square(p, p.detach() + 0.1, torch.ones(1, 1, 2, 2), torch.tensor(0.5))
    term.backward()
    assert term.item() == 0
    assert torch.equal(p.grad, torch.zeros_like(p))


@pytest.mark.parametrize("n_maps", [1, 3])
def test_labels_below_the_threshold_are_void_and_not_background(rng, n_maps):
    p = probabilities(rng, n_maps)
    each = both_classes(p)
    expected = np.where(each.max(axis=1) < 0.6, VOID, each.argmax(axis=1))
    assert len(np.unique(expected)) == max(2, n_maps) + 1
    labels = pseudo_labels(torch.from_numpy(p), least=0.6)
    assert labels.dtype == torch.uint8
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(pseudo_labels(torch.from_numpy(p)), each.argmax(axis=1))


@pytest.mark.parametrize("n_maps", [1, 3])
def test_cross_entropy_by_pixel_and_over_those_that_are_known(rng, n_maps):
    logits = rng.normal(size=(3, n_maps, 5, 4)) * 3
    y = rng.integers(0, max(2, n_maps), (3, 5, 4)).astype(np.uint8)
    y[0, :2] = VOID
    p = 1 / (1 + np.exp(-logits)) if n_maps == 1 else np.exp(logits)
    each = both_classes(p)
    each = each / each.sum(axis=1, keepdims=True)
    index = np.where(y == VOID, 0, y)[:, None]
    expected = -np.log(np.take_along_axis(each, index, axis=1)[:, 0]) * (y != VOID)
    tensors = torch.from_numpy(logits), torch.from_numpy(y)
    np.testing.assert_allclose(cross_entropy(*tensors), expected, rtol=1e-10)
    known = expected.sum() / (y != VOID).sum()
    assert known_cross_entropy(*tensors).item() == pytest.approx(known, rel=1e-12)
    nothing = torch.full_like(tensors[1], VOID)
    assert known_cross_entropy(tensors[0], nothing).item() == 0


def test_labels_of_a_part():
    y = torch.tensor([[[0, 1, 2]]], dtype=torch.uint8)
    assert only_where(torch.tensor([[[True, False, True]]]), y).tolist() == [[[0, VOID, 2]]]

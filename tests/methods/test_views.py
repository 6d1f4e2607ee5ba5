"""Noise, strong views, boxes and blocks: their sizes and places as published."""

import numpy as np
import pytest
import torch

from segtrans.methods.views import block, cutmix_boxes, from_previous, noisy, strong_view

N, HEIGHT, WIDTH = 400, 24, 36


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_noise_has_its_spread_and_its_end(generator):
    noise = noisy(torch.zeros(8, 1, 64, 64), generator).numpy()
    assert np.abs(noise).max() == pytest.approx(0.2)
    # A normal distribution of 0.1 clipped at two of it: 0.9606 of its spread.
    assert noise.std() == pytest.approx(0.0959, rel=0.02)
    assert abs(noise.mean()) < 0.002


def extent(inside):
    """Rows and columns of one box, which must be a full rectangle."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    n_rows, n_columns = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert inside.sum() == n_rows * n_columns
    return rows[0], columns[0], n_rows, n_columns


def test_boxes_are_drawn_as_unimatch_draws_them(generator):
    boxes = cutmix_boxes(torch.zeros(N, 2, HEIGHT, WIDTH), generator)[:, 0].numpy()
    found = [extent(box) for box in boxes if box.any()]
    assert 0.4 < len(found) / N < 0.6
    areas = [rows * columns / (HEIGHT * WIDTH) for _, _, rows, columns in found]
    assert max(areas) <= 0.4
    assert np.mean(areas) == pytest.approx(0.19, abs=0.03)  # U(0.02, 0.4), cut down to pixels
    ratios = [rows / columns for _, _, rows, columns in found]
    assert min(ratios) > 0.2
    assert max(ratios) < 6  # of the smallest boxes a pixel is much
    at_edge = {
        "top": min(top for top, *_ in found) == 0,
        "bottom": max(top + rows for top, _, rows, _ in found) == HEIGHT,
        "left": min(left for _, left, _, _ in found) == 0,
        "right": max(left + columns for _, left, _, columns in found) == WIDTH,
    }
    assert all(at_edge.values()), at_edge


def test_a_block_is_two_thirds_of_each_side_anywhere(generator):
    x = torch.zeros(2, 1, HEIGHT, WIDTH)
    found = [extent(block(x, generator)[0, 0].numpy()) for _ in range(200)]
    assert {(rows, columns) for _, _, rows, columns in found} == {(16, 24)}
    assert {top for top, *_ in found} == set(range(9))
    assert {left for _, left, *_ in found} == set(range(13))


def test_pixels_inside_are_those_of_the_image_before():
    x = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 1, 2)
    inside = torch.tensor([True, False]).view(1, 1, 1, 2).expand(3, 1, 1, 2)
    assert from_previous(x, inside)[:, 0, 0].tolist() == [[2, 0], [0, 1], [1, 2]]


def test_a_strong_view_is_the_formula_of_its_factors(generator):
    x = 2 * torch.rand(N, 1, 6, 7, generator=generator) - 1
    state = generator.get_state()
    view = strong_view(x, generator)
    generator.set_state(state)
    draws = torch.rand((N, 3), generator=generator).double().numpy()
    noise = noisy(torch.zeros_like(x), generator).double().numpy()
    expected = x.double().numpy()
    for i, (brightness, contrast, which) in enumerate(draws):
        if which < 0.8:
            lit = np.clip((expected[i] + 1) / 2 * (0.5 + brightness), 0, 1)
            changed = np.clip((lit - lit.mean()) * (0.5 + contrast) + lit.mean(), 0, 1)
            expected[i] = 2 * changed - 1
    np.testing.assert_allclose(view, np.clip(expected + noise, -1, 1), atol=1e-5)

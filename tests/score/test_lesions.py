"""Lesions one by one: SciPy as the independent truth, rules by hand, files and figures."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from segtrans.score.lesions import (
    LesionCounts,
    count_in_images,
    count_lesions,
    lesion_scores,
    sum_over_groups,
)
from segtrans.tasks.base import VOID


def blobs(shape, *, share, seed):
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, 1.2)
    return smooth > np.quantile(smooth, 1 - share)


def by_scipy(segmented, truth):
    """Each part by itself, with SciPy's labels and neighbours."""
    neighbours = np.ones((3,) * truth.ndim)
    lesions, n_lesions = ndimage.label(truth, neighbours)
    parts, n_parts = ndimage.label(segmented, neighbours)
    found = sum(segmented[lesions == n].any() for n in range(1, n_lesions + 1))
    false = sum(not truth[parts == n].any() for n in range(1, n_parts + 1))
    return found, n_lesions - found, false


@pytest.mark.parametrize("shape", [(64, 48), (20, 24, 16)])
@pytest.mark.parametrize("seed", range(4))
def test_lesions_are_those_that_scipy_counts(shape, seed):
    truth, segmented = blobs(shape, share=0.06, seed=seed), blobs(shape, share=0.1, seed=100 + seed)
    expected = by_scipy(segmented, truth)
    assert min(expected) > 0
    assert count_lesions(segmented, truth) == expected


def test_parts_that_touch_by_a_corner_are_one_in_images_and_in_volumes():
    corner = np.eye(3, dtype=bool)
    assert count_lesions(np.zeros_like(corner), corner) == (0, 1, 0)
    volume = np.zeros((2, 2, 2), bool)
    volume[0, 0, 0] = volume[1, 1, 1] = True
    assert count_lesions(volume, np.zeros_like(volume)) == (0, 0, 1)
    # Two images of a block are no volume: nothing is joined across them.
    assert count_in_images(volume, None).lesions_false.tolist() == [1, 1]


def test_a_pixel_finds_a_lesion_and_two_lesions_may_be_found_by_one_part():
    truth, segmented = np.zeros((5, 9), bool), np.zeros((5, 9), bool)
    truth[1, 0:3] = truth[1, 6:9] = truth[4, 4] = True
    segmented[1, 2:7] = True
    segmented[3:5, 0] = True
    assert count_lesions(segmented, truth) == (2, 1, 1)


def test_pixels_that_count_neither_way_are_neither_lesion_nor_false():
    mask = np.zeros((1, 4, 6), np.uint8)
    mask[0, :, 3:], mask[0, 0, 0] = VOID, 2
    counts = count_in_images(mask == VOID, mask)
    assert [int(values[0]) for values in vars(counts).values()] == [0, 1, 0]


def counts(found, missed, false):
    return LesionCounts(*(np.array(values) for values in (found, missed, false)))


def test_figures_are_pooled_over_images_and_means_over_groups():
    present, absent = counts([2, 0], [1, 1], [0, 3]), counts([0, 0], [0, 0], [1, 0])
    groups = sum_over_groups(
        [(np.array(["a", "b"]), present), (np.array(["b", "c"]), absent)],
    )
    assert groups.to_dict("list") == {
        "group": ["a", "b", "c"],
        "lesions_found": [2, 0, 0],
        "lesions_missed": [1, 1, 0],
        "lesions_false": [0, 4, 0],
    }
    assert lesion_scores(present, absent, groups) == pytest.approx(
        {
            "lesions_found_fraction": 2 / 4,
            "lesions_false_image_mean": 4 / 4,
            "lesions_found_fraction_group": (2 / 3 + 0) / 2,  # group c has no lesion
            "lesions_false_group_mean": 4 / 3,
        }
    )
    nothing = counts([0], [0], [0])
    scores = lesion_scores(nothing, nothing, None)
    assert scores["lesions_found_fraction"] is None
    assert scores["lesions_found_fraction_group"] is None
    assert json.dumps(scores, allow_nan=False)
    assert isinstance(groups, pd.DataFrame)

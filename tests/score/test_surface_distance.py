"""Distances between surfaces: the very numbers of MONAI."""

import warnings

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from segtrans.score.surface_distance import hd95_mm

SHAPES = [(12, 20, 16), (3, 40, 7), (1, 9, 9)]
SPACINGS_MM = [(1.0, 1.0, 1.0), (3.3, 0.9375, 1.2)]


def masks(rng, shape):
    """Two masks of blobs or of single voxels, few or many of them, also at the border."""
    for _ in range(2):
        field = gaussian_filter(rng.normal(size=shape), rng.choice([0, 1, 2]))
        yield field > np.quantile(field, rng.choice([0.1, 0.9, 0.99]))


@pytest.mark.slow  # the import of MONAI alone takes six seconds
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spacing_mm", SPACINGS_MM)
def test_monai_has_the_same_number(shape, spacing_mm):
    with warnings.catch_warnings():
        # It passes itself arguments that it has deprecated.
        warnings.simplefilter("ignore")
        from monai.metrics.hausdorff_distance import compute_hausdorff_distance

        rng = np.random.default_rng(0)
        for _ in range(20):
            first, second = masks(rng, shape)
            theirs = compute_hausdorff_distance(
                *(torch.from_numpy(np.pad(mask, 1))[None, None] for mask in (first, second)),
                include_background=True,
                percentile=95,
                spacing=list(spacing_mm),
            )
            assert hd95_mm(first, second, spacing_mm) == float(theirs)


def test_masks_of_one_voxel_are_as_far_apart_as_their_centres():
    first, second = np.zeros((2, 9, 9, 9), bool)
    first[0, 8, 8] = second[3, 4, 8] = True
    assert hd95_mm(first, second, (1.0, 0.5, 2.0)) == pytest.approx(np.hypot(3, 2))
    assert hd95_mm(first, first, (1.0, 0.5, 2.0)) == 0

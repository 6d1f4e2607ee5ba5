"""Half-volumes against block means by NumPy, and hand-made patients against the rule of domains."""

import numpy as np
import pytest

from segtrans.config.versions import HALF_VOLUMES_VERSION
from segtrans.errors import UserError
from segtrans.sources.brats.half_slices import brain_of, intensities_of, normalised
from segtrans.sources.brats.half_volumes import (
    enlarged,
    make_half_volumes,
    reduced,
    reduced_images,
)
from segtrans.tasks.half_volumes import HalfVolumes
from segtrans.tasks.parameters import HalfSliceRules

NAMES = ("t1", "t2", "t1c", "flair")
SHAPE = (116, 58, 58)  # X, Y, Z: halves are twice the grid along each axis
VERSION = (1, ("absent", "present"), (0, 1200), (0.063074, 0.061859))


def task(**changes):
    grid = {"depth": 29, "height": 29, "width": 29}
    return HalfVolumes(kind="half_volumes", title="Volumes", **grid | changes)


def patient(seed=0):
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE, bool)
    brain[10:-10, 6:50, 4:54] = True
    volumes = {
        name: np.where(brain, rng.integers(50, 90, SHAPE), 0).astype(np.int16) for name in NAMES
    }
    return volumes, np.zeros(SHAPE, np.uint8)


def test_each_voxel_is_the_mean_of_what_it_covers():
    volumes, mask = patient()
    left, right = 70, 20
    mask[left : left + 8, 20:30, 20:30] = 2
    mask[right, 20, 20] = 3
    made = make_half_volumes(volumes, mask, HalfSliceRules(), task(), case_id="hand")
    brain = np.logical_or.reduce([volume != 0 for volume in volumes.values()])
    for of in made:
        half = slice(58, None) if of.side == "left" else slice(None, 58)
        for channel, volume in enumerate(volumes.values()):
            values = volume[brain].astype(np.float64)
            z_score = np.where(brain, (volume - values.mean()) / values.std(), 0)[half]
            blocks = z_score.transpose(2, 1, 0).reshape(29, 2, 29, 2, 29, 2)
            np.testing.assert_allclose(of.image[channel], blocks.mean(axis=(1, 3, 5)), atol=3e-3)
        lesion = (mask[half] != 0).transpose(2, 1, 0).reshape(29, 2, 29, 2, 29, 2)
        assert np.array_equal(of.mask, lesion.mean(axis=(1, 3, 5)) >= 0.5)
    domains = {of.side: of.domain for of in made}
    assert domains == {"left": "present", "right": "neither"}  # one voxel of eight is too small


def test_a_half_without_any_lesion_is_of_absence():
    volumes, mask = patient()
    mask[70:90, 20:40, 20:40] = 1
    made = {
        of.side: of
        for of in make_half_volumes(volumes, mask, HalfSliceRules(), task(), case_id="h")
    }
    assert made["right"].domain == "absent"
    assert not made["right"].mask.any()
    assert made["left"].domain == "present"
    # Of 24 x 22 x 25 voxels of brain the lesion has 1000, 7.58 %.
    for least, domain in ((0.075, "present"), (0.0765, "neither")):
        rule = task(min_lesion_fraction=least)
        again = make_half_volumes(volumes, mask, HalfSliceRules(), rule, case_id="h")
        assert {of.side: of.domain for of in again} == {"left": domain, "right": "absent"}


def test_right_halves_are_mirrored_with_their_masks():
    volumes, mask = patient()
    mask[20:30, 20:30, 20:30] = 1
    plain, mirrored = (
        make_half_volumes(volumes, mask, HalfSliceRules(mirror_right=on), task(), case_id="h")
        for on in (False, True)
    )
    for before, after in zip(plain, mirrored, strict=True):
        step = -1 if before.side == "right" else 1
        assert np.array_equal(after.image, before.image[..., ::step])
        assert np.array_equal(after.mask, before.mask[..., ::step])


def test_what_is_no_multiple_keeps_its_mean():
    volumes, _ = patient()
    grid = task(depth=31, height=40, width=33)
    brain = brain_of(volumes)
    intensities = intensities_of(volumes, brain, normalisation="joint", case_id="h")
    z_scores = normalised(
        volumes, brain, intensities, side="left", slices=np.arange(58), mirror=False
    )
    images = reduced_images(z_scores, grid.image_size)
    assert images.shape == (4, 31, 40, 33)
    z_score = np.where(brain, (volumes["t1"] - intensities.mean["t1"]) / intensities.sd["t1"], 0)
    assert images[0].astype(np.float64).mean() == pytest.approx(z_score[58:].mean(), abs=1e-3)
    share = reduced(brain[58:].transpose(2, 1, 0), grid.image_size)
    assert share.mean() == pytest.approx(brain[58:].mean(), abs=1e-5)
    assert share.min() == 0
    assert share.max() == pytest.approx(1)


def test_what_is_linear_is_enlarged_to_where_it_was():
    """A ramp, but for half a voxel of the grid at its ends, where the last value stays."""
    ramp = np.indices((60, 50, 44), np.float32)
    for axis in range(3):
        small = reduced(ramp[axis], (30, 25, 22))
        inside = tuple(slice(1, -1) for _ in range(3))
        found = enlarged(small, ramp[axis].shape)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[inside], ramp[axis][inside], atol=1e-3)


def test_a_grid_finer_than_the_scan_is_refused():
    volumes, mask = patient()
    with pytest.raises(UserError, match=r"BraTS1: halves of the scan have 58 x 58 x 58 .* 60 x 29"):
        make_half_volumes(volumes, mask, HalfSliceRules(), task(depth=60), case_id="BraTS1")


def test_half_volumes_are_those_of_their_number():
    """As tests/config/test_versions.py: raise the number where this is meant to change."""
    volumes, mask = patient(seed=1)
    mask[70:90, 20:40, 20:40] = 1
    made = make_half_volumes(volumes, mask, HalfSliceRules(), task(height=33), case_id="h")
    number, domains, voxels, squares = VERSION
    assert number == HALF_VOLUMES_VERSION
    assert tuple(of.domain for of in made) == domains
    assert tuple(int(of.mask.sum()) for of in made) == voxels
    found = [float(np.square(of.image[0].astype(np.float64)).mean()) for of in made]
    assert found == pytest.approx(squares, rel=1e-3)

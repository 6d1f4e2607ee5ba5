"""Random fields against their theory, slopes against NumPy's."""

import numpy as np
import pytest
from scipy import ndimage

from segtrans.sources.phantom.fields import (
    axes_of,
    band_field,
    shape_of,
    smooth_field,
    smoothstep,
    steepness,
    within,
)


@pytest.mark.parametrize("spacing", [2, 4, 11])
def test_smooth_fields_have_unit_sd_and_their_own_smoothness(spacing):
    field = smooth_field(np.random.default_rng(0), (90, 100, 110), spacing)
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=0.03 * spacing**1.5)
    assert field.std() == pytest.approx(1, abs=0.02 * spacing)
    # The cubic B-spline's own autocorrelation, at one and two spacings.
    for shift, expected in ((spacing, 1191 / 2416), (2 * spacing, 120 / 2416)):
        correlation = np.corrcoef(field[shift:].ravel(), field[:-shift].ravel())[0, 1]
        assert correlation == pytest.approx(expected, abs=0.1)


def test_a_field_is_that_of_its_generator():
    fields = [smooth_field(np.random.default_rng(seed), (9, 8, 7), 3.0) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(fields[0], fields[1])
    assert not np.allclose(fields[0], fields[2])


def test_zeros_of_band_fields_are_evenly_spread():
    rng = np.random.default_rng(0)
    slow, band = (make(rng, (80, 80, 80), 5.0) for make in (smooth_field, band_field))

    def longest_gap(field):
        is_zero = np.diff(np.signbit(field), axis=0, append=False)
        return ndimage.distance_transform_edt(~is_zero).max()

    assert longest_gap(band) < 0.8 * longest_gap(slow)


def test_steepness_and_smoothstep():
    rng = np.random.default_rng(0)
    volume = rng.standard_normal((6, 7, 8), dtype=np.float32)
    expected = np.sqrt(sum(part**2 for part in np.gradient(volume)))
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(steepness(volume)[inner], expected[inner], rtol=1e-5)
    values = np.array([-1, 0, 0.5, 1, 2], np.float32)
    np.testing.assert_allclose(smoothstep(values, 0, 1), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(values, 1, 0), [1, 1, 0.5, 0, 0])


def test_boxes_are_parts_of_an_array():
    outer, inner = (slice(2, 9), slice(0, 5), slice(1, 8)), (slice(3, 6), slice(1, 5), slice(1, 3))
    grid = np.arange(10 * 9 * 8).reshape(10, 9, 8)
    np.testing.assert_array_equal(grid[outer][within(inner, outer)], grid[inner])
    assert shape_of(inner) == grid[inner].shape
    x, y, z = axes_of(inner)
    np.testing.assert_array_equal(72 * x + 8 * y + z, grid[inner])

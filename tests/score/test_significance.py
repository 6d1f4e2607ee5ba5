"""Paired differences, against SciPy's own test and against what a 95 % interval has to hold."""

import numpy as np
import pytest
from scipy import stats

from segtrans.config.runs import read_run
from segtrans.score.significance import (
    FEWEST_SEEDS,
    SEEDS_FOR_P_VALUE,
    paired_differences,
    t_interval,
)


@pytest.fixture
def scored(write_run):
    """A function that writes runs of these Dice, a seed each, and returns them."""

    def make(method, dice, *, first_seed=0, **how):
        return [
            read_run(write_run(method, seed, dice=value, **how))
            for seed, value in enumerate(dice, start=first_seed)
        ]

    return make


@pytest.mark.parametrize("n_seeds", [5, 6, 10])
def test_it_is_the_paired_t_test_of_scipy(scored, n_seeds):
    rng = np.random.default_rng(n_seeds)
    a, b = rng.normal([[0.60], [0.63]], 0.03, (2, n_seeds))
    (difference,) = paired_differences([*scored("autoencoder", a), *scored("translation", b)])
    truth = stats.ttest_rel(b, a)
    low, high = truth.confidence_interval(0.95)
    assert (difference.method, difference.reference) == ("translation", "autoencoder")
    assert difference.mean == pytest.approx((b - a).mean())
    assert difference.per_seed == pytest.approx(tuple(b - a))
    found = difference.interval
    assert (found.low, found.high, found.p_value) == pytest.approx((low, high, truth.pvalue))


@pytest.mark.parametrize("n_seeds", range(FEWEST_SEEDS, SEEDS_FOR_P_VALUE))
def test_few_seeds_have_an_interval_and_no_p_value(scored, n_seeds):
    a, b = np.random.default_rng(n_seeds).normal([[0.60], [0.63]], 0.03, (2, n_seeds))
    (difference,) = paired_differences([*scored("autoencoder", a), *scored("translation", b)])
    low, high = stats.ttest_rel(b, a).confidence_interval(0.95)
    found = difference.interval
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p_value is None


@pytest.mark.parametrize("n_seeds", [3, 4, 5, 6, 10])
def test_intervals_hold_the_true_difference_as_often_as_they_say(n_seeds):
    rng, n, truth = np.random.default_rng(n_seeds), 4000, 0.02
    draws = rng.normal(truth, 0.03, (n, n_seeds))
    intervals = [t_interval(values) for values in draws]
    # 0.95 within three and a half standard deviations of a share of 4,000.
    held = np.mean([found.low <= truth <= found.high for found in intervals])
    assert held == pytest.approx(0.95, abs=0.012)
    if n_seeds >= SEEDS_FOR_P_VALUE:
        is_small = np.mean([t_interval(values - truth).p_value < 0.05 for values in draws])
        assert is_small == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("n_seeds", range(1, FEWEST_SEEDS))
def test_too_few_seeds_have_no_interval(scored, n_seeds):
    dice = np.linspace(0.5, 0.6, n_seeds)
    runs = [*scored("autoencoder", dice), *scored("translation", dice + 0.2)]
    (difference,) = paired_differences(runs)
    assert difference.interval is None
    assert difference.mean == pytest.approx(0.2)
    assert difference.n_seeds == n_seeds


def test_runs_that_segment_alike_do_not_differ(scored):
    dice = [0.50, 0.52, 0.54, 0.51, 0.49]
    (difference,) = paired_differences([*scored("autoencoder", dice), *scored("translation", dice)])
    assert difference.mean == 0
    assert (difference.interval.low, difference.interval.high) == (0, 0)
    assert difference.interval.p_value == 1


def test_a_difference_turned_round_is_the_same_below_zero(scored):
    dice = np.array([0.50, 0.52, 0.54, 0.51, 0.49])
    higher = dice + np.array([0.1, 0.2, 0.1, 0.1, 0.2])
    runs = [scored("autoencoder", dice), scored("translation", higher)]
    (there,) = paired_differences([*runs[0], *runs[1]])
    (back,) = paired_differences([*runs[1], *runs[0]])
    assert there.interval.low > 0
    assert (back.interval.low, back.interval.high) == pytest.approx(
        (-there.interval.high, -there.interval.low)
    )
    assert back.interval.p_value == pytest.approx(there.interval.p_value)


def test_other_scores_are_compared_by_the_same_test(scored):
    # Mean of ten images each.
    pixels = {"autoencoder": [100, 120, 90], "translation": [70, 75, 72]}
    runs = [
        run
        for method, values in pixels.items()
        for seed, value in enumerate(values)
        for run in scored(method, [0.5], first_seed=seed, false_positives=10 * value)
    ]
    (found,) = paired_differences(runs, lambda metrics: metrics.test_false_positives)
    assert found.per_seed == pytest.approx((-30, -45, -18))
    truth = stats.ttest_rel(pixels["translation"], pixels["autoencoder"]).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(truth))


def test_only_common_seeds_are_compared(scored):
    runs = [
        *scored("segmentation_only", [0.5], first_seed=5),
        *scored("autoencoder", [0.5, 0.5]),
        *scored("translation", [0.6, 0.9], first_seed=1),
    ]
    (difference,) = paired_differences(runs)
    assert (difference.reference, difference.n_seeds) == ("autoencoder", 1)
    assert difference.mean == pytest.approx(0.1)

"""What is labelled: the asked number, of the asked classes or of whole patients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtrans.config.blocks import LabelsParams
from segtrans.data.feed.labels import choose_digits, choose_labelled, choose_volumes
from segtrans.errors import UserError

# 40 digits, four of each class, on two images each.
SOURCE_INDEX = np.concatenate([np.arange(500, 540), np.arange(500, 540)])
DIGIT = ((SOURCE_INDEX - 500) % 10).astype(np.uint8)


def choose(fraction, digits=(9,), data_seed=0):
    rng = np.random.default_rng(data_seed)
    return choose_digits(DIGIT, SOURCE_INDEX, fraction=fraction, digits=digits, rng=rng)


def test_labelled_digits_are_of_the_asked_class_and_number():
    # 5 % of 40 digits, not of 80 images
    labelled = choose(0.05)
    assert len(labelled) == 2
    assert set(labelled) < {509, 519, 529, 539}
    np.testing.assert_array_equal(labelled, np.sort(labelled))


def test_another_seed_labels_other_digits_and_the_same_seed_the_same():
    chosen = {tuple(choose(0.1, digits=(3, 4, 9), data_seed=seed)) for seed in range(8)}
    assert len(chosen) > 4
    np.testing.assert_array_equal(choose(0.1, data_seed=5), choose(0.1, data_seed=5))


def test_images_that_have_a_mask_are_labelled_and_no_others():
    provenance = {
        "name": np.array(["b", "a", "b", "c"]),
        "has_mask": np.array([1, 0, 1, 1], np.uint8),
    }
    labels = LabelsParams(
        fraction=0.01, digits=(9,), unit=None, per_batch=1, per_seed=True, segment_absent=False
    )
    labelled = choose_labelled(provenance, labels, data_seed=0, init_seed=1)
    assert (labelled.unit, labelled.ids) == ("image", ["b", "c"])
    assert labelled.is_labelled.tolist() == [True, False, True, True]
    # Slices of scans are labelled with their volume.
    of_scans = {"case_id": provenance["name"], "has_mask": provenance["has_mask"]}
    labelled = choose_labelled(of_scans, labels, data_seed=0, init_seed=1)
    assert (labelled.unit, labelled.ids) == ("volume", ["b", "c"])
    assert labelled.is_labelled.tolist() == [True, False, True, True]


def test_all_digits_can_be_labelled():
    np.testing.assert_array_equal(choose(1.0, digits=tuple(range(10))), np.arange(500, 540))


@pytest.mark.parametrize(
    ("fraction", "digits", "message"),
    [
        (0.01, (9,), "gives no label among 40 training digits; at least 0.025"),
        (0.2, (9,), "asks for 8 labelled digits, the training fold has 4 of class 9; at most 0.1"),
        (0.3, (1, 2), "4 of class 1, 4 of class 2; at most 0.2"),
    ],
)
def test_impossible_fractions_say_what_is_possible(fraction, digits, message):
    with pytest.raises(UserError, match=r"labels\.fraction") as refusal:
        choose(fraction, digits)
    assert message in str(refusal.value)


def params(**changes):
    content = {
        "fraction": 0.1,
        "digits": None,
        "unit": "volume",
        "per_batch": 0,
        "per_seed": False,
        "segment_absent": False,
    }
    return LabelsParams(**(content | changes))


def labelled(provenance, labels, data_seed=0, init_seed=0):
    return choose_labelled(provenance, labels, data_seed=data_seed, init_seed=init_seed)


# Patients a, b, c, d with 10, 20, 30 and 40 half-slices.
CASES = np.repeat(np.array(["a", "b", "c", "d"]), [10, 20, 30, 40])
PROVENANCE = {
    "case_id": CASES,
    "side": np.where(np.arange(100) % 2, "left", "right"),
    "slice_index": np.arange(100),
}


@given(fraction=st.floats(0.001, 1), data_seed=st.integers(0, 2**32))
def test_volumes_are_taken_whole_until_they_hold_the_fraction(fraction, data_seed):
    sizes = {"a": 10, "b": 20, "c": 30, "d": 40}
    chosen = choose_volumes(CASES, fraction=fraction, rng=np.random.default_rng(data_seed))
    assert chosen == sorted(set(chosen))
    held, wanted = sum(sizes[case] for case in chosen), max(1, round(100 * fraction))
    assert held >= wanted
    # The last one drawn was needed, whichever of them it was.
    assert held - max(sizes[case] for case in chosen) < wanted


def test_the_images_of_the_chosen_volumes_are_labelled_and_no_others():
    found = labelled(PROVENANCE, params(fraction=0.35), data_seed=4)
    assert found.unit == "volume"
    np.testing.assert_array_equal(found.is_labelled, [case in found.ids for case in CASES])
    seeds = {tuple(labelled(PROVENANCE, params(), data_seed=seed).ids) for seed in range(20)}
    assert len(seeds) >= 3


def test_single_half_slices_can_be_labelled():
    found = labelled(PROVENANCE, params(unit="half_slice", fraction=0.07))
    assert found.is_labelled.sum() == len(found.ids) == 7
    for i in np.flatnonzero(found.is_labelled):
        assert f"{CASES[i]}, {PROVENANCE['side'][i]}, {i}" in found.ids
    with pytest.raises(UserError, match=r"labels\.fraction = 0\.001: gives no label among 100"):
        labelled(PROVENANCE, params(unit="half_slice", fraction=0.001))


def test_digits_are_labelled_on_all_their_images():
    provenance = {"digit": DIGIT, "source_index": SOURCE_INDEX}
    found = labelled(provenance, params(fraction=0.05, digits=(9,), unit=None))
    assert found.unit == "digit"
    assert len(found.ids) == 2
    np.testing.assert_array_equal(found.is_labelled, np.isin(SOURCE_INDEX, found.ids))
    assert set(DIGIT[found.is_labelled]) == {9}
    assert found.is_labelled.sum() == 4


@pytest.mark.parametrize("unit", ["volume", "half_slice"])
def test_each_initial_seed_labels_its_own_draw_when_asked(unit):
    shared, own = params(unit=unit), params(unit=unit, per_seed=True)
    draws = [labelled(PROVENANCE, own, init_seed=seed) for seed in range(20)]
    assert len({tuple(found.ids) for found in draws}) >= 3
    for seed in range(20):
        assert labelled(PROVENANCE, shared, init_seed=seed).ids == draws[0].ids
        again = labelled(PROVENANCE, own, init_seed=seed)
        np.testing.assert_array_equal(again.is_labelled, draws[seed].is_labelled)


@pytest.mark.parametrize(("unit", "name"), [("volume", "case_id"), (None, "digit")])
def test_data_that_do_not_say_where_they_come_from_are_refused(unit, name):
    with pytest.raises(UserError, match=f"no train/present/{name}"):
        labelled({}, params(unit=unit))

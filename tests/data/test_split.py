"""Folds share no digit and no patient, and have the sizes that were asked for."""

import hashlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtrans.data.split import default_sizes, n_rotations, split_digits, split_patients
from segtrans.errors import UserError

NO_TEST = np.zeros(100, bool)
WITH_TEST = np.arange(100) >= 70
PHANTOM_FOLDS = {
    "phantom_0002": "valid",
    "phantom_0003": "test",
    "phantom_0009": "test",
    "phantom_0016": "valid",
    "phantom_0017": "valid",
    "phantom_0020": "test",
}
BRATS_2017_FOLDS = "cdc927653f1a00667a1d88683029ac344823ecb2e8cbc5e60095e2346d951baa"


def sizes(train, valid, test):
    return {"train": train, "valid": valid, "test": test}


@given(
    n_train=st.integers(1, 60),
    n_valid=st.integers(1, 10),
    n_test=st.integers(1, 30),
    has_test=st.booleans(),
    data_seed=st.integers(0, 2**32),
)
def test_folds_have_their_size_and_share_no_digit(n_train, n_valid, n_test, has_test, data_seed):
    asked = sizes(n_train, n_valid, n_test)
    is_test = WITH_TEST if has_test else NO_TEST
    folds = split_digits(is_test, sizes=asked, data_seed=data_seed)
    assert {fold: len(indices) for fold, indices in folds.items()} == asked
    joined = np.concatenate(list(folds.values()))
    assert len(np.unique(joined)) == len(joined)
    assert joined.min() >= 0
    assert joined.max() < 100
    if has_test:
        np.testing.assert_array_equal(folds["test"], 70 + np.arange(n_test))


def test_a_source_that_is_used_up_is_shared_out_completely():
    folds = split_digits(NO_TEST, sizes=sizes(80, 10, 10), data_seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(folds.values()))), np.arange(100))
    assert not np.array_equal(folds["train"], np.sort(folds["train"]))


@pytest.mark.parametrize("is_test", [NO_TEST, WITH_TEST])
def test_fewer_training_digits_leave_valid_and_test_as_they_are(is_test):
    many = split_digits(is_test, sizes=sizes(50, 10, 10), data_seed=3)
    few = split_digits(is_test, sizes=sizes(20, 10, 10), data_seed=3)
    np.testing.assert_array_equal(few["valid"], many["valid"])
    np.testing.assert_array_equal(few["test"], many["test"])
    np.testing.assert_array_equal(few["train"], many["train"][:20])


def test_the_data_seed_decides_and_nothing_else():
    first, again, other = (
        split_digits(NO_TEST, sizes=sizes(50, 10, 10), data_seed=seed)["train"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("is_test", "asked", "message"),
    [
        (NO_TEST, sizes(90, 10, 1), "train + valid + test = 101: the source has 100"),
        (WITH_TEST, sizes(61, 10, 1), "train + valid = 71: the source has 70"),
        (WITH_TEST, sizes(1, 1, 31), "test = 31: the source has 30"),
        (NO_TEST, sizes(1, 0, 1), "valid = 0: at least 1"),
    ],
)
def test_impossible_sizes_are_refused(is_test, asked, message):
    with pytest.raises(UserError) as refusal:
        split_digits(is_test, sizes=asked, data_seed=0)
    assert message in str(refusal.value)


def test_default_sizes_use_every_digit():
    assert default_sizes(np.zeros(5000, bool)) == sizes(4000, 500, 500)
    assert default_sizes(np.arange(70_000) >= 60_000) == sizes(59_500, 500, 10_000)
    assert default_sizes(np.arange(110) >= 100) == sizes(90, 10, 10)


@given(
    n_high=st.integers(0, 40),
    n_low=st.integers(0, 15),
    n_unknown=st.integers(0, 5),
    valid=st.floats(0.05, 0.3),
    test=st.floats(0.05, 0.3),
    data_seed=st.integers(0, 2**32),
)
def test_patients_are_shared_out_by_grade(n_high, n_low, n_unknown, valid, test, data_seed):
    kinds = ["HGG"] * n_high + ["LGG"] * n_low + [None] * n_unknown
    grades = {f"case{i:02d}": grade for i, grade in enumerate(kinds)}
    if len(grades) < 3:
        return
    folds = patients(grades, valid_fraction=valid, test_fraction=test, data_seed=data_seed)
    assert list(folds) == sorted(grades)
    for fold, fraction in (("valid", valid), ("test", test)):
        n_fold = list(folds.values()).count(fold)
        assert n_fold == max(1, round(fraction * len(grades)))
        for grade in set(kinds):
            # Largest remainders are less than one off the exact share of what is left.
            ids = [case for case in grades if grades[case] == grade]
            n_of_grade = sum(folds[case] == fold for case in ids)
            assert abs(n_of_grade - n_fold * len(ids) / len(grades)) < 2


def patients(
    grades, *, valid_fraction=0.1, test_fraction=0.1, rotation=0, data_seed=0, patients=None
):
    return split_patients(
        grades,
        patients=patients,
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        rotation=rotation,
        data_seed=data_seed,
    )


BRATS_2017 = {f"h{i}": "HGG" for i in range(210)} | {f"l{i}": "LGG" for i in range(75)}


def test_both_grades_of_brats_2017_are_in_every_fold_in_proportion():
    folds = patients(BRATS_2017)
    counts = {
        fold: [sum(folds[c] == fold for c in BRATS_2017 if c[0] == grade) for grade in "hl"]
        for fold in ("train", "valid", "test")
    }
    assert counts == {"train": [168, 61], "valid": [21, 7], "test": [21, 7]}


# Of BraTS 2017, BraTS 2020, and the phantoms of the laptop's scale.
@pytest.mark.parametrize(
    ("n_high", "n_low", "fraction", "n"),
    [(210, 75, 0.1, 10), (293, 76, 0.1, 10), (18, 6, 0.125, 8)],
)
def test_rotations_test_every_patient_of_brats_once(n_high, n_low, fraction, n):
    grades = {f"h{i}": "HGG" for i in range(n_high)} | {f"l{i}": "LGG" for i in range(n_low)}
    tested = by_rotation(grades, fraction, n)
    assert sorted(itertools.chain(*tested)) == sorted(grades)
    assert {len(ids) for ids in tested} <= {len(grades) // n, len(grades) // n + 1}
    for letter, n_of_grade in (("h", n_high), ("l", n_low)):
        sizes = [sum(case[0] == letter for case in ids) for ids in tested]
        assert set(sizes) <= {n_of_grade // n, n_of_grade // n + 1}
    with pytest.raises(UserError, match=rf"rotation = {n}: .* gives {n} rotations, 0 to {n - 1}"):
        patients(grades, test_fraction=fraction, rotation=n)


def by_rotation(grades, fraction, n, **options):
    rotated = (patients(grades, test_fraction=fraction, rotation=k, **options) for k in range(n))
    return [[case for case, fold in folds.items() if fold == "test"] for folds in rotated]


@given(
    n_high=st.integers(0, 40),
    n_low=st.integers(0, 15),
    n_unknown=st.integers(0, 5),
    fraction=st.floats(0.02, 0.4),
    data_seed=st.integers(0, 2**32),
)
def test_rotations_partition_any_patients(n_high, n_low, n_unknown, fraction, data_seed):
    kinds = ["HGG"] * n_high + ["LGG"] * n_low + [None] * n_unknown
    grades = {f"case{i:02d}": grade for i, grade in enumerate(kinds)}
    if len(grades) < 5:
        return
    n = n_rotations(len(grades), fraction)
    options = {"valid_fraction": 0.1, "data_seed": data_seed}
    tested = by_rotation(grades, fraction, n, **options)
    assert sorted(itertools.chain(*tested)) == sorted(grades)
    assert min(map(len, tested)) > 0
    for grade in set(kinds):
        sizes = [sum(grades[case] == grade for case in ids) for ids in tested[1:]]
        assert max(sizes) - min(sizes) <= 1


def test_the_number_of_rotations_follows_from_the_test_fraction():
    fractions = {0.1: 10, 0.125: 8, 0.2: 5, 0.33: 3, 0.3: 3, 0.5: 2, 0.9: 2, 0.001: 24}
    assert {share: n_rotations(24, share) for share in fractions} == fractions


def test_the_first_rotation_is_what_it_was_before_there_were_others():
    """Folds that results were published with: of the 24 phantoms, and of BraTS 2017 (SHA-256)."""
    phantoms = {f"phantom_{i:04d}": "LGG" if i % 4 == 1 else "HGG" for i in range(24)}
    folds = patients(phantoms, valid_fraction=0.125, test_fraction=0.125)
    others = {case: fold for case, fold in folds.items() if fold != "train"}
    assert others == PHANTOM_FOLDS
    text = json.dumps(patients(BRATS_2017), sort_keys=True).encode()
    assert hashlib.sha256(text).hexdigest() == BRATS_2017_FOLDS


def test_patients_with_several_scans_are_whole_in_one_fold():
    grades = {f"p{i}-{j}": ("HGG", "LGG", None)[i % 3] for i in range(40) for j in range(1 + i % 4)}
    of = {case: case.split("-")[0] for case in grades}
    tested = by_rotation(grades, 0.1, 10, patients=of)
    assert sorted(itertools.chain(*tested)) == sorted(grades)
    for k in range(10):
        folds = patients(grades, rotation=k, patients=of)
        assert len({(of[case], fold) for case, fold in folds.items()}) == 40


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["valid_fraction", "test_fraction"])
def test_a_share_that_is_none_is_refused(name, share):
    with pytest.raises(UserError, match=f"{name} = {share}: a share of the patients, between"):
        patients(BRATS_2017, **{name: share})


def test_too_few_patients_are_refused():
    with pytest.raises(UserError, match="2 patients, of which 1 validate and 1 test"):
        patients({"a": None, "b": None})

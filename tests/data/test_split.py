"""Folds share no digit; the labelled digits are the asked number, of the asked classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtrans.data.split import choose_labelled, default_sizes, split_digits
from segtrans.errors import UserError

NO_TEST = np.zeros(100, bool)
WITH_TEST = np.arange(100) >= 70


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


# 40 digits, four of each class, on two images each.
SOURCE_INDEX = np.concatenate([np.arange(500, 540), np.arange(500, 540)])
DIGIT = ((SOURCE_INDEX - 500) % 10).astype(np.uint8)


def choose(fraction, digits=(9,), data_seed=0):
    return choose_labelled(
        DIGIT, SOURCE_INDEX, fraction=fraction, digits=digits, data_seed=data_seed
    )


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

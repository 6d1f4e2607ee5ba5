"""Which source digits, and which patients, make which fold."""

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError

# Keep the draws of this module apart from each other and from those of other modules.
_SPLIT_STREAM = 1001
_PATIENT_STREAM = 1003


def split_digits(
    is_test: NDArray[np.bool_], *, sizes: dict[str, int], data_seed: int
) -> dict[str, NDArray[np.int64]]:
    """Share digits out to the folds, as the authors do where the source has a test set.

    A source with a test set of its own gives the first of it to test; the rest is shuffled, the
    last of it validates, the first of it trains. A source without is shuffled whole: the last
    digits test, those before them validate, the first train. So valid and test stay the same when
    the number of training digits changes.

    Args:
        is_test: (N,), whether a digit belongs to the source's own test set.
        sizes: number of digits by fold: train, valid, test.
        data_seed: of the shuffle, not negative.

    Returns:
        Indices into the source by fold, in drawn order; no digit is in two folds.

    Raises:
        UserError: more digits are asked for than there are, or a fold gets none.
    """
    for fold, size in sizes.items():
        if size < 1:
            raise UserError(f"number of digits to {fold} = {size}: at least 1")
    rng = np.random.default_rng((data_seed, _SPLIT_STREAM))
    order = rng.permutation(np.flatnonzero(~is_test))
    test = np.flatnonzero(is_test)
    if len(test):
        _check_enough("test", sizes["test"], len(test))
        test = test[: sizes["test"]]
        _check_enough("train + valid", sizes["train"] + sizes["valid"], len(order))
    else:
        _check_enough("train + valid + test", sum(sizes.values()), len(order))
        order, test = order[: -sizes["test"]], order[-sizes["test"] :]
    return {"train": order[: sizes["train"]], "valid": order[-sizes["valid"] :], "test": test}


def default_sizes(is_test: NDArray[np.bool_]) -> dict[str, int]:
    """Number of digits by fold when nothing is said: every digit of the source is used.

    Args:
        is_test: (N,), whether a digit belongs to the source's own test set.

    Returns:
        80 / 10 / 10 % of a source without a test set; else all of its test set, and 500 (at most a
        tenth) of the rest to validate, as the authors do.
    """
    n_test = int(is_test.sum())
    n_rest = len(is_test) - n_test
    if not n_test:
        tenth = n_rest // 10
        return {"train": n_rest - 2 * tenth, "valid": tenth, "test": tenth}
    n_valid = min(500, n_rest // 10)
    return {"train": n_rest - n_valid, "valid": n_valid, "test": n_test}


def split_patients(
    grades: dict[str, str | None],
    *,
    valid_fraction: float,
    test_fraction: float,
    rotation: int,
    data_seed: int,
) -> dict[str, str]:
    """Share patients out to the folds, each grade alike; no patient is in two folds.

    Every grade is shuffled apart; its first patients test, the next validate, the rest trains.
    Numbers are rounded so that each fold as a whole has its share and at least one patient.

    Args:
        grades: grade by case id; None where it is not known.
        valid_fraction: share of the patients to validate on, in (0, 1).
        test_fraction: share of the patients to test on, in (0, 1).
        rotation: k rotates each grade by k times its test patients: k-fold cross-validation.
        data_seed: of the shuffle, not negative.

    Returns:
        Fold (train, valid, test) by case id, in the order of the ids.

    Raises:
        UserError: there are too few patients for three folds.
    """
    strata: dict[str, list[str]] = {}
    for case_id in sorted(grades):
        strata.setdefault(grades[case_id] or "", []).append(case_id)
    sizes = [len(ids) for ids in strata.values()]
    n_test = _shared_out(max(1, round(test_fraction * len(grades))), sizes)
    n_valid = _shared_out(
        max(1, round(valid_fraction * len(grades))),
        [size - n for size, n in zip(sizes, n_test, strict=True)],
    )
    if sum(n_test) + sum(n_valid) >= len(grades):
        raise UserError(
            f"{len(grades)} patients, of which {sum(n_valid)} validate and {sum(n_test)} test: "
            "none is left to train on; give more patients or smaller fractions"
        )
    rng = np.random.default_rng((data_seed, _PATIENT_STREAM))
    folds: dict[str, str] = {}
    for ids, test, valid in zip(strata.values(), n_test, n_valid, strict=True):
        order = np.roll(rng.permutation(ids), -rotation * test).tolist()
        names = ["test"] * test + ["valid"] * valid + ["train"] * (len(ids) - test - valid)
        folds |= dict(zip(order, names, strict=True))
    return dict(sorted(folds.items()))


def _shared_out(total: int, sizes: list[int]) -> list[int]:
    """`total` in proportion to the sizes, by largest remainders; no share exceeds its size."""
    exact = total * np.array(sizes) / max(1, sum(sizes))
    shares = np.floor(exact).astype(int)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: total - int(shares.sum())]] += 1
    return [min(share, size) for share, size in zip(shares.tolist(), sizes, strict=True)]


def _check_enough(folds: str, n_asked: int, n_available: int) -> None:
    if n_asked > n_available:
        raise UserError(
            f"number of digits to {folds} = {n_asked}: the source has {n_available} for that"
        )

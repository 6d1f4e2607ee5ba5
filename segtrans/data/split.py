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
    patients: dict[str, str] | None = None,
) -> dict[str, str]:
    """Share patients out to the folds, each grade alike; no patient is in two folds.

    Every grade is shuffled apart; its first patients test, the next validate, the rest trains.
    Numbers are rounded so that each fold as a whole has its share and at least one patient. Each
    rotation goes on where the one before it stopped: over all of them, every patient is tested
    once.

    Args:
        grades: grade by case id; None where it is not known.
        valid_fraction: share of the patients to validate on, in (0, 1).
        test_fraction: share of the patients to test on, in (0, 1).
        rotation: k tests the k-th part of a cross-validation, of `n_rotations` parts.
        data_seed: of the shuffle, not negative.
        patients: patient by case id, where several cases may be one's; None: each has one case.

    Returns:
        Fold (train, valid, test) by case id, in the order of the ids.

    Raises:
        UserError: a fraction or the rotation is out of range, or there are too few patients.
    """
    _check_shares(valid_fraction=valid_fraction, test_fraction=test_fraction)
    cases_of, strata = _strata(grades, patients or {})
    sizes, n_patients = [len(group) for group in strata.values()], len(cases_of)
    n_rotated = n_rotations(n_patients, test_fraction)
    _check_rotation(rotation, n_rotated, n_patients, test_fraction)
    n_tests = _n_tests(sizes, test_fraction, n_rotated)
    n_valid = _shared_out(
        max(1, round(valid_fraction * n_patients)),
        [size - n for size, n in zip(sizes, n_tests[rotation], strict=True)],
    )
    n_test = sum(n_tests[rotation])
    if not 0 < n_test < n_patients - sum(n_valid):
        of = f"{n_patients} patient{'s' if n_patients > 1 else ''}"
        raise UserError(
            f"{of}, of which {sum(n_valid)} validate and {n_test} test: expected some in every "
            "fold, train too; give more patients or smaller fractions"
        )
    rng = np.random.default_rng((data_seed, _PATIENT_STREAM))
    folds: dict[str, str] = {}
    for index, group in enumerate(strata.values()):
        n_before = sum(of_rotation[index] for of_rotation in n_tests[:rotation])
        order = np.roll(rng.permutation(group), -n_before).tolist()
        last_test = n_tests[rotation][index]
        last_valid = last_test + n_valid[index]
        for place, patient in enumerate(order):
            fold = "test" if place < last_test else "valid" if place < last_valid else "train"
            folds |= dict.fromkeys(cases_of[patient], fold)
    return dict(sorted(folds.items()))


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise UserError(f"{name} = {share}: a share of the patients, between 0 and 1")


def _check_rotation(rotation: int, n_rotated: int, n_patients: int, test_fraction: float) -> None:
    if not 0 <= rotation < n_rotated:
        raise UserError(
            f"rotation = {rotation}: test_fraction = {test_fraction:g} of {n_patients} patients "
            f"gives {n_rotated} rotations, 0 to {n_rotated - 1}"
        )


def _strata(
    grades: dict[str, str | None], patients: dict[str, str]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Case ids by patient, and patients by grade, both in the order of patients' first cases."""
    cases_of: dict[str, list[str]] = {}
    for case_id in sorted(grades):
        cases_of.setdefault(patients.get(case_id, case_id), []).append(case_id)
    strata: dict[str, list[str]] = {}
    for patient, cases in cases_of.items():
        known = [grade for case_id in cases if (grade := grades[case_id])]
        strata.setdefault(known[0] if known else "", []).append(patient)
    return cases_of, strata


def n_rotations(n_patients: int, test_fraction: float) -> int:
    """Parts of a cross-validation: as many as make a part nearest to the test fraction, from 2.

    Args:
        n_patients: of all grades; no part is empty.
        test_fraction: share of the patients to test on, in (0, 1).
    """
    return min(range(2, max(2, n_patients) + 1), key=lambda n: abs(1 / n - test_fraction))


def _n_tests(sizes: list[int], test_fraction: float, n_rotated: int) -> list[list[int]]:
    """Patients to test by rotation and stratum; over all rotations, every one of each stratum.

    The first rotation has the share that was asked for. Who is left is dealt out to the others in
    turn, stratum by stratum, so that neither their sizes nor those of a stratum in them differ by
    more than one.
    """
    first = _shared_out(max(1, round(test_fraction * sum(sizes))), sizes)
    n_tests = [first] + [[0] * len(sizes) for _ in range(n_rotated - 1)]
    left = [stratum for stratum, size in enumerate(sizes) for _ in range(size - first[stratum])]
    for turn, stratum in enumerate(left):
        n_tests[1 + turn % (n_rotated - 1)][stratum] += 1
    return n_tests


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

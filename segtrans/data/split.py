"""Which source digits make which fold, and which of the training digits are labelled."""

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError

# Keep the draws of this module apart from each other and from those of other modules.
_SPLIT_STREAM = 1001
_LABELLED_STREAM = 1002


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


def choose_labelled(
    digit: NDArray[np.uint8],
    source_index: NDArray[np.int64],
    *,
    fraction: float,
    digits: tuple[int, ...],
    data_seed: int,
) -> NDArray[np.int64]:
    """Choose the labelled digits of the training fold (section 4.1: 1 %, nines only).

    An image is labelled when its digit is chosen, on whatever clutter it is drawn.

    Args:
        digit: (N,), class of the digit on each training image.
        source_index: (N,), index of that digit in its source.
        fraction: labelled share of ALL distinct training digits, in (0, 1].
        digits: classes to choose from.
        data_seed: of the choice, not negative.

    Returns:
        Source indices of the labelled digits, ascending.

    Raises:
        UserError: the fraction gives no digit, or more than there are of these classes.
    """
    sources, first = np.unique(source_index, return_index=True)
    allowed = sources[np.isin(digit[first], digits)]
    n_labelled = round(fraction * len(sources))
    if n_labelled < 1:
        raise UserError(
            f"labels.fraction = {fraction}: gives no label among {len(sources)} training digits; "
            f"at least {1 / len(sources):g} gives one"
        )
    if n_labelled > len(allowed):
        counts = ", ".join(f"{np.sum(digit[first] == d)} of class {d}" for d in digits)
        raise UserError(
            f"labels.fraction = {fraction}: asks for {n_labelled} labelled digits, the training "
            f"fold has {counts}; at most {len(allowed) / len(sources):g} fits"
        )
    rng = np.random.default_rng((data_seed, _LABELLED_STREAM))
    return np.sort(rng.permutation(allowed)[:n_labelled])


def _check_enough(folds: str, n_asked: int, n_available: int) -> None:
    if n_asked > n_available:
        raise UserError(
            f"number of digits to {folds} = {n_asked}: the source has {n_available} for that"
        )

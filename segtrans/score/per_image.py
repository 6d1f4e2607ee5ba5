"""Reading the scores of single images that `segtrans evaluate` wrote."""

import math

import numpy as np
import pandas as pd

from segtrans.config.run_record import DICE
from segtrans.config.runs import Run, read_metrics
from segtrans.data.store import DOMAINS, Store
from segtrans.errors import UserError

_PIXELS = ("soft_size", "lesion_pixels", "predicted_pixels")
_OF_PRESENT = ("soft_overlap", "dice_hard", "dice_soft")
_ROUNDING = 1e-6  # of a value in the file


def read_per_image(run: Run, store: Store, *, fold: str) -> pd.DataFrame:
    """The rows of a run's `per_image.csv` of one fold, checked against the data and the scores.

    Args:
        run: evaluated.
        store: the data that it was trained on.
        fold: "valid" or "test".

    Returns:
        A row for each image of P, then of A, in the order of the store, with the columns of
        `segtrans.score.evaluate.per_image`, sums and Dice as float64.

    Raises:
        UserError: the file is missing or damaged, has other images than the fold or an impossible
            value, or its sums are not those of `metrics.json`.
    """
    file = run.folder / "per_image.csv"
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: cannot read it ({reason}); evaluate the run again") from error
    names = {"fold", "domain", "index", *_PIXELS, *_OF_PRESENT}
    if missing := names - set(table.columns):
        raise UserError(f"{file}: lacks {', '.join(sorted(missing))}; evaluate the run again")
    table = table[table["fold"] == fold]
    try:
        parts = [_checked(table, domain, store, fold) for domain in DOMAINS]
        _check_sums(run, fold, *parts)
    except ValueError as error:
        raise UserError(f"{file}: {error}; evaluate the run again") from error
    return pd.concat(parts, ignore_index=True)


def _checked(table: pd.DataFrame, domain: str, store: Store, fold: str) -> pd.DataFrame:
    rows = table[table["domain"] == domain].copy()
    n = store.n(fold, domain)
    index = pd.to_numeric(rows["index"], errors="coerce")
    if not np.array_equal(index, np.arange(n)):
        raise ValueError(f"its images of {fold}, {domain}, are not those of the data, 0 to {n - 1}")
    rows["index"] = np.arange(n)
    n_pixels = math.prod(store.image_shape[1:])
    for name in (*_PIXELS, *(_OF_PRESENT if domain == "present" else ())):
        values = pd.to_numeric(rows[name], errors="coerce").astype(np.float64)
        largest = 1 if name.startswith("dice") else n_pixels
        if len(wrong := np.flatnonzero(~values.between(0, largest))):
            raise ValueError(
                f"{name} of image {wrong[0]} of {fold}, {domain}, is "
                f"{rows[name].iloc[wrong[0]]}; expected a number from 0 to {largest}"
            )
        rows[name] = values
    return rows


def _check_sums(run: Run, fold: str, present: pd.DataFrame, absent: pd.DataFrame) -> None:
    """That `metrics.json` follows from the rows, within their rounding."""
    scores = read_metrics(run).best["valid" if fold == "valid" else "test"]
    total = float(present["soft_size"].sum() + present["lesion_pixels"].sum())
    found = {
        "dice_hard_image_mean": (float(present["dice_hard"].mean()), _ROUNDING),
        "false_positive_pixels_A": (float(absent["predicted_pixels"].sum()), 0.0),
    }
    if total > 0:
        rounding = _ROUNDING * (1 + 2 * len(present) / total)
        found[DICE] = (2 * float(present["soft_overlap"].sum()) / total, rounding)
    for name, (value, rounding) in found.items():
        expected = scores[name]
        if expected is None or abs(value - expected) > rounding:
            raise ValueError(
                f"its {name} of {fold} is {value:g}, that of metrics.json beside it is {expected}"
            )

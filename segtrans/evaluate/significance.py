"""Is one row of the table above another? Paired differences in Dice with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.evaluate.metrics import dice
from segtrans.evaluate.per_image import read_per_image
from segtrans.runs import Run

N_RESAMPLES = 10_000
_SEED = 0
_PERCENTILES = (2.5, 97.5)
_BLOCK = 500  # resamples at a time: the counts of 10,000 images in all resamples are 800 MB
_SUMS = ("soft_overlap", "soft_size", "lesion_pixels")

Draws = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Dice of a row minus that of another row, with a 95 % interval.

    Attributes:
        task: of both.
        row: `Run.row`.
        reference: the row it is compared with.
        mean: of the common seeds' differences in soft Dice, pooled over the P images of the test
            fold, best weights.
        low: 2.5th percentile of the bootstrap.
        high: 97.5th percentile.
        p_value: two-sided, of the same bootstrap: twice the smaller share of differences on one
            side of zero, at least 1 / (resamples + 1), at most 1.
        n_seeds: initial seeds that both rows have.
        n_units: what is resampled beside them: test images, or patients.
    """

    task: str
    row: str
    reference: str
    mean: float
    low: float
    high: float
    p_value: float
    n_seeds: int
    n_units: int


def paired_differences(runs: Sequence[Run]) -> list[Difference]:
    """Compare every row of a task with every row before it.

    A bootstrap of two levels: initial seeds and test images (or patients, with all their images)
    are drawn with replacement, the same ones for both rows, since both were trained from the same
    seeds on the same labels and are scored on the same images.

    Args:
        runs: evaluated; rows are compared in the order in which they come.

    Raises:
        UserError: a `per_image.csv` is missing, damaged or of an earlier version, or two runs of a
            task were scored on different images.
    """
    differences: list[Difference] = []
    for _, group in groupby(runs, key=lambda run: run.cell.task):
        differences += _of_task(list(group))
    return differences


def _of_task(runs: Sequence[Run]) -> list[Difference]:
    tables = [_unit_sums(run) for run in runs]
    for run, table in zip(runs, tables, strict=True):
        if not table.index.equals(tables[0].index):
            raise UserError(
                f"{run.folder / 'per_image.csv'}: its test images are not those of "
                f"{runs[0].folder}; evaluate both runs on the same data"
            )
    sums = np.stack([table.to_numpy() for table in tables])  # (runs, units, 3)
    observed, drawn = _dice(sums.sum(axis=1)), _resampled_dice(sums)
    places: dict[str, dict[int, int]] = {}
    for place, run in enumerate(runs):
        places.setdefault(run.row, {})[run.cell.init_seed] = place
    differences = []
    for reference, row in combinations(places, 2):
        if seeds := sorted(places[row].keys() & places[reference].keys()):
            of_row, of_reference = ([places[name][s] for s in seeds] for name in (row, reference))
            resampled = _over_seeds(drawn[of_row] - drawn[of_reference])
            low, high = np.percentile(resampled, _PERCENTILES)
            differences.append(
                Difference(
                    task=runs[0].cell.task,
                    row=row,
                    reference=reference,
                    mean=float((observed[of_row] - observed[of_reference]).mean()),
                    low=float(low),
                    high=float(high),
                    p_value=_p_value(resampled),
                    n_seeds=len(seeds),
                    n_units=sums.shape[1],
                )
            )
    return differences


def _unit_sums(run: Run) -> pd.DataFrame:
    """What the pooled soft Dice is made of, a row per P test image or patient."""
    unit = "case_id" if run.cell.task_facts.subjects == "patients" else "index"
    table = read_per_image(run, (*_SUMS, unit), fold="test")
    return table[table["domain"] == "present"].groupby(unit)[list(_SUMS)].sum()


def _dice(sums: Draws) -> Draws:
    """(..., 3) of `_SUMS` to (...)."""
    overlap, size, lesion = np.moveaxis(sums, -1, 0)
    return dice(overlap, size, lesion)


def _resampled_dice(sums: Draws) -> Draws:
    """Pooled Dice of each run on resampled units: (runs, units, 3) to (runs, resamples)."""
    rng = np.random.default_rng(_SEED)
    n_units = sums.shape[1]
    shares = np.full(n_units, 1 / n_units)
    blocks = []
    for start in range(0, N_RESAMPLES, _BLOCK):
        size = min(_BLOCK, N_RESAMPLES - start)
        counts = rng.multinomial(n_units, shares, size=size).astype(np.float64)
        # One product for all runs: several times the speed of one for each.
        blocks.append(_dice(np.tensordot(counts, sums, axes=(1, 1))))
    return np.concatenate(blocks).T


def _over_seeds(differences: Draws) -> Draws:
    """Mean over resampled seeds of each resample: (seeds, resamples) to (resamples,)."""
    n_seeds, n_resamples = differences.shape
    rng = np.random.default_rng(_SEED + 1)
    counts = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_resamples)
    mean: Draws = (counts.T * differences).sum(axis=0) / n_seeds
    return mean


def _p_value(resampled: Draws) -> float:
    share = min((resampled <= 0).mean(), (resampled >= 0).mean())
    return float(np.clip(2 * share, 1 / (len(resampled) + 1), 1.0))

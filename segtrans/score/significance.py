"""Is one method above another? Paired differences in a score, with t intervals over seeds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np

from segtrans.config.run_record import Metrics
from segtrans.config.runs import Run, read_metrics

# Of two, Student's interval is thirteen standard errors wide on either side and says nothing.
FEWEST_SEEDS = 3
# Intervals hold for normal differences. Of fewer nobody can see whether these are: a p-value would
# promise a precision that is not there.
SEEDS_FOR_P_VALUE = 5
_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """What the seeds say of the mean difference over all seeds there could be.

    Attributes:
        low: lower end of the 95 % interval.
        high: upper end.
        p_value: two-sided, of the same t test; not corrected for other comparisons; None with fewer
            than `SEEDS_FOR_P_VALUE`.
    """

    low: float
    high: float
    p_value: float | None


@dataclass(frozen=True)
class Difference:
    """A score of a method minus that of another method.

    Attributes:
        task: of both.
        method: `Run.method_name`.
        reference: the method it is compared with.
        per_seed: of each initial seed that both methods have, in order: difference in the score,
            of the test fold, best weights.
        interval: of their mean; None with fewer than `FEWEST_SEEDS`.
    """

    task: str
    method: str
    reference: str
    per_seed: tuple[float, ...]
    interval: Interval | None

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return sum(self.per_seed) / len(self.per_seed)

    @property
    def n_seeds(self) -> int:
        """Initial seeds that both methods have."""
        return len(self.per_seed)


def paired_differences(
    runs: Sequence[Run], score: Callable[[Metrics], float] = lambda metrics: metrics.test_dice
) -> list[Difference]:
    """Compare every method of a task with every method before it.

    Runs are paired by initial seed, since both were trained from the same seeds on the same labels
    and are scored on the same images. The intervals speak of other seeds; test images are the same
    for all of them, so of other images they say nothing.

    Args:
        runs: evaluated, as `read_runs` gives them; methods are compared in the order in which they
            come.
        score: what is compared; by default soft Dice, pooled over the P images of the test fold.

    Raises:
        UserError: a run is not evaluated.
    """
    differences: list[Difference] = []
    for _, group in groupby(runs, key=lambda run: run.config.task):
        differences += _of_task(list(group), score)
    return differences


def t_interval(values: Sequence[float]) -> Interval | None:
    """Student's interval of the mean of values that are independent and about normal.

    Args:
        values: one of each seed.

    Returns:
        None with fewer than `FEWEST_SEEDS` values.
    """
    n = len(values)
    if n < FEWEST_SEEDS:
        return None
    # The import takes a moment, and small presets need none.
    from scipy.special import stdtr, stdtrit

    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, (1 + _LEVEL) / 2)) * error
    p_value = float(2 * stdtr(n - 1, -abs(mean) / error)) if error else float(mean == 0)
    return Interval(mean - half, mean + half, p_value if n >= SEEDS_FOR_P_VALUE else None)


def _of_task(runs: Sequence[Run], score: Callable[[Metrics], float]) -> list[Difference]:
    scores: dict[str, dict[int, float]] = {}
    for run in runs:
        scores.setdefault(run.method_name, {})[run.config.init_seed] = score(read_metrics(run))
    differences = []
    for reference, method in combinations(scores, 2):
        if seeds := sorted(scores[method].keys() & scores[reference].keys()):
            per_seed = tuple(scores[method][seed] - scores[reference][seed] for seed in seeds)
            differences.append(
                Difference(runs[0].config.task, method, reference, per_seed, t_interval(per_seed))
            )
    return differences

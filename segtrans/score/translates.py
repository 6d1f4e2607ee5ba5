"""Does a method translate? In words that say no more than its figures do. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from segtrans.config.runs import Run, read_metrics

QUESTION = "Does it translate?"
_ABOVE_INTENSITY = 0.05
_MOST_OF_TARGET = 0.5
_LEAST_OF_REST = 0.8


@dataclass(frozen=True)
class _Seed:
    """A run's figures of the test fold, best weights."""

    residual: float
    intensity: float
    kept_target: float
    kept_rest: float

    @property
    def finds(self) -> bool:
        """Whether the residual lies on the target, not on all that is as bright."""
        return self.residual >= self.intensity + _ABOVE_INTENSITY

    @property
    def removes(self) -> bool:
        """Whether the target goes and the rest stays."""
        return self.kept_target <= _MOST_OF_TARGET and self.kept_rest >= _LEAST_OF_REST


def does_translate(run: Run) -> bool:
    """Whether the residual finds the target and the translation removes it, and it alone.

    Raises:
        UserError: the run is not evaluated.
    """
    seed = _seed(run)
    return seed is not None and seed.finds and seed.removes


def translation_rows(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Each method that is made to translate, and whether it does.

    Args:
        runs: of one task, in order.

    Returns:
        Title and answer, such as "no: Dice of the residual 0.45, of brightness alone 0.56; 0.85 of
        the target stays, 0.86 of the rest (2 seeds)".

    Raises:
        UserError: a run is not evaluated.
    """
    methods = []
    for _, group in groupby(runs, key=lambda run: run.method_name):
        of_method = list(group)
        if seeds := [seed for run in of_method if (seed := _seed(run)) is not None]:
            methods.append((of_method[0].title, _answer(seeds)))
    return methods


def translation_points(runs: Sequence[Run]) -> list[str]:
    """What the question means and its answers, as points of a caption; none without any."""
    points = [
        f"{QUESTION} {title} ({task}): {answer}."
        for task, group in groupby(runs, key=lambda run: run.task_title)
        for title, answer in translation_rows(list(group))
    ]
    return [meaning(), *points] if points else []


def meaning() -> str:
    """What the figures are and when the answer is yes."""
    return (
        f"{QUESTION} That is, is it the target that a translation to absence takes out, and "
        "nothing else? Dice of the residual: overlap of the mask and what is taken out; of "
        "brightness alone: overlap of the mask and what is bright in the image itself, which needs "
        "no translation; both at the threshold that is best on the validation fold. What stays: "
        "the share of the brightness that is left, 1 if nothing changes, below 0 if bright becomes "
        "dark; both are counted from the median of the rest. Yes: the Dice of the residual is at "
        f"least {_ABOVE_INTENSITY:g} higher, and at most {_MOST_OF_TARGET:g} of the target but at "
        f"least {_LEAST_OF_REST:g} of the rest stay; in part: one of the two. Means over seeds, "
        "test fold, best weights."
    )


def _seed(run: Run) -> _Seed | None:
    scores = read_metrics(run).best["test"]
    names = ("dice_residual", "dice_intensity", "kept_target", "kept_rest")
    values = [scores[name] for name in names]
    known = [value for value in values if value is not None]
    return _Seed(*known) if len(known) == len(values) else None


def _answer(seeds: Sequence[_Seed]) -> str:
    n = len(seeds)
    residual, intensity, target, rest = (
        sum(getattr(seed, name) for seed in seeds) / n
        for name in ("residual", "intensity", "kept_target", "kept_rest")
    )
    return (
        f"{_verdict(seeds)}: Dice of the residual {residual:.2f}, of brightness alone "
        f"{intensity:.2f}; "
        f"{target:.2f} of the target stays, {rest:.2f} of the rest "
        f"({n} seed{'' if n == 1 else 's'})"
    )


def _verdict(seeds: Sequence[_Seed]) -> str:
    n = len(seeds)
    n_both = sum(seed.finds and seed.removes for seed in seeds)
    n_either = sum(seed.finds or seed.removes for seed in seeds)
    if n_both == n:
        return "yes"
    if n_both:
        return f"in {n_both} of {n} seeds"
    if not n_either:
        return "no"
    what = "finds the target" if any(seed.finds for seed in seeds) else "removes the target"
    if any(seed.finds for seed in seeds) and any(seed.removes for seed in seeds):
        what = "finds or removes the target"
    return f"in part, {what}{'' if n_either == n else f' in {n_either} of {n} seeds'}"

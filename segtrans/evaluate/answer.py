"""What the paired differences say of the claim, in words that say no more than they do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from segtrans.catalogue import METHODS
from segtrans.evaluate.significance import Difference
from segtrans.runs import Run

# The claim's order: each is to be above those before it. Modules of `segtrans/methods/`.
_STEPS = ("segmentation_only", "autoencoder", "translation")
_FEW_SEEDS = 2
_NBSP = "\N{NO-BREAK SPACE}"
_INTERVAL = f"95{_NBSP}% interval"


@dataclass(frozen=True)
class Answer:
    """What the runs of one task say.

    Attributes:
        task: its title.
        verdict: one sentence.
        sentences: one for each comparison that the question asks for.
        caution: why the intervals say less than they seem to; empty with more than two seeds.
    """

    task: str
    verdict: str
    sentences: Sequence[str]
    caution: str


def question(runs: Sequence[Run]) -> str:
    """The question that a scale asks, with the labelled share of the data of its tasks."""
    shares = {
        run.cell.task_facts.title: _shares(r for r in runs if r.cell.task == run.cell.task)
        for run in runs
    }
    masks = " and ".join(f"{share} ({title})" for title, share in shares.items())
    if len(set(shares.values())) == 1:
        masks = shares.popitem()[1]
    return (
        f"With masks for {masks} of the training data, does translation between "
        "presence and absence segment better than autoencoding, and that better than supervision "
        "alone?"
    )


def answer_task(runs: Sequence[Run], differences: Sequence[Difference]) -> Answer:
    """Put the differences of one task into words.

    Args:
        runs: all of the task, in order.
        differences: of these runs.
    """
    asked = asked_differences(runs, differences)
    titles = {run.row: run.title for run in runs}
    task = runs[0].cell.task_facts
    return Answer(
        task=task.title,
        verdict=_verdict(asked) if len(_steps(runs)) > 1 else _outside_the_claim(runs),
        sentences=[_sentence(difference, titles, unit=unit_of(runs)) for difference in asked],
        caution=_caution(asked),
    )


def asked_differences(runs: Sequence[Run], differences: Sequence[Difference]) -> list[Difference]:
    """The comparisons that the question asks for.

    Those are of each step of the claim with all before it, under the same variant; where all rows
    are of one step, of each row with the first one.

    Args:
        runs: all of the task, in order.
        differences: of these runs.
    """
    steps = _steps(runs)
    place = {run.row: steps.index(_step(run)) for run in runs}
    variant = {run.row: run.variant for run in runs}
    if len(steps) == 1:
        return [d for d in differences if d.reference == runs[0].row]
    return [
        d
        for d in differences
        if variant[d.row] == variant[d.reference] and place[d.row] > place[d.reference]
    ]


def unit_of(runs: Sequence[Run]) -> str:
    """What the bootstrap resamples beside seeds: "images" or "patients"."""
    return "patients" if runs[0].cell.task_facts.subjects == "patients" else "images"


def signed(value: float) -> str:
    """Three decimals and a sign, that of subtraction where negative; zero has none."""
    text = f"{value:+.3f}".replace("-", "−")
    return text if value and text.strip("+−0.") else "0.000"


def p_text(p_value: float) -> str:
    """A p-value as it stands after its "p": "= 0.042"."""
    sign, number = ("<", "0.001") if p_value < 0.001 else ("=", f"{p_value:.2g}")
    return f"{sign}{_NBSP}{number}"


def direction(difference: Difference) -> int:
    """1 when the whole interval is above zero, -1 when it is below, else 0: not decided."""
    return int(difference.low > 0) - int(difference.high < 0)


def _shares(runs: Iterable[Run]) -> str:
    """The labelled shares of runs, the lowest to the highest."""
    shares = {run.cell.labels.fraction for run in runs}
    ends = sorted({min(shares), max(shares)})
    return " to ".join(f"{100 * share:g}{_NBSP}%" for share in ends)


def _steps(runs: Sequence[Run]) -> list[str]:
    """The claim's steps that the runs have, in its order."""
    found = {_step(run) for run in runs}
    return [*(step for step in _STEPS if step in found), *sorted(found - set(_STEPS))]


def _step(run: Run) -> str:
    return METHODS[run.cell.method].module


def _verdict(asked: Sequence[Difference]) -> str:
    directions = [direction(difference) for difference in asked]
    above, below, undecided = (directions.count(which) for which in (1, -1, 0))
    if not asked:
        return "Nothing to compare: no two steps of the claim were run under the same variant."
    if above == len(asked):
        return "Yes, in these runs: every comparison goes the way of the claim."
    if above == below == 0:
        return "Not decided: every interval holds zero."
    parts = [
        f"{above} of {len(asked)} comparisons {_goes(above)} the way of the claim",
        f"{below} {_goes(below)} against it" if below else "",
        f"{undecided} {'is' if undecided == 1 else 'are'} not decided" if undecided else "",
    ]
    start = "In part" if above else "No"
    return f"{start}: {', '.join(part for part in parts if part)}."


def _goes(n: int) -> str:
    return "goes" if n == 1 else "go"


def _outside_the_claim(runs: Sequence[Run]) -> str:
    rows = list(dict.fromkeys(run.title for run in runs))
    if len(rows) == 1:
        return f"Nothing to compare: {rows[0]} alone was run."
    return f"The claim's order is not asked here; each row is compared with {rows[0]}."


def _sentence(difference: Difference, titles: dict[str, str], *, unit: str) -> str:
    row, reference = titles[difference.row], titles[difference.reference]
    low, high = signed(difference.low), signed(difference.high)
    basis = (
        f"{low} to {high}, p{_NBSP}{p_text(difference.p_value)}; "
        f"{_counted(difference.n_seeds, 'seeds')}, {_counted(difference.n_units, unit)}"
    )
    if which := direction(difference):
        size = f"{abs(difference.mean):.3f}"
        place = "above" if which > 0 else "below"
        return f"{row} is {place} {reference} by {size} ({_INTERVAL} of the difference {basis})."
    return (
        f"{row} cannot be told from {reference}: the difference is {signed(difference.mean)} "
        f"({_INTERVAL} {basis})."
    )


def _counted(n: int, plural: str) -> str:
    return f"{n:,}{_NBSP}{plural if n != 1 else plural.removesuffix('s')}"


def _caution(asked: Sequence[Difference]) -> str:
    n_seeds = min((difference.n_seeds for difference in asked), default=_FEW_SEEDS + 1)
    if n_seeds > _FEW_SEEDS:
        return ""
    if n_seeds == 1:
        return (
            "With one seed the spread over seeds is not known at all: the intervals cover the "
            "choice of test images alone, and another seed may well give another order."
        )
    return (
        f"With {n_seeds} seeds the spread over seeds is hardly known: the intervals are likely "
        "too narrow, and another seed may give another order."
    )

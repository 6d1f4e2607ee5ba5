"""What the paired differences say of the claim, in words that say no more than they do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from segtrans.config.catalogue import METHODS, lineage
from segtrans.config.runs import Run
from segtrans.score.significance import FEWEST_SEEDS, SEEDS_FOR_P_VALUE, Difference

# The claim's order: each, with its ablations, is to be above those before it.
_STEPS = ("segmentation_only", "autoencoder", "translation")
_STEP_TITLES = {
    "segmentation_only": "supervision alone",
    "autoencoder": "autoencoding",
    "translation": "translation between presence and absence",
}
_NBSP = "\N{NO-BREAK SPACE}"
_INTERVAL = f"95{_NBSP}% interval"


@dataclass(frozen=True)
class Answer:
    """What the runs of one task say.

    Attributes:
        task: its title.
        verdict: one sentence.
        sentences: one for each comparison that the question asks for.
        caution: what few seeds leave open; empty where all comparisons have enough.
    """

    task: str
    verdict: str
    sentences: Sequence[str]
    caution: str


def question(runs: Sequence[Run]) -> str:
    """What a preset asks: the claim, as far as its methods go, with the labelled share of P."""
    shares = {
        run.task_title: _shares(r for r in runs if r.config.task == run.config.task) for run in runs
    }
    masks = " and ".join(f"{share} ({title})" for title, share in shares.items())
    if len(set(shares.values())) == 1:
        masks = shares.popitem()[1]
    return f"With masks for {masks} of the training images with the target, {_claim(runs)}?"


def _claim(runs: Sequence[Run]) -> str:
    """The claim of the paper, as far as it was run; the whole where one of its steps was alone."""
    found = _steps(runs)
    steps = [step for step in reversed(_STEPS) if step in found]
    if len(steps) < 2 <= len(found):
        return f"does another method segment better than {_first_title(runs)}"
    if len(steps) < 2:
        steps = list(reversed(_STEPS))
    first, second, *rest = (_STEP_TITLES[step] for step in steps)
    end = "".join(f", and that better than {step}" for step in rest)
    return f"does {first} segment better than {second}{end}"


def answer_task(runs: Sequence[Run], differences: Sequence[Difference]) -> Answer:
    """Put the differences of one task into words.

    Args:
        runs: all of the task, in order.
        differences: of these runs.
    """
    asked = asked_differences(runs, differences)
    titles = {run.method_name: run.title for run in runs}
    of_claim = {run.method_name for run in runs if _step(run) in _STEPS}
    has_claim = len([step for step in _steps(runs) if step in _STEPS]) > 1
    claimed = [d for d in asked if {d.method, d.reference} <= of_claim]
    return Answer(
        task=runs[0].task_title,
        verdict=_verdict(claimed) if has_claim else _outside_the_claim(runs),
        sentences=[_sentence(difference, titles) for difference in asked],
        caution=_caution(asked),
    )


def asked_differences(runs: Sequence[Run], differences: Sequence[Difference]) -> list[Difference]:
    """The comparisons that the question asks for.

    Those are of each step of the claim with all before it, and of each other method with each step,
    under the same variant; or, where the step was not run under it, under any. Where all are of one
    step, or none of any, of each method with the first one.

    Args:
        runs: all of the task, in order.
        differences: of these runs.
    """
    steps = _steps(runs)
    if len(steps) == 1 or steps[0] not in _STEPS:
        return [d for d in differences if d.reference == runs[0].method_name]
    of = {run.method_name: run for run in runs}
    ran = {(_step(run), run.variant) for run in runs}

    def is_asked(d: Difference) -> bool:
        method, reference = of[d.method], of[d.reference]
        first, last = (steps.index(_step(run)) for run in (reference, method))
        if last <= first or _step(reference) not in _STEPS:
            return False
        is_under_any = _step(method) not in _STEPS and (_step(reference), method.variant) not in ran
        return method.variant == reference.variant or is_under_any

    return [d for d in differences if is_asked(d)]


def signed(value: float, digits: int = 3) -> str:
    """So many decimals and a sign, that of subtraction where negative; zero has none."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def p_text(p_value: float) -> str:
    """A p-value as it stands after its "p": "= 0.042"."""
    sign, number = ("<", "0.001") if p_value < 0.001 else ("=", f"{p_value:.2g}")
    return f"{sign}{_NBSP}{number}"


def direction(difference: Difference) -> int:
    """1 when the whole interval is above zero, -1 when it is below, else 0: not decided."""
    if difference.interval is None:
        return 0
    return int(difference.interval.low > 0) - int(difference.interval.high < 0)


def _shares(runs: Iterable[Run]) -> str:
    """The labelled shares of runs, the lowest to the highest."""
    shares = {_share(run) for run in runs}
    ends = sorted({min(shares), max(shares)})
    return " to ".join(f"{100 * share:g}{_NBSP}%" for share in ends)


def _share(run: Run) -> float:
    """What was asked for, or what the data have."""
    if not run.config.definition.has_own_labels:
        return run.config.labels.fraction
    record = run.record
    return float(f"{record.labelled.n_images / record.data.n_train_images.present:.2g}")


def _steps(runs: Sequence[Run]) -> list[str]:
    """The claim's steps that the runs have, in its order, and then other methods."""
    found = {_step(run) for run in runs}
    return [*(step for step in _STEPS if step in found), *sorted(found - set(_STEPS))]


def _step(run: Run) -> str:
    return lineage(run.config.method)[0]


def _verdict(asked: Sequence[Difference]) -> str:
    directions = [direction(difference) for difference in asked]
    above, below = directions.count(1), directions.count(-1)
    unknown = sum(difference.interval is None for difference in asked)
    undecided = len(asked) - above - below - unknown
    if not asked:
        return "Nothing to compare: no two steps of the claim were run under the same variant."
    if unknown == len(asked):
        return (
            f"Too few seeds to answer: an interval needs at least {FEWEST_SEEDS} of both methods."
        )
    if above == len(asked):
        return "Yes, in these runs: every comparison goes the way of the claim."
    if undecided == len(asked):
        return "Not decided: every interval includes zero."
    parts = [
        f"{above} of {len(asked)} comparisons {_goes(above)} the way of the claim",
        f"{below} {_goes(below)} against it" if below else "",
        f"{undecided} {'is' if undecided == 1 else 'are'} not decided" if undecided else "",
        f"{unknown} {'has' if unknown == 1 else 'have'} too few seeds" if unknown else "",
    ]
    start = "In part" if above else "No" if below else "Not decided"
    return f"{start}: {', '.join(part for part in parts if part)}."


def _goes(n: int) -> str:
    return "goes" if n == 1 else "go"


def _outside_the_claim(runs: Sequence[Run]) -> str:
    methods = list(dict.fromkeys(run.title for run in runs))
    if len(methods) == 1:
        return f"Nothing to compare: only {methods[0]} was run."
    first = _first_title(runs)
    return f"The claim's order is not tested here; each method is compared with {first}."


def _first_title(runs: Sequence[Run]) -> str:
    """The method that others are compared with; its variant, where that is all that differs."""
    methods = {run.config.method for run in runs}
    return runs[0].title if len(methods) == 1 else METHODS[runs[0].config.method].title


def _sentence(difference: Difference, titles: dict[str, str]) -> str:
    method, reference = titles[difference.method], titles[difference.reference]
    seeds = f"{difference.n_seeds}{_NBSP}seed{'' if difference.n_seeds == 1 else 's'}"
    if difference.interval is None:
        return (
            f"{method} minus {reference}: {signed(difference.mean)}, {seeds} "
            f"({', '.join(map(signed, difference.per_seed))}); too few seeds for an interval."
        )
    low, high = signed(difference.interval.low), signed(difference.interval.high)
    p_value = difference.interval.p_value
    p = "" if p_value is None else f", p{_NBSP}{p_text(p_value)}"
    basis = f"{low} to {high}{p}; {seeds}"
    if which := direction(difference):
        size = f"{abs(difference.mean):.3f}"
        place = "above" if which > 0 else "below"
        return f"{method} is {place} {reference} by {size} ({_INTERVAL} of the difference {basis})."
    mean = signed(difference.mean)
    return f"{method} minus {reference} is within noise: {mean} ({_INTERVAL} {basis})."


def _caution(asked: Sequence[Difference]) -> str:
    fewest = min((difference.n_seeds for difference in asked), default=SEEDS_FOR_P_VALUE)
    if fewest >= SEEDS_FOR_P_VALUE:
        return ""
    if fewest < FEWEST_SEEDS:
        return (
            f"With fewer than {FEWEST_SEEDS} seeds, their spread is hardly known: no interval is "
            "given, nothing here says that one method is better than another, and other seeds may "
            "well give another order."
        )
    return (
        f"With fewer than {SEEDS_FOR_P_VALUE} seeds, an interval holds only if differences between "
        "seeds are about normal, which so few cannot show: no p-value is given, and what is above "
        "or below here wants more seeds."
    )

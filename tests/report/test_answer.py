"""What differences made by hand say of the claim, and nothing beyond it."""

import numpy as np
import pytest

from segtrans.config.runs import read_runs
from segtrans.report.answer import (
    answer_task,
    asked_differences,
    p_text,
    question,
    signed,
)
from segtrans.report.forest_plot import forest_figure
from segtrans.score.significance import Difference, Interval

METHODS = ("segmentation_only", "autoencoder", "translation")
ABOVE, BELOW, OPEN = (0.01, 0.05), (-0.05, -0.01), (-0.02, 0.04)


def difference(row, reference, interval=ABOVE, *, n_seeds=5, task="mnist48_simple", p_value=0.01):
    """Of as many seeds; None: too few of them for an interval."""
    known = None if interval is None else Interval(*interval, p_value)
    low, high = interval or (0.02, 0.04)
    per_seed = tuple(np.linspace(low, high, n_seeds).tolist())
    return Difference(task, row, reference, per_seed, known)


@pytest.fixture
def runs_of(write_run):
    def runs_of(*rows, **how):
        return read_runs([write_run(method, variant=variant, **how) for method, variant in rows])

    return runs_of


@pytest.fixture
def runs(runs_of):
    return runs_of(*((method, None) for method in METHODS))


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_each_pair_of_steps_has_a_sentence_with_its_numbers(runs):
    answer = answer_task(
        runs,
        [
            difference("autoencoder", "segmentation_only"),
            difference("translation", "segmentation_only"),
            difference("translation", "autoencoder", OPEN, p_value=0.5),
        ],
    )
    first, skipping, second = map(plain, answer.sentences)
    assert first == (
        "AE baseline is above Only segmentation by 0.030 (95 % interval of the difference +0.010 "
        "to +0.050, p = 0.01; 5 seeds)."
    )
    assert skipping.startswith("Proposed is above Only segmentation by 0.030")
    assert second == (
        "Proposed minus AE baseline is within noise: +0.010 (95 % interval −0.020 "
        "to +0.040, p = 0.5; 5 seeds)."
    )
    assert answer.task == "MNIST 48×48 simple"


def test_a_row_below_is_said_to_be_below(runs):
    answer = answer_task(runs, [difference("translation", "autoencoder", BELOW)])
    text = plain(answer.sentences[0])
    assert "Proposed is below AE baseline by 0.030 (95 % interval of the difference −0.050" in text


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ((ABOVE, ABOVE, ABOVE), "Yes, in these runs: every comparison goes the way of the claim."),
        ((OPEN, OPEN, OPEN), "Not decided: every interval includes zero."),
        (
            (OPEN, ABOVE, OPEN),
            "In part: 1 of 3 comparisons goes the way of the claim, 2 are not decided.",
        ),
        (
            (ABOVE, ABOVE, BELOW),
            "In part: 2 of 3 comparisons go the way of the claim, 1 goes against it.",
        ),
        (
            (BELOW, OPEN, OPEN),
            "No: 0 of 3 comparisons go the way of the claim, 1 goes against it, 2 are not decided.",
        ),
        (((0.0, 0.05), OPEN, OPEN), "Not decided: every interval includes zero."),
        (
            (None, None, None),
            "Too few seeds to answer: an interval needs at least 3 of both methods.",
        ),
        (
            (ABOVE, None, OPEN),
            "In part: 1 of 3 comparisons goes the way of the claim, 1 is not decided, 1 has too "
            "few seeds.",
        ),
        (
            (OPEN, None, None),
            "Not decided: 0 of 3 comparisons go the way of the claim, 1 is not decided, 2 have too "
            "few seeds.",
        ),
    ],
)
def test_the_verdict_counts_the_intervals_on_either_side_of_zero(runs, intervals, verdict):
    pairs = [
        ("autoencoder", "segmentation_only"),
        ("translation", "segmentation_only"),
        ("translation", "autoencoder"),
    ]
    differences = [
        difference(*pair, interval, n_seeds=2 if interval is None else 5)
        for pair, interval in zip(pairs, intervals, strict=True)
    ]
    assert answer_task(runs, differences).verdict == verdict


def test_of_too_few_seeds_no_row_is_called_better(runs):
    answer = answer_task(
        runs,
        [
            difference("autoencoder", "segmentation_only"),
            difference("translation", "autoencoder", None, n_seeds=2),
        ],
    )
    assert plain(answer.sentences[1]) == (
        "Proposed minus AE baseline: +0.030, 2 seeds (+0.020, +0.040); too few seeds for an "
        "interval."
    )
    assert answer.caution.startswith("With fewer than 3 seeds, their spread is hardly known")
    assert not answer_task(runs, [difference("translation", "autoencoder")]).caution


def test_of_few_seeds_intervals_are_given_with_a_caution_and_without_p_values(runs):
    few = difference("translation", "autoencoder", n_seeds=3, p_value=None)
    answer = answer_task(runs, [difference("autoencoder", "segmentation_only"), few])
    assert plain(answer.sentences[1]) == (
        "Proposed is above AE baseline by 0.030 (95 % interval of the difference +0.010 to +0.050; "
        "3 seeds)."
    )
    assert answer.caution.startswith("With fewer than 5 seeds, an interval holds only if")


def test_methods_are_compared_under_the_same_variant(runs_of):
    runs = runs_of(*((m, v) for m in ("autoencoder", "translation") for v in ("few", "many")))
    pairs = [
        ("autoencoder-many", "autoencoder-few"),
        ("translation-few", "autoencoder-few"),
        ("translation-few", "autoencoder-many"),
        ("translation-many", "autoencoder-few"),
        ("translation-many", "autoencoder-many"),
        ("translation-many", "translation-few"),
    ]
    asked = asked_differences(runs, [difference(*pair) for pair in pairs])
    assert [(d.method, d.reference) for d in asked] == [pairs[1], pairs[4]]


def test_variants_of_one_method_are_compared_with_the_first(runs_of):
    runs = runs_of(("translation", "complete"), ("translation", "no_a"), ("translation", "no_b"))
    pairs = [("no_a", "complete"), ("no_b", "complete"), ("no_b", "no_a")]
    named = [(f"translation-{a}", f"translation-{b}") for a, b in pairs]
    answer = answer_task(runs, [difference(*pair) for pair in named])
    assert "not tested here" in answer.verdict
    assert [text.split(" is above")[0] for text in answer.sentences] == [
        "Proposed, no a",
        "Proposed, no b",
    ]


def test_methods_beside_the_claim_are_compared_with_its_steps_and_do_not_count_for_it(runs_of):
    names = ["segmentation_only-a", "translation-a", "mean_teacher-a", "mean_teacher-known"]
    runs = runs_of(*(name.split("-") for name in names))
    pairs = [(method, reference) for i, reference in enumerate(names) for method in names[i + 1 :]]
    differences = [difference(*pair) for pair in pairs]
    asked = [(d.method, d.reference) for d in asked_differences(runs, differences)]
    assert asked == [pair for pair in pairs if pair != ("mean_teacher-known", "mean_teacher-a")]
    against = [difference(*pair, ABOVE if "teacher" not in pair[0] else BELOW) for pair in pairs]
    assert answer_task(runs, against).verdict.startswith("Yes, in these runs: every comparison")


def test_without_two_steps_of_the_claim_others_are_compared_with_the_first(runs_of):
    runs = runs_of(("segmentation_only", None), ("fixmatch", None), ("mean_teacher", None))
    assert plain(question(runs)).endswith(
        "does another method segment better than Only segmentation?"
    )
    first = [("fixmatch", "segmentation_only"), ("mean_teacher", "segmentation_only")]
    differences = [difference(*pair) for pair in (*first, ("mean_teacher", "fixmatch"))]
    answer = answer_task(runs, differences)
    assert "not tested here; each method is compared with Only segmentation" in answer.verdict
    assert len(answer.sentences) == 2


def test_methods_none_of_which_is_in_the_claim_are_compared_with_the_first(runs_of):
    alone = runs_of(("fixmatch", None), ("mean_teacher", None))
    first = alone[0].method_name
    pairs = [("mean_teacher", "fixmatch"), ("fixmatch", "mean_teacher")]
    asked = asked_differences(alone, [difference(*pair) for pair in pairs])
    assert [d.reference for d in asked] == [first]


def test_one_row_alone_answers_nothing(runs_of):
    answer = answer_task(runs_of(("translation", None)), [])
    assert answer.verdict == "Nothing to compare: only Proposed was run."
    assert not answer.sentences
    assert not answer.caution


def test_the_question_names_the_labelled_share_of_each_task(write_run):
    few, many = {"fraction": 0.005}, {"fraction": 1.0}
    simple = [write_run(variant="a", labels=few), write_run(variant="b", labels=many)]
    assert "masks for 0.5 % to 100 % of the training" in plain(question(read_runs(simple)))
    both = [*simple[:1], write_run(variant="c", task="brats", labels={"fraction": 0.15})]
    text = plain(question(read_runs(both)))
    assert "masks for 0.5 % (MNIST 48×48 simple) and 15 % (BraTS) of the training" in text
    same = [write_run(), write_run(task="brats")]
    assert "masks for 1 % of the training" in plain(question(read_runs(same)))


@pytest.mark.parametrize(
    ("methods", "asked"),
    [
        (
            ["translation", "autoencoder", "segmentation_only"],
            "does translation between presence and absence segment better than autoencoding, and "
            "that better than supervision alone?",
        ),
        (
            ["segmentation_only", "translation"],
            "does translation between presence and absence segment better than supervision alone?",
        ),
        (
            ["autoencoder", "segmentation_only"],
            "does autoencoding segment better than supervision alone?",
        ),
    ],
)
def test_the_question_asks_for_what_was_run_only(write_run, methods, asked):
    runs = read_runs([write_run(method=method) for method in methods])
    assert plain(question(runs)).endswith(asked)


def test_question_and_forest_say_that_patients_are_phantoms(write_run, drawn_axes):
    folders = [write_run(m, task="brats", phantoms=True) for m in ("autoencoder", "translation")]
    runs = read_runs([*folders, write_run(labels={"fraction": 0.5})])
    assert "(BraTS on phantoms)" in question(runs)
    differences = [difference("translation", "autoencoder", task="brats")]
    of_patients = [run for run in runs if run.config.task == "brats"]
    axes = drawn_axes(lambda _, output: forest_figure(of_patients, differences, output), [])
    assert axes.get_title(loc="left") == "BraTS on phantoms"
    assert answer_task(of_patients, differences).task == "BraTS on phantoms"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0304, "+0.030"),
        (-0.0304, "−0.030"),
        (0.0, "0.000"),
        (0.0001, "0.000"),
        (-0.0001, "0.000"),
    ],
)
def test_differences_have_a_sign_unless_they_round_to_zero(value, text):
    assert signed(value) == text


def test_differences_of_pixels_have_a_decimal():
    assert [signed(value, 1) for value in (30.04, -0.06, -0.04)] == ["+30.0", "−0.1", "0.0"]


def test_small_p_values_are_not_written_as_zero():
    assert plain(p_text(0.0001)) == "< 0.001"
    assert plain(p_text(0.0412)) == "= 0.041"


def test_the_forest_shows_each_interval_and_which_are_decided(runs, drawn_axes):
    differences = [
        difference("autoencoder", "segmentation_only", ABOVE),
        difference("translation", "autoencoder", OPEN),
        difference("translation", "segmentation_only", None, n_seeds=2),
    ]
    axes = drawn_axes(lambda _, output: forest_figure(runs, differences, output), [])
    labels = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert labels == [
        "AE baseline − Only segmentation",
        "Proposed − AE baseline",
        "Proposed − Only segmentation",
    ]
    _, first, seeds, dot, second, _, open_dot, few, few_dot = axes.get_lines()
    assert tuple(first.get_xdata()) == ABOVE
    assert tuple(second.get_xdata()) == OPEN
    assert tuple(seeds.get_xdata()) == differences[0].per_seed
    assert dot.get_markerfacecolor() == dot.get_color()
    assert open_dot.get_markerfacecolor() == "white"
    # Too few seeds: what they gave, and no interval.
    assert tuple(few.get_xdata()) == differences[2].per_seed
    assert few_dot.get_markerfacecolor() == "white"
    assert "interval" in axes.get_xlabel()
    assert axes.yaxis_inverted()

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from segtrans.config.runs import read_runs
from segtrans.errors import UserError
from segtrans.figures import curves
from segtrans.figures.curves import curves_figure, history_frame, write_curves
from tests.run_files import translation_scores

TERMS = ["seg", "rec_PP", "adv_A", "total", "something_else"]


def history(offset=0.0):
    return [
        {
            "iteration": i,
            "train": {} if i == 0 else dict.fromkeys(TERMS, 0.5 - i / 1000 + offset),
            "valid": {"dice_soft_pooled": 0.1 + i / 1000 + offset},
        }
        for i in (0, 100, 200)
    ]


@pytest.fixture
def folders(write_run):
    return [
        write_run("segmentation_only", 0),
        write_run("translation", 0, history=history()),
        write_run("translation", 1, history=history(0.1)),
    ]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, with all that was drawn."""
    figures = []
    savefig = Figure.savefig

    def keep(self, *arguments, **named):
        figures.append(self)
        savefig(self, *arguments, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def test_every_logged_value_is_in_the_frame(folders):
    frame = history_frame(read_runs(folders))
    picked = frame[(frame["method"] == "translation") & (frame["seed"] == 1)]
    picked = picked[(picked["name"] == "train/rec_PP") & (picked["iteration"] == 200)]
    assert picked["value"].tolist() == pytest.approx([0.4])
    assert len(frame) == 3 * 3 + 2 * 2 + 2 * 2 * len(TERMS)


def test_the_curve_of_each_run_stands_in_one_csv_file(folders, tmp_path):
    write_curves(folders, tmp_path / "curves.csv")
    table = pd.read_csv(tmp_path / "curves.csv").set_index("run")
    of_seed_1 = table.loc["translation/seed1"]
    assert of_seed_1["iteration"].tolist() == [0, 100, 200]
    assert of_seed_1["dice_soft_pooled"].tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert len(table) == 9


def test_every_seed_and_the_mean_are_lines(folders, tmp_path, drawn):
    curves_figure(folders, tmp_path / "curves.png")
    axes = drawn[0].get_axes()[0]
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) > 1]
    assert len(lines) == (1 + 1) + (2 + 1)
    np.testing.assert_allclose(lines[-1].get_ydata(), [0.15, 0.25, 0.35])
    kept = [line for line in axes.get_lines() if len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in kept] == [200, 200, 200]


def test_a_single_logged_value_and_the_first_weights_are_seen(write_run, tmp_path, drawn):
    """A line through one point has no length, and a border cuts a ring in half."""
    short = [record for record in history() if record["iteration"] < 200]
    curves_figure([write_run("translation", 0, history=short)], tmp_path / "curves.png")
    dice, total, *_ = drawn[0].get_axes()
    assert [line.get_marker() for line in total.get_lines()] == ["o", "o"]
    assert {line.get_marker() for line in dice.get_lines() if len(line.get_xdata()) > 1} == {"None"}
    (ring,) = (line for line in dice.get_lines() if len(line.get_xdata()) == 1)
    assert not ring.get_clip_on()


def test_every_term_has_its_axes_unknown_ones_last(folders, tmp_path, drawn):
    curves_figure(folders, tmp_path / "curves.png")
    titles = [axes.get_title(loc="left") for axes in drawn[0].get_axes()[1:]]
    assert titles[:2] == ["total (eq. 7)", "segmentation (eq. 8)"]
    assert titles[-1] == "something_else"
    assert len(titles) == len(TERMS)


def test_titles_cover_every_term_of_the_objective():
    from segtrans.objective.terms import TERM_WEIGHTS

    assert set(TERM_WEIGHTS) <= set(curves._TERM_TITLES)


def test_the_same_runs_give_the_same_bytes(folders, tmp_path):
    curves_figure(folders, tmp_path / "a.png")
    curves_figure(folders[::-1], tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert imread(tmp_path / "a.png").std() > 0.05


def test_variants_are_rows_of_their_own(write_run, tmp_path, drawn):
    folders = [
        write_run(variant=name, seed=seed, history=history(offset))
        for name, offset in (("complete", 0.0), ("without_cycle", 0.2))
        for seed in (0, 1)
    ]
    curves_figure(folders, tmp_path / "curves.png")
    axes = drawn[0].get_axes()[0]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[:2] == ["Proposed, complete", "Proposed, without cycle"]
    means = [
        line for line in axes.get_lines() if line.get_linewidth() > 1 and len(line.get_xdata()) > 1
    ]
    assert [line.get_ydata()[0] for line in means] == pytest.approx([0.1, 0.3])
    assert means[0].get_color() != means[1].get_color()
    write_curves(folders, tmp_path / "curves.csv")
    runs = pd.read_csv(tmp_path / "curves.csv")["run"]
    assert sorted(set(runs)) == [
        f"translation-{name}/seed{seed}"
        for name in ("complete", "without_cycle")
        for seed in (0, 1)
    ]


def test_spans_of_decades_are_drawn_on_a_logarithmic_axis(write_run, tmp_path, drawn):
    records = [
        {"iteration": 0, "train": {}, "valid": {"dice_soft_pooled": 0.1}},
        {"iteration": 1, "train": {"seg": 1.0, "adv_A": 1.0}, "valid": {"dice_soft_pooled": 0.1}},
        {"iteration": 2, "train": {"seg": 0.01, "adv_A": -0.1}, "valid": {"dice_soft_pooled": 0.2}},
    ]
    curves_figure([write_run(history=records)], tmp_path / "curves.png")
    scales = [axes.get_yscale() for axes in drawn[0].get_axes()]
    assert scales == ["linear", "log", "linear"]


def test_runs_of_two_tasks_are_refused(write_run, tmp_path):
    with pytest.raises(UserError, match="different tasks"):
        curves_figure([write_run(), write_run(task="mnist128")], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_what_translating_does_has_panels_of_its_own(write_run, tmp_path, drawn):
    records = history()
    for record in records:
        record["valid"] |= translation_scores()
    runs = [write_run("translation", 0, history=records), write_run("segmentation_only", 0)]
    curves_figure(runs, tmp_path / "curves.png")
    _, training, translation = drawn[-1].subfigs
    assert len(training.axes) == len(TERMS)
    panels = {axes.get_title(loc="left"): axes for axes in translation.axes}
    assert len(panels) == 10
    solid, dotted = (
        {float(line.get_ydata()[-1]) for line in axes.lines if line.get_linestyle() == style}
        for axes in [panels["residual's Dice (dotted: input's)"]]
        for style in ("-", ":")
    )
    assert (solid, dotted) == ({0.45}, {0.56})


def test_histories_from_before_translation_was_measured_have_no_such_panels(
    folders, tmp_path, drawn
):
    curves_figure(folders, tmp_path / "curves.png")
    assert len(drawn[-1].subfigs) == 2


def test_a_first_round_has_titles_in_words_and_the_same_iterations(write_run, tmp_path, drawn):
    records = [
        {"iteration": 0, "train": {}, "valid": {"dice_soft_pooled": 0.1}},
        {"iteration": 100, "train": {"first_round.seg": 0.5, "first_round.adv_A": 1.0}},
        {"iteration": 200, "train": {"seg": 0.4, "pseudo": 0.1}},
    ]
    for record in records[1:]:
        record["valid"] = {"dice_soft_pooled": 0.3}
    curves_figure([write_run("translation", 0, history=records)], tmp_path / "curves.png")
    panels = drawn[0].get_axes()[1:]
    assert [axes.get_title("left") for axes in panels] == [
        "segmentation (eq. 8)",
        "pseudo-labels",
        "first round:\nsegmentation",
        "first round:\nadversarial $x_{PA}$",
    ]
    assert {axes.get_xlim() for axes in panels} == {(0, 200)}

import numpy as np
import pytest

from segtrans.errors import UserError
from segtrans.figures.dice_plot import dice_figure


@pytest.fixture
def axes_of(drawn_axes):
    return lambda folders: drawn_axes(dice_figure, folders)


def test_every_seed_its_mean_and_the_paper_are_drawn(write_run, axes_of):
    axes = axes_of([write_run(seed=0, dice=0.5), write_run(seed=1, dice=0.6)])
    mean, seeds, paper = axes.get_lines()[:3]
    np.testing.assert_allclose(mean.get_xdata(), 0.55)
    assert list(seeds.get_xdata()) == [0.5, 0.6]
    assert list(paper.get_xdata()) == [0.79]
    assert paper.get_markerfacecolor() == "white"
    assert [text.get_text() for text in axes.texts] == ["0.55", "0.79"]


def test_rows_are_named_and_ordered_by_the_catalogue(write_run, axes_of):
    axes = axes_of([write_run("translation_sum"), write_run("segmentation_only")])
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "Only segmentation",
        "Proposed, skips summed",
    ]
    # The paper has no sum of skips on this task: no second diamond.
    assert [text.get_text() for text in axes.texts] == ["0.50", "0.61", "0.50"]


def test_variants_are_rows_without_the_papers_number(write_run, axes_of):
    folders = [write_run(variant=name, dice=0.5) for name in ("complete", "without_cycle")]
    axes = axes_of(folders)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "Proposed, complete",
        "Proposed, without cycle",
    ]
    assert [text.get_text() for text in axes.texts] == ["0.50", "0.50"]
    (legend,) = axes.figure.legends
    assert not [text for text in legend.get_texts() if "paper" in text.get_text()]


def test_a_task_that_is_not_the_papers_has_no_diamond(write_run, axes_of):
    axes = axes_of([write_run(task="photos", dice=0.5)])
    assert [text.get_text() for text in axes.texts] == ["0.50"]
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one seed", "mean of the seeds"]


def test_the_same_runs_give_the_same_bytes(write_run, tmp_path):
    folders = [write_run(seed=0), write_run(seed=1)]
    dice_figure(folders, tmp_path / "a.png")
    dice_figure(folders[::-1], tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_title_says_that_patients_are_phantoms(write_run, axes_of):
    axes = axes_of([write_run(task="brats", phantoms=True)])
    assert axes.get_title(loc="left") == "BraTS on phantoms, preset laptop"


def test_runs_of_two_tasks_are_refused(write_run, tmp_path):
    with pytest.raises(UserError, match="different tasks"):
        dice_figure([write_run(), write_run(task="mnist128")], tmp_path / "dice.png")

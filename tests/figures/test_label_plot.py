import pytest

from segtrans.config.runs import read_runs
from segtrans.errors import UserError
from segtrans.figures.label_plot import fractions_differ, labels_figure

FRACTIONS = {"half_percent": 0.005, "10_percent": 0.1, "100_percent": 1.0}


@pytest.fixture
def axes_of(drawn_axes):
    return lambda folders: drawn_axes(labels_figure, folders)


@pytest.fixture
def folders(write_run):
    return [
        write_run(
            method,
            seed,
            variant=name,
            labels={"fraction": fraction, "per_batch": 8 if fraction == 1 else 3},
            dice=base + 0.1 * place + 0.02 * seed,
        )
        for method, base in (("translation", 0.4), ("autoencoder", 0.2))
        for place, (name, fraction) in enumerate(FRACTIONS.items())
        for seed in (0, 1)
    ]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_line_per_method_through_the_means_and_a_dot_per_seed(folders, axes_of):
    axes = axes_of(folders)
    assert axes.get_xscale() == "log"
    baseline, baseline_seeds, proposed, seeds = axes.get_lines()
    assert list(proposed.get_xdata()) == [0.005, 0.1, 1.0]
    assert list(proposed.get_ydata()) == pytest.approx([0.41, 0.51, 0.61])
    assert list(baseline.get_ydata()) == pytest.approx([0.21, 0.31, 0.41])
    assert list(seeds.get_xdata()) == [0.005, 0.005, 0.1, 0.1, 1.0, 1.0]
    assert list(seeds.get_ydata()) == pytest.approx([0.4, 0.42, 0.5, 0.52, 0.6, 0.62])
    assert baseline.get_color() == baseline_seeds.get_color() != proposed.get_color()
    assert legend(axes)[:2] == ["AE baseline", "Proposed"]


def test_each_fraction_is_named_with_the_number_of_labelled_images(folders, axes_of):
    axes = axes_of(folders)
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["0.5 %\n80", "10 %\n1,600", "100 %\n16,000"]


def test_what_differs_in_more_than_the_fraction_is_not_joined(write_run, axes_of):
    variants = {
        "nines": {"fraction": 0.01},
        "any_1": {"fraction": 0.01, "digits": [1, 2]},
        "any_10": {"fraction": 0.1, "digits": [1, 2]},
    }
    axes = axes_of([write_run(variant=name, labels=labels) for name, labels in variants.items()])
    assert legend(axes)[:2] == ["Proposed: nines", "Proposed: any 1, any 10"]
    lengths = [len(line.get_xdata()) for line in axes.get_lines()]
    assert lengths == [1, 1, 2, 2]
    assert axes.get_lines()[0].get_color() != axes.get_lines()[2].get_color()


def test_there_is_something_to_draw_when_fractions_differ(folders):
    runs = read_runs(folders)
    assert fractions_differ(runs)
    assert not fractions_differ(runs[:2])


def test_the_same_runs_give_the_same_bytes(folders, tmp_path):
    labels_figure(folders, tmp_path / "a.png")
    labels_figure(folders[::-1], tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_runs_of_two_tasks_are_refused(write_run, tmp_path):
    with pytest.raises(UserError, match="different tasks"):
        labels_figure([write_run(), write_run(task="mnist128")], tmp_path / "labels.png")

"""The figures of a task, as PNG files. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path

from segtrans.config.runs import only_task, read_runs
from segtrans.data.store import Store
from segtrans.figures.curves import curves_figure, write_curves
from segtrans.figures.dice_plot import dice_figure
from segtrans.figures.examples import choose_examples
from segtrans.figures.image_rows import Block, rows_figure
from segtrans.figures.label_plot import fractions_differ, labels_figure
from segtrans.figures.sequences import sequence_samples
from segtrans.score.run_data import check_data


def write_figures(run_folders: Sequence[Path], data_file: Path, output: Path) -> None:
    """Write samples.png, learning_curves.png (and .csv) and dice.png of one task into a folder.

    Where the runs differ in their labelled fraction, labels.png too; else one of earlier runs is
    removed.

    Raises:
        UserError: a file is missing or damaged, the runs are of different tasks, or one was
            trained on other data.
    """
    runs, store = read_runs(run_folders), Store(data_file)
    task, title = only_task(runs), runs[0].task_title
    for run in runs:
        check_data(run, store)
    if task.has_patients:
        sequence_samples(store, output / "samples.png", title=title, image_name=task.image_name)
    else:
        samples_figure(store, output / "samples.png", title=title)
    curves_figure(run_folders, output / "learning_curves.png")
    write_curves(run_folders, output / "learning_curves.csv")
    dice_figure(run_folders, output / "dice.png")
    if fractions_differ(runs):
        labels_figure(run_folders, output / "labels.png")
    else:
        (output / "labels.png").unlink(missing_ok=True)


def samples_figure(store: Store, output: Path, *, title: str) -> None:
    """Draw samples of a data set, as figure 6 does: P images, their masks, unrelated A images."""
    examples = choose_examples(store)
    rows = [
        *examples.rows("presence, $x_P$", examples.x_P),
        examples.map_row("mask, $y$", examples.y),
        *examples.rows("absence, $x_A$", examples.x_A),
    ]
    rows_figure([Block(f"{title}: test images", rows)], output)

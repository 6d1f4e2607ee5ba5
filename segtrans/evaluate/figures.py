"""The figures of a task, as PNG files. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path

from segtrans.data.store import Store
from segtrans.evaluate.curves import curves_figure, write_curves
from segtrans.evaluate.dice_plot import dice_figure
from segtrans.evaluate.examples import choose_examples
from segtrans.evaluate.image_rows import Block, Row, rows_figure
from segtrans.evaluate.label_plot import fractions_differ, labels_figure
from segtrans.evaluate.run_data import check_data
from segtrans.evaluate.sequences import sequence_samples
from segtrans.runs import only_task, read_runs
from segtrans.tasks import TASKS, task_title


def write_figures(run_folders: Sequence[Path], data_file: Path, output: Path) -> None:
    """Write samples.png, learning_curves.png (and .csv) and dice.png of one task into a folder.

    Where the runs differ in their labelled fraction, labels.png too; else one of earlier runs is
    removed.

    Raises:
        UserError: a file is missing or damaged, the runs are of different tasks, or one was
            trained on other data.
    """
    runs, store = read_runs(run_folders), Store(data_file)
    only_task(runs)
    for run in runs:
        check_data(run, store)
    task = TASKS[store.header.task]
    if task.subjects == "patients":
        sequence_samples(store, output / "samples.png", title=_title(store))
    else:
        samples_figure(store, output / "samples.png")
    curves_figure(run_folders, output / "learning_curves.png")
    write_curves(run_folders, output / "learning_curves.csv")
    dice_figure(run_folders, output / "dice.png")
    if fractions_differ(runs):
        labels_figure(run_folders, output / "labels.png")
    else:
        (output / "labels.png").unlink(missing_ok=True)


def samples_figure(store: Store, output: Path) -> None:
    """Draw samples of a data set, as figure 6 does: P images, their masks, unrelated A images."""
    examples = choose_examples(store)
    rows = [
        *examples.rows("presence, $x_P$", examples.x_P),
        Row("mask, $y$", examples.y),
        *examples.rows("absence, $x_A$", examples.x_A),
    ]
    rows_figure([Block(f"{_title(store)}: test images", rows)], output)


def _title(store: Store) -> str:
    header = store.header
    return task_title(header.task, phantoms=bool(header.parameters.get("phantoms")))

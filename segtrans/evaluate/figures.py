"""The figures of a task and the panel of a run, as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from segtrans.catalogue import METHODS
from segtrans.data.store import Store
from segtrans.evaluate.curves import curves_figure, write_curves
from segtrans.evaluate.dice_plot import dice_figure
from segtrans.evaluate.examples import Examples, array_of, choose_examples
from segtrans.evaluate.image_rows import Block, Row, rows_figure
from segtrans.evaluate.score import check_data
from segtrans.evaluate.segmentation import (
    Reconstructs,
    Translates,
    device_of,
    lesion_probability,
)
from segtrans.evaluate.sequences import sequence_panel, sequence_samples
from segtrans.methods.weights import load_method
from segtrans.runs import only_task, read_run, read_runs
from segtrans.tasks import TASKS

# Which codes are sampled for the drawn A to P translations; no result depends on it.
_PRIOR_SEED = 0


def write_figures(run_folders: Sequence[Path], data_file: Path, output: Path) -> None:
    """Write samples.png, learning_curves.png (and .csv) and dice.png of one task into a folder.

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
        sequence_samples(store, output / "samples.png", title=task.title)
    else:
        samples_figure(store, output / "samples.png")
    curves_figure(run_folders, output / "learning_curves.png")
    write_curves(run_folders, output / "learning_curves.csv")
    dice_figure(run_folders, output / "dice.png")


def write_panel(run_folder: Path, data_file: Path) -> None:
    """Write panel.png into the run folder: what its best weights make of test images.

    Raises:
        UserError: a file is missing or damaged, or the data are not those of the run.
    """
    run = read_run(run_folder)
    store = Store(data_file)
    check_data(run, store)
    method = load_method(run, which="best")
    title = f"{METHODS[run.cell.method].title}, {run.cell.task_facts.title}"
    draw = sequence_panel if run.cell.task_facts.subjects == "patients" else panel_figure
    draw(method, store, run_folder / "panel.png", title=title)


def samples_figure(store: Store, output: Path) -> None:
    """Draw samples of a data set, as figure 6 does: P images, their masks, unrelated A images."""
    examples = choose_examples(store)
    rows = [
        *examples.rows("presence, $x_P$", examples.x_P),
        Row("mask, $y$", examples.y),
        *examples.rows("absence, $x_A$", examples.x_A),
    ]
    title = f"{TASKS[store.header.task].title}: test images"
    rows_figure([Block(title, rows)], output)


def panel_figure(method: nn.Module, store: Store, output: Path, *, title: str) -> None:
    """Draw what a method makes of test images.

    A translation is drawn as in figure 7: P to A with residual, segmentation and mask, then A to
    P with codes sampled from the prior. Other methods show the input, its reconstruction if there
    is one, segmentation and mask.

    Args:
        method: in evaluation mode.
        store: the data that it was trained on.
        output: file to write.
        title: names method and task.
    """
    examples, device = choose_examples(store), device_of(method)
    x_P = examples.x_P.to(device)
    rows = examples.rows("presence, $x_P$", x_P)
    other_direction = []
    with torch.no_grad():
        if isinstance(method, Translates):
            title = f"{title}: presence to absence"
            removed, inserted = _translation_rows(method, examples, device)
            rows += removed
            other_direction.append(Block("Absence to presence, unique code sampled", inserted))
        elif isinstance(method, Reconstructs):
            rows += examples.rows("reconstruction", method.reconstruct(x_P))
    rows.append(Row(r"segmentation, $\hat{y}$", array_of(lesion_probability(method, x_P))))
    rows.append(Row("mask, $y$", examples.y))
    rows_figure([Block(title, rows), *other_direction], output)


def _translation_rows(
    method: Translates, examples: Examples, device: torch.device
) -> tuple[list[Row], list[Row]]:
    """Rows of P to A after the input, and all rows of A to P."""
    x_P, x_A = examples.x_P.to(device), examples.x_A.to(device)
    x_PA, delta_PA = method.remove(x_P)
    u_prior = method.sample_u(x_A, torch.Generator(device).manual_seed(_PRIOR_SEED))
    x_AP, delta_AP = method.insert(x_A, u_prior)
    # One scale for both directions, or a faint residual would look as strong as the other.
    largest = max(float(delta.abs().max()) for delta in (delta_PA, delta_AP)) or 1.0
    removed = [
        *examples.rows("translation, $x_{PA}$", x_PA),
        *examples.residual_rows(r"residual, $\Delta_{PA}$", delta_PA, largest),
    ]
    inserted = [
        *examples.rows("absence, $x_A$", x_A),
        *examples.rows("translation, $x_{AP}$", x_AP),
        *examples.residual_rows(r"residual, $\Delta_{AP}$", delta_AP, largest),
    ]
    return removed, inserted

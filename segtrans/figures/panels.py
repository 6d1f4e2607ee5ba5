"""The panel of a run, as a PNG file: what its best weights make of test images."""

from pathlib import Path

import numpy as np
from torch import nn

from segtrans.config.runs import read_run
from segtrans.data.store import Store
from segtrans.figures.examples import Examples, choose_examples
from segtrans.figures.image_rows import Block, Row, rows_figure
from segtrans.figures.sequences import (
    HalfSlices,
    Window,
    brain_window,
    choose_half_slices,
    residual_row,
)
from segtrans.methods.inference import Outputs, outputs_of
from segtrans.methods.weights import load_method
from segtrans.score.run_data import check_data

_OTHER_DIRECTION = "Absence to presence, unique code sampled"


def write_panel(run_folder: Path, data_file: Path) -> None:
    """Write panel.png into the run folder: what its best weights make of test images.

    Raises:
        UserError: a file is missing or damaged, or the data are not those of the run.
    """
    run = read_run(run_folder)
    store = Store(data_file)
    check_data(run, store)
    method = load_method(run, which="best")
    title = f"{run.title}, {run.task_title}"
    output = run_folder / "panel.png"
    if run.config.definition.has_patients:
        sequence_panel(method, store, output, title=title, neighbours=run.config.neighbours)
    else:
        panel_figure(method, store, output, title=title)


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
    examples_panel(method, choose_examples(store), output, title=title)


def examples_panel(method: nn.Module, examples: Examples, output: Path, *, title: str) -> None:
    """As `panel_figure`, of images that are chosen already."""
    outputs = outputs_of(method, examples.x_P, examples.x_A)
    rows, blocks = examples.rows("presence, $x_P$", examples.x_P), []
    if (made := outputs.translation) is not None:
        title = f"{title}: presence to absence"
        rows += examples.rows("translation, $x_{PA}$", made.x_PA)
        rows += examples.residual_rows(r"residual, $\Delta_{PA}$", made.delta_PA, made.largest)
        inserted = [
            *examples.rows("absence, $x_A$", examples.x_A),
            *examples.rows("translation, $x_{AP}$", made.x_AP),
            *examples.residual_rows(r"residual, $\Delta_{AP}$", made.delta_AP, made.largest),
        ]
        blocks = [Block(_OTHER_DIRECTION, inserted)]
    if outputs.reconstruction is not None:
        rows += examples.rows("reconstruction", outputs.reconstruction)
    rows.append(examples.map_row(r"segmentation, $\hat{y}$", outputs.y_seg))
    rows.append(examples.map_row("mask, $y$", examples.y))
    rows_figure([Block(title, rows), *_of_each(examples, outputs), *blocks], output)


def _of_each(examples: Examples, outputs: Outputs) -> list[Block]:
    """Of several pathologies: each removed in turn, all others left."""
    return [
        Block(
            f"Without the {name}",
            [
                *examples.rows("translation", of.x_without),
                *examples.residual_rows(r"residual, $\Delta$", of.delta, outputs.largest_of_each),
                Row(r"segmentation, $\hat{y}$", of.y_seg),
                Row("mask, $y$", mask),
            ],
        )
        for (name, mask), of in zip(examples.of_each.items(), outputs.of_each, strict=False)
    ]


def sequence_panel(
    method: nn.Module, store: Store, output: Path, *, title: str, neighbours: int = 0
) -> None:
    """Draw what a method makes of test half-slices of two patients (figure 8).

    Rows and arguments are those of `panel_figure`, of a store of a task with patients; `neighbours`
    on either side are seen by the method and not drawn.
    """
    present, absent = (
        choose_half_slices(store, domain, neighbours=neighbours) for domain in ("present", "absent")
    )
    half_slices_panel(method, present, absent, output, title=title)


def half_slices_panel(
    method: nn.Module, present: HalfSlices, absent: HalfSlices, output: Path, *, title: str
) -> None:
    """As `sequence_panel`, of half-slices that are chosen already."""
    outputs = outputs_of(method, present.seen, absent.seen)
    window = brain_window(np.concatenate([present.x, absent.x]))
    rows, blocks = [present.row("presence, $x_P$", present.x, window)], []
    if (made := outputs.translation) is not None:
        title = f"{title}: presence to absence"
        rows += [
            present.row("translation, $x_{PA}$", made.x_PA, window),
            residual_row(r"residual, $\Delta_{PA}$", made.delta_PA, made.largest, window),
        ]
        inserted = [
            absent.row("absence, $x_A$", absent.x, window),
            absent.row("translation, $x_{AP}$", made.x_AP, window),
            residual_row(r"residual, $\Delta_{AP}$", made.delta_AP, made.largest, window),
        ]
        blocks = [Block(_OTHER_DIRECTION, inserted, columns=absent.names)]
    if outputs.reconstruction is not None:
        rows.append(present.row("reconstruction", outputs.reconstruction, window))
    rows.append(present.maps(r"segmentation, $\hat{y}$", outputs.y_seg, window))
    rows.append(present.maps("mask, $y$", present.y, window))
    blocks = [
        Block(title, rows, columns=present.names),
        *_sequences_of_each(present, outputs, window),
        *blocks,
    ]
    rows_figure(blocks, output)


def _sequences_of_each(present: HalfSlices, outputs: Outputs, window: Window) -> list[Block]:
    """As `_of_each`, of half-slices."""
    return [
        Block(
            f"Without the {name}",
            [
                present.row("translation", of.x_without, window),
                residual_row(r"residual, $\Delta$", of.delta, outputs.largest_of_each, window),
                present.maps(r"segmentation, $\hat{y}$", of.y_seg, window),
                present.maps("mask, $y$", mask, window),
            ],
            columns=present.names,
        )
        for (name, mask), of in zip(present.of_each.items(), outputs.of_each, strict=False)
    ]

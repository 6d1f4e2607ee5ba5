"""One page on a preset, for a reviewer: HTML that holds its pictures and needs nothing else."""

import base64
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from segtrans.atomic import write_text
from segtrans.config.runs import Run, read_runs
from segtrans.data.store import Store
from segtrans.errors import UserError
from segtrans.figures.failures import failures_figure, find_failures, image_names
from segtrans.figures.label_plot import fractions_differ
from segtrans.figures.style import DPI
from segtrans.report.answer import (
    answer_task,
    asked_differences,
    direction,
    p_text,
    question,
    signed,
)
from segtrans.report.caption import PAPER_PRESET, caption, only_preset, paper_point
from segtrans.report.forest_plot import forest_figure
from segtrans.report.provenance import (
    cost_table,
    data_facts,
    devices,
    origin_table,
    total_time,
    versions,
)
from segtrans.report.table import shown_table
from segtrans.score.reconstruction import flat_point, is_no_better_than_constant
from segtrans.score.run_data import check_data
from segtrans.score.significance import (
    FEWEST_SEEDS,
    SEEDS_FOR_P_VALUE,
    Difference,
    Interval,
    paired_differences,
)
from segtrans.score.translates import QUESTION, translation_rows

_CSS_DPI = 96
_PNG_START = b"\x89PNG\r\n\x1a\n"
_TOO_FEW = "too few seeds"
_MOST_DRAWN = 30  # differences in one forest plot, and in a table that is open at once
# The figures of a task: file, what it is.
_FIGURES = {
    "samples.png": "Test images of both domains with their masks (as the paper's figure 6).",
    "learning_curves.png": "Validation Dice and every term of the objective while training, and, "
    "on some validation images, what translating does. A thin "
    "line for each seed, a bold one for their mean; a ring marks the weights that are kept.",
    "dice.png": "Test Dice: a dot for each seed, a bar at their mean{diamonds}.",
}
# Drawn where the runs of the task differ in it.
_PROGRESS = (
    "The same run while it was trained: validation images, translated and segmented after so many "
    "iterations."
)
_LABEL_FIGURE = {"labels.png": "Test Dice against the labelled share of the training data."}


@dataclass(frozen=True)
class Picture:
    """An image of the page.

    Attributes:
        source: the PNG as data: URI.
        width: CSS pixels, the size in which it was drawn.
        height: CSS pixels.
        alt: what is seen, for who does not see it.
        caption: below it.
    """

    source: str
    width: int
    height: int
    alt: str
    caption: str


def write_report(
    run_folders: Sequence[Path], data_files: Sequence[Path], figures: Path, output: Path
) -> None:
    """Write the page of a preset; the same runs, data and figures give the same bytes.

    Args:
        run_folders: evaluated runs of one preset.
        data_files: the data sets that they were trained on, one for each task.
        figures: folder with a folder for each task, as `segtrans figures` writes them.
        output: file to write.

    Raises:
        UserError: a run is not evaluated, a file is missing or damaged, runs stand there twice or
            are of different presets, or a data set is missing or not that of the runs.
    """
    runs = read_runs(run_folders)
    preset = only_preset(runs)
    stores = _stores_of(runs, data_files)
    differences = paired_differences(runs)
    marked = paired_differences(runs, lambda metrics: metrics.test_false_positives)
    with TemporaryDirectory() as scratch:
        tasks = [
            _task(
                of_task,
                [d for d in differences if d.task == task],
                [d for d in marked if d.task == task],
                stores[task],
                figures=figures / task,
                scratch=Path(scratch),
            )
            for task, of_task in _by_task(runs)
        ]
    page = _template().render(
        preset=preset,
        paper_point=None if preset == PAPER_PRESET else paper_point(runs),
        question=question(runs),
        does_it_translate=QUESTION,
        fewest_seeds=FEWEST_SEEDS,
        seeds_for_p_value=SEEDS_FOR_P_VALUE,
        caption=caption(runs),
        tasks=tasks,
        n_runs=len(runs),
        total_time=total_time(runs),
        devices=devices(runs),
        versions=versions(runs),
    )
    write_text(output, page)


def _task(
    runs: Sequence[Run],
    differences: Sequence[Difference],
    marked: Sequence[Difference],
    store: Store,
    *,
    figures: Path,
    scratch: Path,
) -> dict[str, Any]:
    """What the template is told of a task."""
    title = runs[0].task_title
    table = shown_table(runs).drop(columns="Task").to_dict("records")
    return {
        "id": runs[0].config.task,
        "title": title,
        "answer": answer_task(runs, differences),
        "flat": flat_point(runs),
        "translates": translation_rows(runs),
        "table": table,
        "differences": [_shown(*pair, runs) for pair in zip(differences, marked, strict=True)],
        "are_many": len(differences) > _MOST_DRAWN,
        "forest": _forest(runs, differences, scratch / "forest.png"),
        "figures": list(_figures(runs, figures)),
        "panels": list(_panels(runs)),
        "failures": _failures(runs, store, scratch / "failures.png"),
        "costs": cost_table(runs),
        "data": data_facts(runs),
        "origins": origin_table(runs),
    }


def _shown(difference: Difference, marked: Difference, runs: Sequence[Run]) -> dict[str, Any]:
    """A line of the table: difference in Dice, and in false positives of the same two methods."""
    titles = {run.method_name: run.title for run in runs}
    known = difference.interval
    p_value = "–" if known is None or known.p_value is None else p_text(known.p_value)
    return {
        "method": titles[difference.method],
        "reference": titles[difference.reference],
        "mean": signed(difference.mean),
        "interval": _ends(known),
        "p": p_value.lstrip("=\N{NO-BREAK SPACE}"),
        "marked": signed(marked.mean, digits=1),
        "marked_interval": _ends(marked.interval, digits=1),
        "seeds": difference.n_seeds,
        "is_decided": direction(difference) != 0,
    }


def _ends(interval: Interval | None, digits: int = 3) -> str:
    if interval is None:
        return _TOO_FEW
    return f"{signed(interval.low, digits)} to {signed(interval.high, digits)}"


def _forest(
    runs: Sequence[Run], differences: Sequence[Difference], scratch: Path
) -> Picture | None:
    drawn, which = differences, "all pairs of methods"
    if len(differences) > _MOST_DRAWN:
        drawn, which = asked_differences(runs, differences), "the comparisons of the question"
    if not drawn:
        return None
    forest_figure(runs, drawn, scratch)
    title = runs[0].task_title
    return _picture(
        scratch,
        alt=f"{title}: differences in Dice with intervals; the table has their numbers",
        caption=f"Differences in test Dice of {which}: a small dot for each seed, a large one for "
        "their mean, its 95 % interval. Grey and open: the interval includes zero, or there are "
        f"too few seeds for one (fewer than {FEWEST_SEEDS}).",
    )


def _figures(runs: Sequence[Run], folder: Path) -> Iterator[Picture]:
    title = runs[0].task_title
    # Drawn where the paper has the method.
    diamonds = "; diamonds are the paper's" if any(run.paper_dice for run in runs) else ""
    for name, template in (_FIGURES | (_LABEL_FIGURE if fractions_differ(runs) else {})).items():
        text = template.format(diamonds=diamonds)
        yield _picture(folder / name, alt=f"{title}: {text[0].lower()}{text[1:]}", caption=text)


def _panels(runs: Sequence[Run]) -> Iterator[Picture]:
    """The panel of the first seed of each method, and how it came to translate."""
    for _, group in groupby(runs, key=lambda run: run.method_name):
        run = next(group)
        text = (
            f"{run.title}, seed {run.config.init_seed}: what the run makes of test images (as the "
            f"paper's figure {run.config.definition.paper_figure})."
        )
        if names := run.config.maps:
            text += f" Below, each pathology removed in turn, all others left: {', '.join(names)}."
        if is_no_better_than_constant(run):
            text += " Its reconstruction is no better than a constant."
        alt = f"{run.task_title}, {text}"
        yield _picture(run.folder / "panel.png", alt=alt, caption=text)
        if (progress := run.folder / "progress.png").exists():
            yield _picture(progress, alt=f"{run.task_title}, {_PROGRESS}", caption=_PROGRESS)


def _failures(runs: Sequence[Run], store: Store, scratch: Path) -> dict[str, Any]:
    failures = find_failures(runs, store)
    failures_figure(runs, store, failures, scratch)
    task = runs[0].config.definition
    text = (
        "Above, presence images with the lowest soft Dice (the numbers: mean over all methods and "
        "seeds); below, absence images with the most segmented pixels (the numbers: mean count). "
        f"{f'One {task.image_name} of each patient, its worst. ' if task.has_patients else ''}"
        "Each row of maps is the lowest seed's."
    )
    title = runs[0].task_title
    return {
        "picture": _picture(scratch, alt=f"{title}: the worst test images", caption=text),
        "present": image_names(store, "present", failures.present),
        "absent": image_names(store, "absent", failures.absent),
    }


def _picture(file: Path, *, alt: str, caption: str) -> Picture:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"{file}: cannot read it ({error.strerror}); draw it with `segtrans figures`, a panel "
            "with `segtrans evaluate`"
        ) from error
    if not content.startswith(_PNG_START):
        raise UserError(f"{file}: not a PNG image; draw it again")
    size = struct.unpack(">II", content[16:24])
    width, height = (round(pixels * _CSS_DPI / DPI) for pixels in size)
    source = f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
    return Picture(source, width, height, alt, caption)


def _stores_of(runs: Sequence[Run], data_files: Sequence[Path]) -> dict[str, Store]:
    """The data set of each task, checked to be that of its runs."""
    stores = {(store := Store(file)).header.task: store for file in data_files}
    for run in runs:
        if run.config.task not in stores:
            raise UserError(
                f"{run.folder}: no data set of its task {run.config.task} was given; name its file "
                "with --data"
            )
        check_data(run, stores[run.config.task])
    return stores


def _by_task(runs: Sequence[Run]) -> Iterator[tuple[str, list[Run]]]:
    for task, group in groupby(runs, key=lambda run: run.config.task):
        yield task, list(group)


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("segtrans.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["pieces"] = _pieces
    return environment.get_template("report.html.j2")


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Split the table's Markdown into (tag, text): backticks are code."""
    for part in re.split(r"(`.+?`)", text):
        if part.startswith("`") and len(part) > 2:
            yield "code", part[1:-1]
        elif part:
            yield "", part

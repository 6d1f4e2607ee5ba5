"""Test Dice of each method, with every seed visible."""

from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segtrans.catalogue import METHODS
from segtrans.evaluate.style import INK, METHOD_COLOURS, MUTED, saved_figure
from segtrans.runs import only_task, read_metrics, read_runs

_WIDTH_IN = 4.6
_ROW_HEIGHT_IN = 0.44
_FRAME_HEIGHT_IN = 1.0


def dice_figure(run_folders: Iterable[Path], output: Path) -> None:
    """Draw the test Dice of evaluated runs of one task as a PNG.

    One row per method: a dot per initial seed, a bar at their mean, and the paper's mean and
    standard deviation as an open diamond where the paper has them.

    Raises:
        UserError: a run cannot be read or is not evaluated, runs stand there twice or are of
            different tasks.
    """
    runs = read_runs(run_folders)
    task = only_task(runs)
    scores: dict[str, list[float]] = {}
    for run in runs:
        value = read_metrics(run)["best"]["test"]["dice_soft_pooled"]
        scores.setdefault(run.cell.method, []).append(value)
    height_in = _FRAME_HEIGHT_IN + _ROW_HEIGHT_IN * len(scores)
    with saved_figure(output, width_in=_WIDTH_IN, height_in=height_in) as figure:
        axes = figure.add_subplot()
        for row, (method, values) in enumerate(scores.items()):
            _draw_method(axes, row, method, values)
            _draw_paper(axes, row, METHODS[method].paper_dice.get(runs[0].cell.task))
        axes.set_yticks(range(len(scores)), [METHODS[method].title for method in scores])
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xlabel("test Dice (soft, pooled over all pixels)")
        axes.set_title(task.title, loc="left", weight="bold")
        axes.tick_params(axis="y", length=0, labelsize=7.5)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        _add_legend(figure, scale=runs[0].facts["scale"])


def _draw_method(axes: Axes, row: int, method: str, values: list[float]) -> None:
    colour = METHOD_COLOURS[method]
    mean = sum(values) / len(values)
    axes.plot([mean, mean], [row - 0.3, row + 0.14], color=colour, linewidth=1.8, zorder=3)
    axes.plot(
        values,
        # Seeds side by side, in their order: equal scores stay visible as two dots.
        [row - 0.08 + 0.1 * (i - (len(values) - 1) / 2) for i in range(len(values))],
        marker="o",
        markersize=4.2,
        markeredgecolor="white",
        markeredgewidth=0.5,
        linestyle="",
        color=colour,
        zorder=4,
    )
    _write_beside(axes, mean, (max(values), row - 0.08), colour)


def _draw_paper(axes: Axes, row: int, paper: tuple[float, float] | None) -> None:
    if paper is None:
        return
    mean, sd = paper
    axes.errorbar(
        mean,
        row + 0.28,
        xerr=sd,
        color=MUTED,
        marker="D",
        markersize=3.6,
        markerfacecolor="white",
        markeredgewidth=0.8,
        linewidth=0.8,
        zorder=2,
    )
    _write_beside(axes, mean, (mean + sd, row + 0.28), MUTED)


def _write_beside(axes: Axes, value: float, place: tuple[float, float], colour: str) -> None:
    axes.annotate(
        f"{value:.2f}",
        place,
        xytext=(6, 0),
        textcoords="offset points",
        va="center_baseline",
        fontsize=6.5,
        color=colour,
    )


def _add_legend(figure: Figure, *, scale: str) -> None:
    figure.legend(
        handles=[
            Line2D([], [], color=INK, marker="o", markersize=4, linestyle="", label="one seed"),
            Line2D(
                [],
                [],
                color=INK,
                marker="|",
                markersize=8,
                markeredgewidth=1.8,
                linestyle="",
                label=f"mean of the seeds ({scale} scale)",
            ),
            Line2D(
                [],
                [],
                color=MUTED,
                marker="D",
                markersize=3.6,
                markerfacecolor="white",
                linewidth=0.8,
                label="paper (full scale), mean ± sd",
            ),
        ],
        loc="outside lower left",
        ncols=3,
        columnspacing=1.2,
        handletextpad=0.5,
    )

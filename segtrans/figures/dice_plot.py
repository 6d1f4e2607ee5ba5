"""Test Dice of each method of a preset, with every seed visible."""

from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segtrans.config.runs import only_task, read_metrics, read_runs
from segtrans.figures.style import INK, MUTED, method_colours, saved_figure

_WIDTH_IN = 4.6
_ROW_HEIGHT_IN = 0.44
_FRAME_HEIGHT_IN = 1.0


def dice_figure(run_folders: Iterable[Path], output: Path) -> None:
    """Draw the test Dice of evaluated runs of one task as a PNG.

    For each method and variant: a dot per initial seed, a bar at their mean, and the paper's mean
    and standard deviation as an open diamond where the paper has them.

    Raises:
        UserError: a run cannot be read or is not evaluated, runs stand there twice or are of
            different tasks.
    """
    runs = read_runs(run_folders)
    only_task(runs)
    scores: dict[str, list[float]] = {}
    for run in runs:
        value = read_metrics(run).test_dice
        scores.setdefault(run.method_name, []).append(value)
    first_of = {run.method_name: run for run in reversed(runs)}
    papers = [first_of[method].paper_dice for method in scores]
    colours = method_colours(runs)
    height_in = _FRAME_HEIGHT_IN + _ROW_HEIGHT_IN * len(scores)
    with saved_figure(output, width_in=_WIDTH_IN, height_in=height_in) as figure:
        axes = figure.add_subplot()
        for place, (method, values) in enumerate(scores.items()):
            _draw_seeds(axes, place, colours[method], values)
            _draw_paper(axes, place, papers[place])
        axes.set_yticks(range(len(scores)), [first_of[method].title for method in scores])
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xlabel("test Dice (soft, pooled over all pixels)")
        preset = runs[0].record.preset
        axes.set_title(f"{runs[0].task_title}, preset {preset}", loc="left", weight="bold")
        axes.tick_params(axis="y", length=0, labelsize=7.5)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        _add_legend(figure, has_paper=any(papers))


def _draw_seeds(axes: Axes, place: int, colour: str, values: list[float]) -> None:
    mean = sum(values) / len(values)
    axes.plot([mean, mean], [place - 0.3, place + 0.14], color=colour, linewidth=1.8, zorder=3)
    axes.plot(
        values,
        # Seeds side by side, in their order: equal scores stay visible as two dots.
        [place - 0.08 + 0.1 * (i - (len(values) - 1) / 2) for i in range(len(values))],
        marker="o",
        markersize=4.2,
        markeredgecolor="white",
        markeredgewidth=0.5,
        linestyle="",
        color=colour,
        zorder=4,
    )
    _write_beside(axes, mean, (max(values), place - 0.08), colour)


def _draw_paper(axes: Axes, place: int, paper: tuple[float, float] | None) -> None:
    if paper is None:
        return
    mean, sd = paper
    axes.errorbar(
        mean,
        place + 0.28,
        xerr=sd,
        color=MUTED,
        marker="D",
        markersize=3.6,
        markerfacecolor="white",
        markeredgewidth=0.8,
        linewidth=0.8,
        zorder=2,
    )
    _write_beside(axes, mean, (mean + sd, place + 0.28), MUTED)


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


def _add_legend(figure: Figure, *, has_paper: bool) -> None:
    seed = Line2D([], [], color=INK, marker="o", markersize=4, linestyle="", label="one seed")
    mean = Line2D(
        [],
        [],
        color=INK,
        marker="|",
        markersize=8,
        markeredgewidth=1.8,
        linestyle="",
        label="mean of the seeds",
    )
    paper = Line2D(
        [],
        [],
        color=MUTED,
        marker="D",
        markersize=3.6,
        markerfacecolor="white",
        linewidth=0.8,
        label="paper (full scale), mean ± sd",
    )
    figure.legend(
        handles=[seed, mean, paper] if has_paper else [seed, mean],
        loc="outside lower left",
        ncols=3,
        columnspacing=1.2,
        handletextpad=0.5,
    )

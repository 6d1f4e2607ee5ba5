"""Test Dice against the share of labelled training data, with every seed visible."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from segtrans.config.catalogue import METHODS
from segtrans.config.runs import Run, only_task, read_metrics, read_runs
from segtrans.figures.style import INK, METHOD_COLOURS, saved_figure, shades

_WIDTH_IN = 5.6
_HEIGHT_IN = 3.2
# What goes with the fraction, and so does not set runs of one line apart.
_OF_THE_FRACTION = ("fraction", "per_batch")


@dataclass(frozen=True)
class _Line:
    """Runs that differ in their labels' number and their seed only."""

    title: str
    colour: str
    runs: Sequence[Run]


def fractions_differ(runs: Iterable[Run]) -> bool:
    """Whether there is something to draw: more than one labelled fraction."""
    return len({run.config.labels.fraction for run in runs}) > 1


def labels_figure(run_folders: Iterable[Path], output: Path) -> None:
    """Draw the test Dice of evaluated runs of one task against their labelled fraction, as a PNG.

    A dot per initial seed, and a line per method through their means, over a logarithmic axis that
    names each fraction in per cent and the number of labelled images. Runs of one method that
    differ in more than that get a line each, which names their variants.

    Raises:
        UserError: a run cannot be read or is not evaluated, runs stand there twice or are of
            different tasks.
    """
    runs = read_runs(run_folders)
    only_task(runs)
    preset = runs[0].record.preset
    lines = [line for method in METHODS for line in _lines_of(runs, method)]
    with saved_figure(output, width_in=_WIDTH_IN, height_in=_HEIGHT_IN) as figure:
        axes = figure.add_subplot()
        for line in lines:
            _draw(axes, line)
        _label_fractions(axes, runs)
        top = max(0.1, axes.dataLim.y1)
        axes.set_ylim(0, 1.05 * top)  # the margin of small scores would cut their dots
        axes.set_ylabel("test Dice (soft, pooled over all pixels)")
        axes.set_title(f"{runs[0].task_title}, {preset} preset", loc="left", weight="bold")
        axes.grid(axis="y")
        _add_legend(axes, lines)


def _lines_of(runs: Iterable[Run], method: str) -> list[_Line]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.config.method == method:
            groups.setdefault(_science(run), []).append(run)
    titles = [METHODS[method].title]
    if len(groups) > 1:
        names = (dict.fromkeys(str(run.variant) for run in group) for group in groups.values())
        titles = [f"{titles[0]}: {', '.join(of_group).replace('_', ' ')}" for of_group in names]
    colours = shades(METHOD_COLOURS[method], len(groups))
    return [_Line(*parts) for parts in zip(titles, colours, groups.values(), strict=False)]


def _science(run: Run) -> str:
    """Equal for runs of one line."""
    content = run.config.model_dump(mode="json", exclude={"init_seed"})
    for key in _OF_THE_FRACTION:
        del content["labels"][key]
    return repr(content)


def _draw(axes: Axes, line: _Line) -> None:
    scores: dict[float, list[float]] = {}
    for run in line.runs:
        dice = read_metrics(run).test_dice
        scores.setdefault(run.config.labels.fraction, []).append(dice)
    fractions = sorted(scores)
    means = [sum(scores[fraction]) / len(scores[fraction]) for fraction in fractions]
    axes.plot(fractions, means, color=line.colour, linewidth=1.8, zorder=3)
    axes.plot(
        [fraction for fraction in fractions for _ in scores[fraction]],
        [dice for fraction in fractions for dice in scores[fraction]],
        color=line.colour,
        marker="o",
        markersize=4.2,
        markeredgecolor="white",
        markeredgewidth=0.5,
        linestyle="",
        zorder=4,
    )


def _label_fractions(axes: Axes, runs: Iterable[Run]) -> None:
    n_images: dict[float, set[int]] = {}
    for run in runs:
        counts = n_images.setdefault(run.config.labels.fraction, set())
        counts.add(run.record.labelled.n_images)
    fractions = sorted(n_images)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(fractions))
    axes.xaxis.set_minor_locator(NullLocator())
    extremes = [sorted({min(n_images[f]), max(n_images[f])}) for f in fractions]
    counts_of = ["–".join(f"{n:,}" for n in ends) for ends in extremes]
    axes.set_xticklabels(
        [f"{100 * f:g} %\n{count}" for f, count in zip(fractions, counts_of, strict=True)]
    )
    axes.set_xlabel("labelled share of the training data, and number of labelled images")


def _add_legend(axes: Axes, lines: Iterable[_Line]) -> None:
    handles = [Line2D([], [], color=line.colour, linewidth=1.8, label=line.title) for line in lines]
    handles += [
        Line2D([], [], color=INK, marker="o", markersize=4, linestyle="", label="one seed"),
        Line2D([], [], color=INK, linewidth=1.8, label="mean of the seeds"),
    ]
    # Beside the axes: no line can run behind it, whatever the scores.
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5))

"""Paired differences with their intervals, a line each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from segtrans.config.runs import Run
from segtrans.figures.style import INK, MUTED, saved_figure
from segtrans.report.answer import direction, signed
from segtrans.score.significance import Difference

_WIDTH_IN = 4.4
_LINE_HEIGHT_IN = 0.34
_FRAME_HEIGHT_IN = 0.75
_SEED: dict[str, Any] = {"marker": ".", "markersize": 2.6, "linestyle": "", "color": MUTED}


def forest_figure(runs: Sequence[Run], differences: Sequence[Difference], output: Path) -> None:
    """Draw differences in Dice of one task as a PNG.

    For each a small dot per seed, their mean and its 95 % interval; those whose interval holds
    zero, or that have too few seeds for one, are grey and open.

    Args:
        runs: all of the task.
        differences: of these runs, at least one; drawn in this order from above.
        output: file to write.
    """
    titles = {run.method_name: run.title for run in runs}
    height_in = _FRAME_HEIGHT_IN + _LINE_HEIGHT_IN * len(differences)
    with saved_figure(output, width_in=_WIDTH_IN, height_in=height_in) as figure:
        axes = figure.add_subplot()
        axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
        for place, difference in enumerate(differences):
            is_decided = direction(difference) != 0
            colour = INK if is_decided else MUTED
            if (known := difference.interval) is not None:
                axes.plot([known.low, known.high], [place] * 2, color=colour, linewidth=1.2)
            axes.plot(difference.per_seed, [place + 0.24] * difference.n_seeds, **_SEED)
            axes.plot(
                difference.mean,
                place,
                marker="o",
                markersize=4.4,
                color=colour,
                markerfacecolor=colour if is_decided else "white",
            )
            axes.annotate(
                signed(difference.mean),
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=6.5,
                color=colour,
            )
        labels = [f"{titles[d.method]}\n− {titles[d.reference]}" for d in differences]
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        has_interval = any(difference.interval is not None for difference in differences)
        end = ", 95 % interval" if has_interval else ""
        axes.set_xlabel(f"difference in test Dice\n(soft, pooled){end}")
        axes.set_title(runs[0].task_title, loc="left", weight="bold")
        axes.grid(axis="x")

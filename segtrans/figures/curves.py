"""Learning curves of all runs of a task: validation Dice, every logged term, and translation."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    EngFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    StrMethodFormatter,
)

from segtrans.atomic import atomic_path
from segtrans.config.runs import Run, only_task, read_history, read_runs
from segtrans.figures.style import MUTED, PAGE_WIDTH_IN, method_colours, saved_figure

# Titles of the logged terms, in the order in which they are drawn.
_TERM_TITLES = {
    "total": "total (eq. 7)",
    "seg": "segmentation (eq. 8)",
    "rec_x": "reconstruction, P and A",
    "rec_PP": "reconstruction $x_{PP}$ (eq. 9)",
    "rec_AA": "reconstruction $x_{AA}$ (eq. 9)",
    "rec_lacking": r"residual of what is absent, $\Delta_k$ (eq. 9)",
    "cyc_APA": "cycle $x_{APA}$ (eq. 11)",
    "lat_c_PA": "latent $c_{PA}$ (eq. 10)",
    "lat_c_AP": "latent $c_{AP}$ (eq. 10)",
    "lat_c_AA": "latent $c_{AA}$ (eq. 10)",
    "lat_c_PP": "latent $c_{PP}$ (eq. 10)",
    "lat_u_PP": "latent $u_{PP}$ (eq. 10)",
    "lat_u_AP": "latent $u_{AP}$ (eq. 10)",
    "adv_A": "adversarial $x_{PA}$ (eq. 12)",
    "adv_P": "adversarial $x_{AP}$ (eq. 12)",
    "disc_A": "discriminator $D_A$ (eq. 12)",
    "disc_P": "discriminator $D_P$ (eq. 12)",
    "seg_2": "segmentation, second network",
    "keep_PA": "$x_{PA}$ outside of masks",
    "cons": "consistency with the teacher",
    "pseudo": "pseudo-labels",
    "pseudo_2": "pseudo-labels, second network",
}
# Of methods that translate, at each validation.
_TRANSLATION_TITLES = {
    "dice_residual": "residual's Dice (dotted: input's)",
    "dice_difference": "Dice of $|x_P - x_{PA}|$",
    "kept_target": "of the target stays in $x_{PA}$",
    "kept_rest": "of the rest stays in $x_{PA}$",
    "disc_auc_A": "$D_A$: A from P, AUC",
    "disc_auc_P": "$D_P$: P from A, AUC",
    "disc_score_A": "$D_A$: score of $x_A$",
    "disc_score_PA": "$D_A$: score of $x_{PA}$",
    "disc_score_P": "$D_P$: score of $x_P$",
    "disc_score_AP": "$D_P$: score of $x_{AP}$",
}
_DOTTED_BESIDE = {"dice_residual": "dice_intensity"}
_N_COLUMNS = 4
_DICE_HEIGHT_IN = 2.5
_LEGEND_LINE_IN = 0.16
_TERM_HEIGHT_IN = 1.15
_WIDEST_LINEAR_SPAN = 8.0
_FIRST_IN_THOUSANDS = 10_000
_HEADING: dict[str, Any] = {"x": 0.005, "ha": "left", "weight": "bold", "fontsize": 8}
_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 4,
    "markerfacecolor": "white",
    "markeredgewidth": 0.9,
}


def curves_figure(run_folders: Iterable[Path], output: Path) -> None:
    """Draw the histories of runs of one task as a PNG.

    Each seed is a thin line, the mean of a method's seeds a bold one; a ring marks the iteration
    whose weights are kept.

    Raises:
        UserError: a run cannot be read, runs stand there twice or are of different tasks.
    """
    runs = read_runs(run_folders)
    only_task(runs)
    history = history_frame(runs)
    logged = set(history["name"])
    shown = [name for name in _TRANSLATION_TITLES if f"valid/{name}" in logged]
    panels = {
        "Training: total loss and its terms, unweighted": (
            "train",
            _term_titles(history),
        ),
        "Validation: does it translate?": ("valid", {n: _TRANSLATION_TITLES[n] for n in shown}),
    }
    panels = {heading: of for heading, of in panels.items() if of[1]}
    heights_in = [_dice_height_in(runs)]
    heights_in += [_panels_height_in(len(titles)) for _, titles in panels.values()]
    with saved_figure(output, width_in=PAGE_WIDTH_IN, height_in=sum(heights_in)) as figure:
        parts = figure.subfigures(len(heights_in), 1, squeeze=False, height_ratios=heights_in)
        top, *below = parts[:, 0]
        top.suptitle(f"{runs[0].task_title}: validation Dice", **_HEADING)
        axes = top.add_subplot()
        _draw_dice(axes, runs, history)
        _add_legend(axes, runs)
        for part, (heading, (group, titles)) in zip(below, panels.items(), strict=True):
            part.suptitle(heading, **_HEADING)
            _draw_panels(part, group, titles, history, method_colours(runs))


def write_curves(run_folders: Iterable[Path], output: Path) -> None:
    """Write the validation Dice of every run as CSV: run (<method>/seed<k>), iteration, dice.

    Raises:
        UserError: a run cannot be read, or runs stand there twice.
    """
    history = history_frame(read_runs(run_folders))
    dice = history[history["name"] == "valid/dice_soft_pooled"]
    table = pd.DataFrame(
        {
            "run": dice["method"] + "/seed" + dice["seed"].astype(str),
            "iteration": dice["iteration"],
            "dice_soft_pooled": dice["value"],
        }
    )
    with atomic_path(output) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def history_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Every logged value: columns method, seed, iteration, name ("train/seg"), value."""
    records = [
        (run.method_name, run.config.init_seed, record.iteration, f"{group}/{name}", value)
        for run in runs
        for record in read_history(run)
        for group in ("train", "valid")
        for name, value in getattr(record, group).items()
    ]
    return pd.DataFrame(records, columns=["method", "seed", "iteration", "name", "value"])


def _dice_height_in(runs: Sequence[Run]) -> float:
    """What the legend needs when it has many methods."""
    n_lines = len({run.method_name for run in runs}) + 3
    return max(_DICE_HEIGHT_IN, 0.5 + _LEGEND_LINE_IN * n_lines)


def _panels_height_in(n_panels: int) -> float:
    return _TERM_HEIGHT_IN * math.ceil(n_panels / _N_COLUMNS) + 0.3


def _term_titles(history: pd.DataFrame) -> dict[str, str]:
    """The logged terms in the order in which they are drawn, with their titles."""
    logged = {name.removeprefix("train/") for name in history["name"] if name.startswith("train/")}
    of_first_round = {
        f"first_round.{term}": f"first round:\n{title.partition(' (eq.')[0]}"
        for term, title in _TERM_TITLES.items()
    }
    titles = {
        term: title for term, title in (_TERM_TITLES | of_first_round).items() if term in logged
    }
    return titles | {term: term for term in sorted(logged - set(titles))}


def _draw_dice(axes: Axes, runs: Sequence[Run], history: pd.DataFrame) -> None:
    colours = method_colours(runs)
    _draw_lines(axes, history[history["name"] == "valid/dice_soft_pooled"], colours)
    for run in runs:
        axes.plot(
            run.record.best_iteration,
            run.record.best_dice_soft_pooled,
            color=colours[run.method_name],
            zorder=5,
            clip_on=False,  # it may lie on the border
            in_layout=False,
            **_RING,
        )
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.set_xlabel("iteration")
    axes.set_ylabel("Dice (soft, pooled)")


def _draw_panels(
    figure: SubFigure,
    group: str,
    titles: dict[str, str],
    history: pd.DataFrame,
    colours: dict[str, str],
) -> None:
    """A small panel for each name of a group ("train", "valid"), below its title."""
    n_rows = math.ceil(len(titles) / _N_COLUMNS)
    last = history["iteration"].max()
    for i, (name, title) in enumerate(titles.items()):
        axes = figure.add_subplot(n_rows, _N_COLUMNS, i + 1)
        _draw_term(axes, history[history["name"] == f"{group}/{name}"], colours)
        if name in _DOTTED_BESIDE:
            beside = history[history["name"] == f"{group}/{_DOTTED_BESIDE[name]}"]
            _draw_lines(axes, beside, colours, linestyle=":")
        axes.set_xlim(0, last)  # one for all: only the lowest of a column has its numbers
        axes.set_title(title, loc="left", fontsize=6.5)
        if i + _N_COLUMNS < len(titles):
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("iteration")


def _draw_term(axes: Axes, history: pd.DataFrame, colours: dict[str, str]) -> None:
    _draw_lines(axes, history, colours)
    low, high = history["value"].min(), history["value"].max()
    if low > 0 and high / low > _WIDEST_LINEAR_SPAN:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _draw_lines(
    axes: Axes, history: pd.DataFrame, colours: dict[str, str], *, linestyle: str = "-"
) -> None:
    for method, colour in colours.items():
        of_method = history[history["method"] == method]
        if of_method.empty:
            continue
        seeds = of_method.pivot(index="iteration", columns="seed", values="value")
        is_point = len(seeds) == 1  # no line goes through a single one
        style: dict[str, Any] = {"color": colour, "linestyle": linestyle}
        style |= {"marker": "o", "markersize": 3, "clip_on": False} if is_point else {}
        for seed in seeds:
            axes.plot(seeds.index, seeds[seed], linewidth=0.6, alpha=0.5, **style)
        axes.plot(seeds.index, seeds.mean(axis=1), linewidth=1.6, **style)
    axes.set_xlim(0, history["iteration"].max() * 1.01)
    if history["iteration"].max() >= _FIRST_IN_THOUSANDS:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _add_legend(axes: Axes, runs: Sequence[Run]) -> None:
    titles = {run.method_name: run.title for run in runs}
    rows = [
        Line2D([], [], color=colour, linewidth=1.8, label=titles[method])
        for method, colour in method_colours(runs).items()
    ]
    marks = [
        Line2D([], [], color=MUTED, linewidth=0.7, label="one seed"),
        Line2D([], [], color=MUTED, linewidth=1.8, label="mean of the seeds"),
        Line2D([], [], color=MUTED, linestyle="", label="weights kept", **_RING),
    ]
    # Beside the axes: no curve can run behind it, whatever the scores.
    axes.legend(handles=[*rows, *marks], loc="center left", bbox_to_anchor=(1.01, 0.5))

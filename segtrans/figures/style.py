"""The look of every figure: one palette, one type size, one way to save."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from segtrans.atomic import atomic_path
from segtrans.config.catalogue import METHODS
from segtrans.config.runs import Run

DPI = 240
# Width of a figure over two columns of a journal page, in inches.
PAGE_WIDTH_IN = 6.9
INK = "#222222"
MUTED = "#7f7f7f"
LESION_COLOUR = "#D55E00"
SEQUENCE_TITLES = {"t1": "T1", "t2": "T2", "t1c": "T1C", "flair": "FLAIR"}

# Okabe and Ito's palette, told apart by all common kinds of colour vision; the order gives the
# strongest contrasts to the methods that stand first in the catalogue.
_OKABE_ITO = ("#E69F00", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
# For the methods behind: darker and duller (after Paul Tol's "muted").
_MUTED = (
    *("#332288", "#8C6D31", "#44AA99", "#117733", "#999933", "#882255", "#AA4499"),
    *("#CC6677", "#666666", "#77AADD", "#5D3A1A", "#7DB928"),
)
METHOD_COLOURS = dict(zip(METHODS, cycle(_OKABE_ITO + _MUTED), strict=False))

# How far the shades of a colour go to black and to white: all are read on white.
_TO_BLACK, _TO_WHITE = 0.5, 0.45

_STYLE: Any = {
    "font.family": "DejaVu Sans",  # ships with Matplotlib: the same letters on every machine
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.5,
    "lines.solid_capstyle": "round",
}


def method_colours(runs: Sequence[Run]) -> dict[str, str]:
    """A colour for each method of runs, in their order.

    A method keeps its colour; its variants are shades of it, from dark to light. Variants of one
    method alone take the palette's colours, as long as these last.
    """
    method_of = {run.method_name: run.config.method for run in runs}
    methods = set(method_of.values())
    if len(methods) == 1 < len(method_of) <= len(_OKABE_ITO):
        return dict(zip(method_of, _OKABE_ITO, strict=False))
    colours: dict[str, str] = {}
    for method in methods:
        names = [name for name, of in method_of.items() if of == method]
        colours |= dict(zip(names, shades(METHOD_COLOURS[method], len(names)), strict=True))
    return {name: colours[name] for name in method_of}


def shades(colour: str, n: int) -> list[str]:
    """Shades of a colour from dark to light; of one, the colour itself."""
    if n == 1:
        return [colour]
    full = np.array(to_rgb(colour))
    dark, light = full * (1 - _TO_BLACK), full + (1 - full) * _TO_WHITE
    return [to_hex(dark + (light - dark) * share) for share in np.linspace(0, 1, n)]


@contextmanager
def saved_figure(
    target: Path, *, width_in: float, height_in: float, layout: str | None = "constrained"
) -> Iterator[Figure]:
    """Give an empty figure of the house style and save it as PNG when the block ends well.

    The same drawing gives the same bytes: the file holds neither a date nor a version.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), dpi=DPI, layout=layout)  # type: ignore[arg-type]
        FigureCanvasAgg(figure)
        yield figure
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})

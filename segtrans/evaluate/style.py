"""The look of every figure: one palette, one type size, one way to save."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segtrans.atomic import atomic_path
from segtrans.catalogue import METHODS

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
METHOD_COLOURS = dict(zip(METHODS, cycle(_OKABE_ITO), strict=False))

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

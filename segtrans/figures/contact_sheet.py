"""Some pictures of a data set on one sheet, with the outlines of their masks."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.figures.style import LESION_COLOUR, PAGE_WIDTH_IN, saved_figure

_COLUMNS = 8
_NAME_LENGTH = 18  # letters below a picture
_ROW_IN, _TITLE_IN = 1.05, 0.25

Shown = tuple[str, NDArray[np.float32], NDArray[np.bool_] | None]


def contact_sheet(kinds: Mapping[str, Sequence[Shown]], output: Path) -> None:
    """Draw a row for each kind of pictures, in its own shape each.

    Args:
        kinds: pictures by the row's title: name, (h, w) or (h, w, 3) in [0, 1], and where the mask
            is, (h, w), or None.
        output: PNG to write.
    """
    n_rows = sum(math.ceil(len(of) / _COLUMNS) for of in kinds.values()) or 1
    height_in = n_rows * _ROW_IN + len(kinds) * _TITLE_IN
    with saved_figure(output, width_in=PAGE_WIDTH_IN, height_in=height_in) as figure:
        parts = figure.subfigures(max(1, len(kinds)), 1, squeeze=False)[:, 0]
        for part, (title, pictures) in zip(parts, kinds.items(), strict=False):
            part.suptitle(title, fontsize=8)
            grid = part.subplots(math.ceil(len(pictures) / _COLUMNS), _COLUMNS, squeeze=False)
            for axes in grid.flat:
                axes.set_axis_off()
            for axes, (name, image, mask) in zip(grid.flat, pictures, strict=False):
                axes.imshow(image, cmap="gray", vmin=0, vmax=1)
                if mask is not None and mask.any() and not mask.all():
                    axes.contour(mask, levels=[0.5], colors=LESION_COLOUR, linewidths=0.6)
                axes.set_title(_short(name), fontsize=4.5, pad=1.5)


def _short(name: str) -> str:
    """The end of a name, which tells pictures apart."""
    name = name.replace("$", r"\$")
    return name if len(name) <= _NAME_LENGTH else f"...{name[-_NAME_LENGTH:]}"

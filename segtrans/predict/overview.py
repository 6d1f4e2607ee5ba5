"""One slice of a patient and what a run makes of it, as figure 8 arranges it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from segtrans.figures.style import LESION_COLOUR, PAGE_WIDTH_IN, SEQUENCE_TITLES, saved_figure
from segtrans.sources.brats.half_slices import Volumes

# Of the patient's own intensities: a few bright vessels must not make the rest dark.
_PERCENTILES = (1, 99.5)
_MARGIN = 6  # pixels
_NOTE_COLUMNS, _NOTE_IN = 95, 0.13  # characters and height of a line


@dataclass(frozen=True)
class Drawn:
    """A scan and what was made of it; all (columns, rows, slices), rows downwards.

    Attributes:
        volumes: the scan by sequence.
        content: what is not background.
        translation: by sequence, or nothing.
        residual: by sequence, or nothing.
        segmentation: 0, and the values of classes.
        numbers: what each slice is called; None: from 0.
        aspect: height of a pixel over its width.
    """

    volumes: Volumes
    content: NDArray[np.bool_]
    translation: Volumes
    residual: Volumes
    segmentation: NDArray[np.uint8]
    numbers: NDArray[np.int64] | None = None
    aspect: float = 1.0


def overview_figure(drawn: Drawn, output: Path, *, title: str, notes: Sequence[str] = ()) -> None:
    """Draw the slice with the largest segmentation, or the one with most content without any.

    Columns are sequences; rows are input, translation, residual and segmentation as an outline. Of
    fewer sequences than rows it is the other way round.

    Args:
        drawn: what is shown.
        output: PNG to write.
        title: names patient and run.
        notes: what makes the prediction doubtful, a sentence each.
    """
    shown = drawn.segmentation if drawn.segmentation.any() else drawn.content
    z = int(np.argmax(np.count_nonzero(shown, axis=(0, 1))))
    number = z if drawn.numbers is None else int(drawn.numbers[z])
    window = _window(drawn.content)
    said = [line for note in notes for line in textwrap.wrap(f"Caution: {note}.", _NOTE_COLUMNS)]
    rows = ["input", "segmentation"]
    if drawn.translation:
        rows = ["input", "translation", "residual", "segmentation"]
    is_turned = len(drawn.volumes) < len(rows)
    n_columns, n_lines = len(drawn.volumes), len(rows)
    if is_turned:
        n_columns, n_lines = n_lines, n_columns
    columns, lines = (
        len(range(*side.indices(size)))
        for side, size in zip(window, drawn.content.shape, strict=False)
    )
    height = PAGE_WIDTH_IN / n_columns * lines * drawn.aspect / columns
    height_in = 0.4 + height * n_lines + _NOTE_IN * len(said)
    with saved_figure(output, width_in=PAGE_WIDTH_IN, height_in=height_in) as figure:
        figure.suptitle("\n".join([f"{title}, slice {number}", *said]), fontsize=8)
        # Ticks would be laid out, although no axis is drawn.
        no_ticks = {"xticks": (), "yticks": ()}
        grid = figure.subplots(n_lines, n_columns, squeeze=False, subplot_kw=no_ticks)
        places = grid.T if is_turned else grid
        for column, name in enumerate(drawn.volumes):
            for row, axes in zip(rows, places[:, column], strict=True):
                axes.set_axis_off()
                _draw(axes, row, drawn, name, (*window, z))
        names = [SEQUENCE_TITLES.get(name, name) for name in drawn.volumes]
        above, beside = (rows, names) if is_turned else (names, rows)
        for text, axes in zip(above, grid[0], strict=True):
            axes.set_title(text)
        for text, axes in zip(beside, grid[:, 0], strict=True):
            axes.text(
                -0.03, 0.5, text, rotation=90, transform=axes.transAxes, va="center", ha="right"
            )


def _draw(axes: Axes, row: str, drawn: Drawn, name: str, place: tuple[slice, slice, int]) -> None:
    image = drawn.volumes[name][place].T
    low, high = _black_and_white(image, drawn.content[place].T)
    if row == "residual":
        residual = drawn.residual[name][place].T
        axes.imshow(residual, cmap="RdBu_r", vmin=low - high, vmax=high - low, aspect=drawn.aspect)
        return
    source = drawn.translation[name][place].T if row == "translation" else image
    axes.imshow(source, cmap="gray", vmin=low, vmax=high, aspect=drawn.aspect)
    if row == "segmentation":
        _outline(axes, (drawn.segmentation[place].T > 0).astype(np.uint8))


def _black_and_white(image: NDArray[Any], content: NDArray[np.bool_]) -> tuple[float, float]:
    """Of a slice of one sequence, which may be empty where others show content."""
    values = image[content & (image != 0)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, _PERCENTILES)
    return float(low), float(high)


def _window(content: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Columns and lines around the content, with a margin."""
    sides = (np.flatnonzero(content.any(axis=other)) for other in ((1, 2), (0, 2)))
    x, y = (slice(max(0, side[0] - _MARGIN), side[-1] + 1 + _MARGIN) for side in sides)
    return x, y


def _outline(axes: Axes, mask: NDArray[np.uint8]) -> None:
    if mask.any():
        axes.contour(mask, levels=[0.5], colors=LESION_COLOUR, linewidths=0.8)

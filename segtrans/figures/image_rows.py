"""Rows of small images with a label each: the form of the paper's figures 6 and 7."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from segtrans.figures.style import DPI, INK, PAGE_WIDTH_IN, saved_figure

# Diverging and colour-blind safe: blue takes intensity away, vermilion adds. Zero is a grey that
# stands out from the page, and an odd number of colours gives it one of its own.
_RESIDUAL_COLOURS = LinearSegmentedColormap.from_list(
    "residual", ["#003a5c", "#0072B2", "#f0f0f0", "#D55E00", "#6b2f00"], N=257
)
# All in pixels of the PNG. Images are enlarged by whole numbers, so that none is resampled.
_LABEL_WIDTH = 244
_SCALE_WIDTH = 110
_GAP = 4
_LARGEST = 400
_HEADING_HEIGHT = 46
_COLUMNS_HEIGHT = 34
_BLOCK_GAP = 30
_MARGIN = 10


@dataclass(frozen=True)
class Row:
    """One row of a figure.

    Attributes:
        label: what the images are.
        images: (n, H, W), or colours in [0, 1], (n, H, W, 3), which have no limits.
        limits: values drawn black and white; for residuals their two extremes, whose colours
            meet in grey at zero.
        is_residual: drawn in diverging colours with a scale beside it.
    """

    label: str
    images: NDArray[np.floating]
    limits: tuple[float, float] = (0.0, 1.0)
    is_residual: bool = False


@dataclass(frozen=True)
class Block:
    """Rows that belong together, under a heading.

    Attributes:
        heading: above the rows.
        rows: at least one.
        columns: a title for each column, or none.
    """

    heading: str
    rows: Sequence[Row]
    columns: Sequence[str] = ()


def rows_figure(blocks: Sequence[Block], output: Path) -> None:
    """Draw blocks of rows, one column per example, as a PNG.

    Args:
        blocks: at least one; images of equal shape and number in every row.
        output: file to write.
    """
    n, height, width = blocks[0].rows[0].images.shape[:3]
    has_scale = any(row.is_residual for block in blocks for row in block.rows)
    frame_width = _LABEL_WIDTH + (_SCALE_WIDTH if has_scale else _MARGIN)
    zoom = (round(PAGE_WIDTH_IN * DPI) - frame_width) // (n * (width + _GAP))
    zoom = max(1, min(zoom, _LARGEST // max(height, width)))  # a single image need not fill a page
    row_width, row_height = n * (width * zoom + _GAP) - _GAP, height * zoom
    figure_width = frame_width + row_width
    figure_height = 2 * _MARGIN + sum(
        _HEADING_HEIGHT
        + bool(block.columns) * _COLUMNS_HEIGHT
        + len(block.rows) * (row_height + _GAP)
        for block in blocks
    )
    figure_height += _BLOCK_GAP * (len(blocks) - 1)
    size_in = {"width_in": figure_width / DPI, "height_in": figure_height / DPI}
    with saved_figure(output, layout=None, **size_in) as figure:
        canvas = _Canvas(figure, figure_width, figure_height)
        top = _MARGIN
        for block in blocks:
            canvas.write_heading(top, block.heading)
            top += _HEADING_HEIGHT
            for place, title in enumerate(block.columns):
                canvas.write_column(top, place, title, width * zoom)
            top += bool(block.columns) * _COLUMNS_HEIGHT
            for row in block.rows:
                canvas.draw_row(row, top, row_width, row_height, zoom)
                top += row_height + _GAP
            top += _BLOCK_GAP


class _Canvas:
    """A figure measured in pixels from its upper left corner."""

    def __init__(self, figure: Figure, width: int, height: int) -> None:
        self._figure = figure
        self._width = width
        self._height = height

    def write_heading(self, top: int, text: str) -> None:
        """Bold text above the images, smaller where there is not enough room for it."""
        place = _LABEL_WIDTH, top + _HEADING_HEIGHT / 2
        written = self._write(*place, text, ha="left", weight="bold")
        share = written.get_window_extent().width / self._figure.bbox.width
        room = 1 - (_LABEL_WIDTH + 3 * _MARGIN) / self._width  # letters are of whole pixels
        if share > room:
            points = written.get_fontproperties().get_size_in_points()
            written.set_fontsize(points * room / share)

    def write_column(self, top: int, place: int, text: str, width: int) -> None:
        """A title in the middle above a column of images."""
        middle = _LABEL_WIDTH + place * (width + _GAP) + width / 2
        self._write(middle, top + _COLUMNS_HEIGHT / 2, text, ha="center")

    def draw_row(self, row: Row, top: int, width: int, height: int, zoom: int) -> None:
        """Label, images, and a scale where the row needs one."""
        self._write(_LABEL_WIDTH - 3 * _GAP, top + height / 2, row.label, ha="right")
        axes = self._axes(_LABEL_WIDTH, top, width, height)
        axes.set_axis_off()
        picture = axes.imshow(
            _side_by_side(row.images, zoom),
            cmap=_RESIDUAL_COLOURS if row.is_residual else "gray",
            vmin=row.limits[0],
            vmax=row.limits[1],
            interpolation="none",
            aspect="auto",
        )
        if row.is_residual:
            scale = self._axes(_LABEL_WIDTH + width + 3 * _GAP, top + 8, 14, height - 16)
            bar = self._figure.colorbar(picture, cax=scale, ticks=[row.limits[0], 0, row.limits[1]])
            bar.outline.set_linewidth(0.4)
            bar.ax.tick_params(labelsize=5.5, length=1.5, width=0.4, pad=1.5, color=INK)
            bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:+.2g}" if value else "0")

    def _write(self, x: float, y: float, text: str, **how: Any) -> Text:
        place = x / self._width, 1 - y / self._height
        return self._figure.text(*place, text, va="center_baseline", **how)

    def _axes(self, left: int, top: int, width: int, height: int) -> Axes:
        return self._figure.add_axes(
            (
                left / self._width,
                1 - (top + height) / self._height,
                width / self._width,
                height / self._height,
            )
        )


def _side_by_side(images: NDArray[np.floating], zoom: int) -> NDArray[np.floating]:
    """(n, H, W) to one picture; between the images what is drawn as background: NaN, or white."""
    enlarged = np.repeat(np.repeat(images.astype(np.float32), zoom, axis=1), zoom, axis=2)
    background = np.nan if images.ndim == 3 else 1.0
    gap = np.full((enlarged.shape[1], _GAP, *images.shape[3:]), background, dtype=np.float32)
    parts = [part for image in enlarged for part in (image, gap)]
    return np.concatenate(parts[:-1], axis=1)

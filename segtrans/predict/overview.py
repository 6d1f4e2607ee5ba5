"""One axial slice of a patient and what a run makes of it, as figure 8 arranges it."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from segtrans.figures.style import LESION_COLOUR, PAGE_WIDTH_IN, SEQUENCE_TITLES, saved_figure
from segtrans.sources.brats.half_slices import Volumes, brain_of

# Of the brain's own intensities: a few bright vessels must not make the rest dark.
_PERCENTILES = (1, 99.5)
_MARGIN = 6  # pixels
_NOTE_COLUMNS, _NOTE_IN = 95, 0.13  # characters and height of a line


class Predicted(Protocol):
    """What is drawn; `segtrans.predict.scans.Prediction` has it."""

    @property
    def translation(self) -> Volumes:
        """Volumes (X, Y, Z) by sequence, or nothing."""
        ...

    @property
    def residual(self) -> Volumes:
        """Volumes (X, Y, Z) by sequence, or nothing."""
        ...


def overview_figure(
    volumes: Volumes,
    predicted: Predicted,
    segmentation: NDArray[np.uint8],
    output: Path,
    *,
    title: str,
    notes: Sequence[str] = (),
) -> None:
    """Draw the slice with the largest segmentation, or the one with most brain without any.

    Columns are sequences; rows are input, translation, residual and segmentation as an outline.

    Args:
        volumes: the scan by sequence, (X, Y, Z) in LPS orientation.
        predicted: translation and residual.
        segmentation: (X, Y, Z), 0 or 1.
        output: PNG to write.
        title: names patient and run.
        notes: what makes the prediction doubtful, a sentence each.
    """
    first = next(iter(volumes.values()))
    brain = brain_of(volumes)
    shown = segmentation if segmentation.any() else brain
    z = int(np.argmax(np.count_nonzero(shown, axis=(0, 1))))
    window = _window(brain)
    said = [line for note in notes for line in textwrap.wrap(f"Caution: {note}.", _NOTE_COLUMNS)]
    rows = ["input", "segmentation"]
    if predicted.translation:
        rows = ["input", "translation", "residual", "segmentation"]
    columns, lines = (
        len(range(*side.indices(size))) for side, size in zip(window, first.shape, strict=False)
    )
    height = PAGE_WIDTH_IN / len(volumes) * lines / columns
    height_in = 0.4 + height * len(rows) + _NOTE_IN * len(said)
    with saved_figure(output, width_in=PAGE_WIDTH_IN, height_in=height_in) as figure:
        figure.suptitle("\n".join([f"{title}, slice {z}", *said]), fontsize=8)
        grid = figure.subplots(len(rows), len(volumes), squeeze=False)
        for column, (name, volume) in enumerate(volumes.items()):
            image = volume[*window, z].T
            low, high = _black_and_white(image)
            for row, axes in zip(rows, grid[:, column], strict=True):
                axes.set_axis_off()
                if row == "residual":
                    residual = predicted.residual[name][*window, z].T
                    axes.imshow(residual, cmap="RdBu_r", vmin=low - high, vmax=high - low)
                    continue
                source = (
                    predicted.translation[name][*window, z].T if row == "translation" else image
                )
                axes.imshow(source, cmap="gray", vmin=low, vmax=high)
                if row == "segmentation":
                    _outline(axes, segmentation[*window, z].T)
            grid[0, column].set_title(SEQUENCE_TITLES.get(name, name))
        for row, axes in zip(rows, grid[:, 0], strict=True):
            axes.text(
                -0.03, 0.5, row, rotation=90, transform=axes.transAxes, va="center", ha="right"
            )


def _black_and_white(image: NDArray[Any]) -> tuple[float, float]:
    """Of a slice of one sequence, which may be empty where others show brain."""
    values = image[image != 0]
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, _PERCENTILES)
    return float(low), float(high)


def _window(brain: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Columns and lines around the brain, with a margin."""
    sides = (np.flatnonzero(brain.any(axis=other)) for other in ((1, 2), (0, 2)))
    x, y = (slice(max(0, side[0] - _MARGIN), side[-1] + 1 + _MARGIN) for side in sides)
    return x, y


def _outline(axes: Axes, mask: NDArray[np.uint8]) -> None:
    if mask.any():
        axes.contour(mask, levels=[0.5], colors=LESION_COLOUR, linewidths=0.8)

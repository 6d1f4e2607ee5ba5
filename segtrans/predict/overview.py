"""One slice of a patient and what a run makes of it, as figure 8 arranges it."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from segtrans.figures.style import LESION_COLOUR, PAGE_WIDTH_IN, SEQUENCE_TITLES, saved_figure
from segtrans.predict.made import Made, Volumes, largest_of

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
        made: of the scan.
        masks: what is segmented, by pathology as in `made`: 0, and the values of classes.
        numbers: what each slice is called; None: from 0.
        aspect: height of a pixel over its width.
    """

    volumes: Volumes
    content: NDArray[np.bool_]
    made: Made
    masks: Mapping[str, NDArray[np.uint8]]
    numbers: NDArray[np.int64] | None = None
    aspect: float = 1.0


class Panel(NamedTuple):
    """A picture of one sequence, (rows, columns): in grey, perhaps with an outline, or a residual.

    A panel without an image has its title alone.
    """

    title: str
    image: NDArray[Any] | None = None
    mask: NDArray[np.uint8] | None = None
    is_residual: bool = False


def overview_figure(drawn: Drawn, output: Path, *, title: str, notes: Sequence[str] = ()) -> None:
    """Draw the slice with the largest segmentation, or the one with most content without any.

    Columns are sequences; rows are input, translation, residual and segmentation as an outline;
    then, of each of several pathologies, the scan without it, its residual and its segmentation.
    Of fewer sequences than four it is the other way round, and each pathology has lines of its own.

    Args:
        drawn: what is shown.
        output: PNG to write.
        title: names patient and run.
        notes: what makes the prediction doubtful, a sentence each.
    """
    segmented = largest_of(drawn.masks)
    shown = segmented if segmented.any() else drawn.content
    z = int(np.argmax(np.count_nonzero(shown, axis=(0, 1))))
    number = z if drawn.numbers is None else int(drawn.numbers[z])
    place = (*_window(drawn.content), z)
    said = [line for note in notes for line in textwrap.wrap(f"Caution: {note}.", _NOTE_COLUMNS)]
    content = drawn.content[place].T
    above, beside, lines = _arranged(drawn, place)
    height = PAGE_WIDTH_IN / len(above) * content.shape[0] * drawn.aspect / content.shape[1]
    height_in = 0.4 + height * len(lines) + _NOTE_IN * len(said)
    with saved_figure(output, width_in=PAGE_WIDTH_IN, height_in=height_in) as figure:
        figure.suptitle("\n".join([f"{title}, slice {number}", *said]), fontsize=8)
        # Ticks would be laid out, although no axis is drawn.
        no_ticks = {"xticks": (), "yticks": ()}
        grid = figure.subplots(len(lines), len(above), squeeze=False, subplot_kw=no_ticks)
        for (name, panel), axes in zip((one for of in lines for one in of), grid.flat, strict=True):
            axes.set_axis_off()
            levels = _black_and_white(drawn.volumes[name][place].T, content)
            _draw(axes, panel, levels, drawn.aspect)
        for text, axes in zip(above, grid[0], strict=True):
            axes.set_title(text)
        for text, axes in zip(beside, grid[:, 0], strict=True):
            axes.text(
                -0.03, 0.5, text, rotation=90, transform=axes.transAxes, va="center", ha="right"
            )


def _arranged(
    drawn: Drawn, place: tuple[slice, slice, int]
) -> tuple[list[str], list[str], list[list[tuple[str, Panel]]]]:
    """What stands above columns and beside lines, and the sequence and panel of each place."""
    blocks = {name: panels_of(drawn, name, place) for name in drawn.volumes}
    titles = [SEQUENCE_TITLES.get(name, name) for name in blocks]
    of_all, *of_each = next(iter(blocks.values()))
    if len(blocks) >= len(of_all):
        columns = [
            [(name, panel) for block in of for panel in block] for name, of in blocks.items()
        ]
        lines = [list(line) for line in zip(*columns, strict=True)]
        return titles, [line[0][1].title for line in lines], lines
    # What is of one pathology stands below the same of all, and its name where the input is.
    lines = [[(name, panel) for panel in of[0]] for name, of in blocks.items()]
    for k in range(len(of_each)):
        for name, of in blocks.items():
            block = of[1 + k]
            lines.append([(name, panel) for panel in (Panel(block[0].title), *block)])
    return [panel.title for panel in of_all], titles * (1 + len(of_each)), lines


def panels_of(drawn: Drawn, sequence: str, place: tuple[slice, slice, int]) -> list[list[Panel]]:
    """The panels of one sequence: those of all that is to be seen, then those of each pathology.

    Args:
        drawn: what is shown.
        sequence: its name.
        place: columns, rows and slice.
    """
    image = drawn.volumes[sequence][place].T
    made = drawn.made.map(lambda volume: volume[place].T)
    masks = {name: (mask[place].T > 0).astype(np.uint8) for name, mask in drawn.masks.items()}
    segmented = Panel("segmentation", image, largest_of(masks))
    if not made.translation:
        return [[Panel("input", image), segmented]]
    of_all = [
        Panel("input", image),
        Panel("translation", made.translation[sequence]),
        Panel("residual", made.residual[sequence], is_residual=True),
        segmented,
    ]
    of_each = [
        [
            Panel(f"without {name}", made.without(name)[sequence]),
            Panel("its residual", made.residuals[name][sequence], is_residual=True),
            Panel("its segmentation", image, mask),
        ]
        for name, mask in masks.items()
        if name
    ]
    return [of_all, *of_each]


def _draw(axes: Axes, panel: Panel, levels: tuple[float, float], aspect: float) -> None:
    low, high = levels
    if panel.image is None:
        axes.text(0.5, 0.5, panel.title, transform=axes.transAxes, va="center", ha="center")
    elif panel.is_residual:
        axes.imshow(panel.image, cmap="RdBu_r", vmin=low - high, vmax=high - low, aspect=aspect)
    else:
        axes.imshow(panel.image, cmap="gray", vmin=low, vmax=high, aspect=aspect)
    if panel.mask is not None:
        _outline(axes, panel.mask)


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

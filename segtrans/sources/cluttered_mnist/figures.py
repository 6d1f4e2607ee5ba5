"""Figures of strokes, of the size and brightness of digits: a second target for them.

Each is a letter of straight strokes, which no digit looks like, with corners that are moved a
little, slanted, turned and scaled, drawn with a pen of its own width.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.cluttered_mnist.digits import DIGIT_SIZE

Stroke = tuple[tuple[float, float], tuple[float, float]]

# Strokes between corners (column, row) of a box 2 wide and 2 high.
_LETTERS: dict[str, tuple[Stroke, ...]] = {
    "A": (((0, 2), (1, 0)), ((1, 0), (2, 2)), ((0.5, 1), (1.5, 1))),
    "E": (((0, 0), (0, 2)), ((0, 0), (2, 0)), ((0, 1), (1.5, 1)), ((0, 2), (2, 2))),
    "F": (((0, 0), (0, 2)), ((0, 0), (2, 0)), ((0, 1), (1.5, 1))),
    "H": (((0, 0), (0, 2)), ((2, 0), (2, 2)), ((0, 1), (2, 1))),
    "K": (((0, 0), (0, 2)), ((2, 0), (0, 1)), ((0, 1), (2, 2))),
    "M": (((0, 2), (0, 0)), ((0, 0), (1, 1)), ((1, 1), (2, 0)), ((2, 0), (2, 2))),
    "N": (((0, 2), (0, 0)), ((0, 0), (2, 2)), ((2, 2), (2, 0))),
    "T": (((0, 0), (2, 0)), ((1, 0), (1, 2))),
    "W": (((0, 0), (0.5, 2)), ((0.5, 2), (1, 1)), ((1, 1), (1.5, 2)), ((1.5, 2), (2, 0))),
    "X": (((0, 0), (2, 2)), ((2, 0), (0, 2))),
}
_CORNER_SD = 0.12  # of the box's half
_HALF_SIZE = (7.0, 9.5)  # pixels
_ANGLE = 0.2  # radians to either side
_SLANT = 0.25
_PEN = (2.0, 3.5)  # pixels wide
_BLOCK = 256


def draw_figures(n: int, seed: tuple[int, ...]) -> NDArray[np.uint8]:
    """Figures, (n, 28, 28) uint8: 0 is background; one seed gives one result.

    Letters come in turn, so that each is as frequent as any.
    """
    figures = np.empty((n, DIGIT_SIZE, DIGIT_SIZE), np.uint8)
    letters = list(_LETTERS.values())
    for i, start in enumerate(range(0, n, _BLOCK)):
        rng = np.random.default_rng((*seed, i))
        chosen = [letters[j % len(letters)] for j in range(start, min(n, start + _BLOCK))]
        figures[start : start + _BLOCK] = _drawn(_corners(chosen, rng), rng)
    return figures


def _corners(
    letters: Sequence[tuple[Stroke, ...]], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Both ends of each stroke in pixels, (n, 4 strokes, 2 ends, 2); a stroke more is the last."""
    strokes = np.array([[*of, *[of[-1]] * (4 - len(of))] for of in letters], np.float64) - 1
    n = len(strokes)
    # What meets in a corner moves together: by its place, on a grid of half steps.
    moves = rng.normal(0, _CORNER_SD, (n, 5, 5, 2))
    at = np.rint(2 * (strokes + 1)).astype(np.int64)
    strokes += moves[np.arange(n)[:, None, None], at[..., 0], at[..., 1]]
    half_size = rng.uniform(*_HALF_SIZE, (n, 1, 1, 1))
    angle = rng.uniform(-_ANGLE, _ANGLE, (n, 1, 1))
    slant = rng.uniform(-_SLANT, _SLANT, (n, 1, 1))
    x, y = strokes[..., 0] - slant * strokes[..., 1], strokes[..., 1]
    turned = np.stack(
        [np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y], axis=-1
    )
    return turned * half_size + (DIGIT_SIZE - 1) / 2


def _drawn(strokes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pixels by their distance from the nearest stroke, with a border of one pixel."""
    n = len(strokes)
    pen = rng.uniform(*_PEN, (n, 1, 1))
    rows, columns = np.mgrid[:DIGIT_SIZE, :DIGIT_SIZE]
    pixels = np.stack([columns, rows], axis=-1).reshape(1, 1, -1, 2)
    first, last = strokes[:, :, 0, None], strokes[:, :, 1, None]
    along = last - first
    length = np.maximum((along**2).sum(-1), 1e-9)
    share = (((pixels - first) * along).sum(-1) / length).clip(0, 1)
    distance = np.sqrt(((pixels - first - share[..., None] * along) ** 2).sum(-1)).min(axis=1)
    ink = (pen / 2 + 0.5 - distance.reshape(n, DIGIT_SIZE, DIGIT_SIZE)).clip(0, 1)
    drawn: NDArray[np.uint8] = np.rint(255 * ink).astype(np.uint8)
    return drawn

"""Masks from outlines and run lengths. The centre of the first pixel is at (0.5, 0.5)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon, polygon_perimeter

Points = Sequence[tuple[float, float]]  # column, row

Mask = NDArray[np.bool_]


def fill_polygon(shape: tuple[int, int], points: Points) -> Mask:
    """Pixels whose centres lie in a polygon; of one too thin for any, those along its outline.

    Raises:
        ValueError: it has fewer than three points, or lies outside of the picture.
    """
    if len(points) < 3:
        raise ValueError(f"a polygon of {len(points)} points")
    mask = np.zeros(shape, bool)
    columns, rows = np.array(points, np.float64).T - 0.5
    mask[polygon(rows, columns, shape)] = True
    if not mask.any():
        mask[polygon_perimeter(np.rint(rows), np.rint(columns), shape)] = True
    if not mask.any():
        raise ValueError("a polygon outside of the picture")
    return mask


def fill_circle(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> Mask:
    """Pixels whose centres lie in a circle."""
    rows, columns = np.indices(shape, sparse=True)
    column, row = centre
    inside: Mask = np.hypot(rows + 0.5 - row, columns + 0.5 - column) <= radius
    return inside


def fill_runs(shape: tuple[int, int], counts: Sequence[int]) -> Mask:
    """COCO's run lengths: background and object by turns, down the columns.

    Raises:
        ValueError: they do not fill the picture.
    """
    if min(counts, default=0) < 0 or sum(counts) != shape[0] * shape[1]:
        raise ValueError(f"run lengths of {sum(counts)} pixels, expected {shape[0] * shape[1]}")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(shape[1], shape[0]).T


def unpack_runs(text: str) -> list[int]:
    """Run lengths from COCO's text: five bits a character, from the third run on differences.

    Raises:
        ValueError: it is no such text.
    """
    runs: list[int] = []
    value = bits = 0
    for character in text:
        part = ord(character) - 48
        if not 0 <= part < 64:
            raise ValueError("no run lengths")
        value |= (part & 31) << bits
        bits += 5
        if part & 32:
            continue
        value -= (1 << bits) if part & 16 else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = bits = 0
    if bits:
        raise ValueError("run lengths that are cut off")
    return runs

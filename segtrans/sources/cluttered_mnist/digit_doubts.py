"""Do digits of one's own look like digits? What goes wrong with IDX files is told by eye."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_MIN_DIGITS = 10  # of a class, for its mean to look like one
_BRIGHTER = 25  # grey values that a border is above its centre where the background is white
_FEW = 0.01  # of the images: odd ones, and no other background
_CLEARLY = 0.05  # of a correlation: MNIST's own turns are 0.2 and more below upright

_TURNS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "transposed, as EMNIST stores them: swap rows and columns": lambda mean: mean.T,
    "mirrored: reverse the columns": lambda mean: mean[:, ::-1],
    "upside down: reverse the rows": lambda mean: mean[::-1],
    "rotated by 180 degrees: reverse rows and columns": lambda mean: mean[::-1, ::-1],
    "rotated by 90 degrees: turn them clockwise": lambda mean: np.rot90(mean, -1),
    "rotated by 90 degrees: turn them anticlockwise": lambda mean: np.rot90(mean),
    "transposed and rotated by 180 degrees: undo both": lambda mean: mean[::-1, ::-1].T,
}


def doubts(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    mnist: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> list[str]:
    """What does not look like MNIST's digits, a clause each.

    Args:
        images: (N, 28, 28), 0 is background; those of one part, to train or to test.
        labels: (N,), 0 to 9.
        mnist: images and labels of digits that are known to stand upright.
    """
    if images.max(initial=0) <= 1:
        return ["their values are 0 and 1, expected 0 to 255: multiply by 255"]
    n_white = np.count_nonzero(_border(images) > _centre(images) + _BRIGHTER)
    if 2 * n_white > len(images):
        return ["their border is brighter than their centre, expected bright digits on 0: invert"]
    if n_white > _FEW * len(images):
        return [
            f"{n_white:,} of {len(images):,} have a border brighter than their centre, expected "
            "bright digits on 0: invert these"
        ]
    turn = _turn(images, labels, mnist)
    return [f"they look {turn}"] if turn else []


def _border(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    mean: NDArray[np.float64] = np.mean([edge.mean(axis=1) for edge in edges], axis=0)
    return mean


def _centre(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean(images[:, 7:21, 7:21], axis=(1, 2))
    return mean


def _turn(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    mnist: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> str | None:
    """How the classes' mean images must be turned to be clearly more like MNIST's, if at all."""
    pairs = []
    for digit in range(10):
        own, known = images[labels == digit], mnist[0][mnist[1] == digit]
        if len(own) >= _MIN_DIGITS and len(known) >= _MIN_DIGITS:
            pairs.append((own.mean(axis=0), known.mean(axis=0)))
    if not pairs:
        return None
    upright = np.mean([_likeness(mean, known) for mean, known in pairs])
    turned = {
        name: np.mean([_likeness(turn(mean), known) for mean, known in pairs])
        for name, turn in _TURNS.items()
    }
    best = max(turned, key=lambda name: turned[name])
    return best if turned[best] > upright + _CLEARLY else None


def _likeness(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Correlation of two images' pixels; 0 where one has a single value."""
    first, second = first - first.mean(), second - second.mean()
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / length if length else 0.0

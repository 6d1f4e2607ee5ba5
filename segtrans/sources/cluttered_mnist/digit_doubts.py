"""Do digits of one's own look like digits? What goes wrong with IDX files is told by eye."""

import numpy as np
from numpy.typing import NDArray

_MIN_DIGITS = 10  # of a class, for its mean to look like one


def doubts(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    mnist: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> list[str]:
    """What does not look like MNIST's digits, a clause each.

    Args:
        images: (N, 28, 28), 0 is background.
        labels: (N,), 0 to 9.
        mnist: images and labels of digits that are known to stand upright.
    """
    if images.max(initial=0) <= 1:
        return ["their values are 0 and 1, expected 0 to 255: multiply by 255"]
    if _border(images) > _centre(images):
        return ["their border is brighter than their centre, expected bright digits on 0: invert"]
    if _are_transposed(images, labels, mnist):
        return ["they look transposed, as EMNIST stores them: swap rows and columns"]
    return []


def _border(images: NDArray[np.uint8]) -> float:
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    return float(np.mean([edge.mean() for edge in edges]))


def _centre(images: NDArray[np.uint8]) -> float:
    return float(images[:, 7:21, 7:21].mean())


def _are_transposed(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    mnist: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> bool:
    """Whether most classes' mean images are more like MNIST's when rows and columns are swapped."""
    votes = []
    for digit in range(10):
        own, known = images[labels == digit], mnist[0][mnist[1] == digit]
        if len(own) >= _MIN_DIGITS and len(known) >= _MIN_DIGITS:
            mean, expected = own.mean(axis=0), known.mean(axis=0)
            votes.append(_likeness(mean.T, expected) > _likeness(mean, expected))
    return 2 * sum(votes) > len(votes)


def _likeness(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Correlation of two images' pixels; 0 where one has a single value."""
    first, second = first - first.mean(), second - second.mean()
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / length if length else 0.0

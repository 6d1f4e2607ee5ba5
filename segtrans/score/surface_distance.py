"""How far the surfaces of two masks lie apart, with MONAI's numbers and without its import."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

Mask = NDArray[np.bool_]


def hd95_mm(first: Mask, second: Mask, spacing_mm: tuple[float, ...]) -> float:
    """The 95th percentile of the distances between two surfaces, the larger of both directions.

    The surface of a mask are its voxels with a neighbour outside of it, beyond the array too.

    Args:
        first: neither this one nor the other is empty.
        second: of the same shape.
        spacing_mm: of the voxels, along each axis.
    """
    box = tuple(slice(at.min(), at.max() + 1) for at in np.nonzero(first | second))
    one, other = (_surface_mm(mask[box], spacing_mm) for mask in (first, second))
    return max(_percentile_95(one, other), _percentile_95(other, one))


def _surface_mm(mask: Mask, spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Places of the voxels on the surface, (n, number of axes)."""
    surface = np.argwhere(mask & ~binary_erosion(mask)).astype(np.float64)
    return surface * spacing_mm


def _percentile_95(points: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Of the distances from each point to the nearest other one."""
    distances, _ = KDTree(others).query(points)
    # By torch and in single precision, as MONAI: the scores agree with its own to the last digit.
    return float(torch.quantile(torch.from_numpy(distances).float(), 0.95))

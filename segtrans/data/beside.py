"""Which slices of a volume stand beside others. Imports neither torch nor the store."""

import numpy as np
from numpy.typing import NDArray

NEITHER = "neither"  # the slices of a store that are of no domain, and are neighbours of some


def beside(slices: NDArray[np.int64], n_slices: int, neighbours: int) -> NDArray[np.int64]:
    """Slices of a volume of `n_slices` that the stacks of some consist of, (n, 2r + 1).

    Where the volume ends, its last slice is repeated.
    """
    places = slices[:, None] + np.arange(-neighbours, neighbours + 1)
    return places.clip(0, n_slices - 1)


def are_beside(is_image: NDArray[np.bool_], neighbours: int) -> NDArray[np.bool_]:
    """Which slices (Z,) are no images themselves, and are neighbours of one."""
    places = beside(np.flatnonzero(is_image), len(is_image), neighbours)
    found = np.zeros_like(is_image)
    found[places] = True
    return found & ~is_image

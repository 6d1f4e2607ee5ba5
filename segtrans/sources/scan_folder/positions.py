"""Absence drawn where presence is: the place along the axis is then no sign of the domain.

A tumour of the liver is in slices of the liver, and absence in all others: a translator that learns
what is above and below has learnt nothing of tumours. The authors, too, draw slices of absence from
the histogram of the positions of presence, for the liver (LiTS).
"""

import numpy as np
from numpy.typing import NDArray

_N_BINS = 20  # of the axis
_STREAM = 1006  # apart from other modules' draws


def drawn_as_present(
    present: NDArray[np.floating], absent: NDArray[np.floating], *, seed: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Which absence images to keep, so that they lie along the axis as presence images do.

    In each twentieth of the axis there are as many of A for each of P as everywhere else: at least
    one where there are so many of A, and more where all twentieths have them. Where P has none, A
    has none.

    Args:
        present: (n,) places of P, from 0, the first slice of a scan, to 1, the last.
        absent: (m,) places of A.
        seed: of the draw.

    Returns:
        (m,), whether each is kept.
    """
    rng = np.random.default_rng((*seed, _STREAM))
    bins_P, bins_A = (
        np.minimum((places * _N_BINS).astype(np.int64), _N_BINS - 1) for places in (present, absent)
    )
    n_P, n_A = (np.bincount(bins, minlength=_N_BINS) for bins in (bins_P, bins_A))
    is_there = n_P > 0
    for_each = max(1.0, float((n_A[is_there] / n_P[is_there]).min())) if is_there.any() else 0.0
    kept = np.zeros(len(absent), np.bool_)
    for number in np.flatnonzero(is_there).tolist():
        here = rng.permutation(np.flatnonzero(bins_A == number))
        kept[here[: int(for_each * n_P[number] + 0.5)]] = True
    return kept

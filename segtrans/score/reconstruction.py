"""Does a reconstruction say more of an image than one grey value would? Imports no torch."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from segtrans.config.run_record import RECONSTRUCTION_FIGURES
from segtrans.config.runs import Run, read_metrics

MARK = "†"
# A few pixels better than a constant is still no picture of the image.
_SHARE = 0.95


def reconstruction_scores(errors: NDArray[np.float64] | None) -> dict[str, float | None]:
    """Means over the images of a fold, P and A together.

    `reconstruction_l1` is the mean absolute error of the reconstruction,
    `reconstruction_l1_constant` that of the best single value for each image and channel, its
    median: no constant has a smaller one.

    Args:
        errors: (N, 2), both of each image; None for a method that reconstructs nothing.
    """
    if errors is None:
        return dict.fromkeys(RECONSTRUCTION_FIGURES)
    means = errors.mean(axis=0).tolist()
    return dict(zip(RECONSTRUCTION_FIGURES, means, strict=True))


def is_no_better_than_constant(run: Run) -> bool:
    """Whether a run's reconstruction of the test fold, best weights, leaves 95 % of that error.

    Raises:
        UserError: the run is not evaluated.
    """
    scores = read_metrics(run).best["test"]
    error, constant = (scores[name] for name in RECONSTRUCTION_FIGURES)
    return error is not None and constant is not None and bool(error >= _SHARE * constant)


def flat_methods(runs: Sequence[Run]) -> list[str]:
    """Methods with such a run, and in how many of their seeds: "AE baseline (BraTS), 2 of 2 seeds".

    Args:
        runs: in order.
    """
    found = []
    for _, group in groupby(runs, key=lambda run: (run.config.task, run.method_name)):
        of_method = list(group)
        if n := sum(map(is_no_better_than_constant, of_method)):
            first = of_method[0]
            found.append(f"{first.title} ({first.task_title}), {n} of {len(of_method)} seeds")
    return found


def flat_point(runs: Sequence[Run]) -> str:
    """What the mark beside a method means, and which methods have it; empty without any."""
    methods = flat_methods(runs)
    if not methods:
        return ""
    return (
        f"{MARK} Reconstruction no better than a constant: {'; '.join(methods)}. Its mean absolute "
        f"error on test images is at least {100 * _SHARE:g} % of that of the best single value for "
        "each image and channel: such a method has not learnt to reconstruct."
    )

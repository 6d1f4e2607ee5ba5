"""Lesions one by one: the connected parts of a mask that a segmentation finds, misses or invents.

A lesion is found when a pixel of it is segmented. A connected part of the segmentation that
touches no lesion is false. Pixels are neighbours by side or corner: 8 in an image, 26 in a volume.
Pixels of `VOID` are of neither, whatever is segmented there. Imports no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.measure import label

from segtrans.config.run_record import LESION_FIGURES
from segtrans.data.values import is_target
from segtrans.score.metrics import PerImage
from segtrans.tasks.base import VOID

COLUMNS = ("lesions_found", "lesions_missed", "lesions_false")
# Why figures of groups are null.
NO_GROUPS = dict.fromkeys(
    LESION_FIGURES[2:], "null: the images of this task belong to no patients and no groups"
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LesionCounts(PerImage):
    """How many lesions of each of N images were found, missed and invented; (N,) int64 each."""

    lesions_found: NDArray[np.int64]
    lesions_missed: NDArray[np.int64]
    lesions_false: NDArray[np.int64]


def count_in_images(segmented: Mask, mask: NDArray[np.uint8] | None) -> LesionCounts:
    """Count lesions in each image by itself.

    Args:
        segmented: (N, H, W).
        mask: (N, H, W) class labels, 0 is background; None for images of the absence domain.
    """
    counts = np.zeros((len(segmented), len(COLUMNS)), np.int64)
    for n, of_image in enumerate(segmented):
        truth = np.zeros_like(of_image) if mask is None else is_target(mask[n])
        known = of_image if mask is None else of_image & (mask[n] != VOID)
        counts[n] = count_lesions(known, truth)
    return LesionCounts(*counts.T)


def count_lesions(segmented: Mask, truth: Mask) -> tuple[int, int, int]:
    """Lesions found, missed and false in one image (H, W), or in one volume (Z, Y, X)."""
    either = segmented | truth
    if not either.any():
        return 0, 0, 0
    box = tuple(slice(at.min(), at.max() + 1) for at in np.nonzero(either))
    segmented, truth = segmented[box], truth[box]
    lesions, n_lesions = _parts(truth)
    parts, n_parts = _parts(segmented)
    n_found = _n_met(lesions, segmented)
    return n_found, n_lesions - n_found, n_parts - _n_met(parts, truth)


def lesion_scores(
    present: LesionCounts, absent: LesionCounts, groups: pd.DataFrame | None
) -> dict[str, float | None]:
    """The figures of a fold.

    `lesions_found_fraction` is of all lesions of its P images together, null without any;
    `lesions_false_image_mean` the mean over its images, P and A. The same of each patient in 3D,
    or of each group of images, are `lesions_found_fraction_group`, the mean over those that have
    a lesion, and `lesions_false_group_mean`, over all; null where there are no groups.

    Args:
        present: of the fold's P images.
        absent: of its A images.
        groups: a row for each patient or group, with COLUMNS; None where there are none.
    """
    n_found, n_missed = int(present.lesions_found.sum()), int(present.lesions_missed.sum())
    n_false = np.concatenate([present.lesions_false, absent.lesions_false])
    values = [_share(n_found, n_found + n_missed), float(n_false.mean()), None, None]
    if groups is not None:
        n_lesions = groups["lesions_found"] + groups["lesions_missed"]
        shares = (groups["lesions_found"] / n_lesions)[n_lesions > 0]
        values[2] = float(shares.mean()) if len(shares) else None
        values[3] = float(groups["lesions_false"].mean())
    return dict(zip(LESION_FIGURES, values, strict=True))


def sum_over_groups(counts: Sequence[tuple[NDArray[Any], LesionCounts]]) -> pd.DataFrame:
    """One row per group of images with COLUMNS, summed over its images.

    Args:
        counts: for P and for A, the group of each image and its lesions.
    """
    rows = [pd.DataFrame(vars(of)).assign(group=group) for group, of in counts]
    return pd.concat(rows, ignore_index=True).groupby("group", as_index=False).sum()


def _parts(mask: Mask) -> tuple[NDArray[np.int64], int]:
    parts, n = label(mask, connectivity=mask.ndim, return_num=True)
    return parts, int(n)


def _n_met(parts: NDArray[np.int64], mask: Mask) -> int:
    """How many of the parts share a pixel with a mask."""
    return int(np.count_nonzero(np.unique(parts[mask])))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

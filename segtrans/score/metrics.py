"""Overlap of segmentations with reference masks: each score's name states its definition.

Pure NumPy. Each image is reduced to a few sums over its pixels; every score of an image or of a
split follows from these sums, so that images can be scored in blocks of any size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segtrans.config.run_record import PATIENT_FIGURES
from segtrans.data.values import is_target
from segtrans.tasks.base import VOID

# Scores of tasks with patients, and why they are null in others.
NOT_DEFINED = dict.fromkeys(
    PATIENT_FIGURES, "null: the images of this task are not slices of patients' volumes"
)


@dataclass(frozen=True)
class PerImage:
    """Arrays (N, ...) with a value for each of N images."""

    @classmethod
    def joined(cls, blocks: Sequence[Self]) -> Self:
        """The images of all blocks, in order."""
        return cls(
            *(
                np.concatenate([getattr(block, field.name) for block in blocks])
                for field in fields(cls)
            )
        )


@dataclass(frozen=True)
class ImageSums(PerImage):
    """Sums over the pixels of each of N images.

    Attributes:
        soft_overlap: (N,) float64, sum of p * y.
        soft_size: (N,) float64, sum of p.
        overlap: (N,) int64, pixels that are segmented and belong to the lesion.
        predicted_pixels: (N,) int64, pixels that are segmented, p > threshold.
        lesion_pixels: (N,) int64, pixels of the reference mask, y > 0.

    Pixels that the mask says nothing of, `VOID`, are in none of them.
    """

    soft_overlap: NDArray[np.float64]
    soft_size: NDArray[np.float64]
    overlap: NDArray[np.int64]
    predicted_pixels: NDArray[np.int64]
    lesion_pixels: NDArray[np.int64]

    def dice_soft(self) -> NDArray[np.float64]:
        """Soft Dice of each image, (N,), in [0, 1]."""
        return dice(self.soft_overlap, self.soft_size, self.lesion_pixels)

    def dice_hard(self) -> NDArray[np.float64]:
        """Dice of each thresholded image, (N,), in [0, 1]."""
        return dice(self.overlap, self.predicted_pixels, self.lesion_pixels)


def image_sums(
    probability: NDArray[np.floating], mask: NDArray[np.uint8] | None, *, threshold: float
) -> ImageSums:
    """Sum over the pixels of each image.

    Args:
        probability: (N, H, W), probability of lesion, in [0, 1].
        mask: (N, H, W) class labels, 0 is background, `VOID` not known; None for images of the
            absence domain, which are known to hold no lesion.
        threshold: a pixel counts as segmented when its probability is above.

    Raises:
        ValueError: the shapes differ, or a probability is not in [0, 1] (or not a number).
    """
    if mask is not None and mask.shape != probability.shape:
        raise ValueError(f"probability is {probability.shape}, mask is {mask.shape}")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("a probability lies outside of [0, 1] or is not a number")
    n = len(probability)
    p = probability.reshape(n, -1).astype(np.float64)
    segmented = probability.reshape(n, -1) > threshold
    y = np.zeros(p.shape, dtype=bool)
    if mask is not None:
        y, is_known = (of.reshape(n, -1) for of in (is_target(mask), mask != VOID))
        p, segmented = p * is_known, segmented & is_known
    return ImageSums(
        soft_overlap=(p * y).sum(axis=1),
        soft_size=p.sum(axis=1),
        overlap=(segmented & y).sum(axis=1, dtype=np.int64),
        predicted_pixels=segmented.sum(axis=1, dtype=np.int64),
        lesion_pixels=y.sum(axis=1, dtype=np.int64),
    )


def split_scores(present: ImageSums, absent: ImageSums) -> dict[str, float | int]:
    """All scores of one split.

    `dice_soft_pooled` is the headline: 2 * sum(p * y) / (sum(p) + sum(y)) over all pixels of the
    split's P images, without smoothing. `dice_hard_pooled` is the same of thresholded images,
    `dice_hard_image_mean` the mean over images. False positives are segmented pixels of A images.
    Scores of patients are added by `segtrans.score.evaluate`.

    The empty-mask rule is that of `dice`; `n_both_empty_P`, `n_only_mask_empty_P` and
    `n_only_segmentation_empty_P` count the images it decided (after thresholding).

    Args:
        present: the split's P images, at least one.
        absent: its A images, at least one.
    """
    is_mask_empty = present.lesion_pixels == 0
    is_segmentation_empty = present.predicted_pixels == 0
    return {
        "dice_soft_pooled": pooled_dice(
            present.soft_overlap, present.soft_size, present.lesion_pixels
        ),
        "dice_hard_pooled": pooled_dice(
            present.overlap, present.predicted_pixels, present.lesion_pixels
        ),
        "dice_hard_image_mean": float(present.dice_hard().mean()),
        "false_positive_pixels_A": int(absent.predicted_pixels.sum()),
        "false_positive_pixels_A_image_mean": float(absent.predicted_pixels.mean()),
        "n_images_P": len(present.lesion_pixels),
        "n_images_A": len(absent.lesion_pixels),
        "n_both_empty_P": int((is_mask_empty & is_segmentation_empty).sum()),
        "n_only_mask_empty_P": int((is_mask_empty & ~is_segmentation_empty).sum()),
        "n_only_segmentation_empty_P": int((~is_mask_empty & is_segmentation_empty).sum()),
    }


def dice(
    overlap: NDArray[np.floating] | NDArray[np.integer],
    size: NDArray[np.floating] | NDArray[np.integer],
    reference_size: NDArray[np.integer],
) -> NDArray[np.float64]:
    """2 * overlap / (size + reference_size), elementwise.

    The one rule for empty masks: both empty is 1 (nothing to find, nothing found); one empty is
    0, whichever it is.
    """
    total = (size + reference_size).astype(np.float64)
    is_empty = total == 0
    return np.where(is_empty, 1.0, 2.0 * overlap / np.where(is_empty, 1.0, total))


def pooled_dice(
    overlap: NDArray[np.floating] | NDArray[np.integer],
    size: NDArray[np.floating] | NDArray[np.integer],
    reference_size: NDArray[np.integer],
) -> float:
    """`dice` of the sums over all images."""
    return float(dice(overlap.sum(), size.sum(), reference_size.sum()))

"""Scores of each pathology by itself, beside those of all together."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segtrans.config.run_record import OF_PATHOLOGY
from segtrans.data.pathologies import bit
from segtrans.score.metrics import ImageSums, image_sums, pooled_dice


def sums_of_each(
    y_seg: NDArray[np.floating], masks: NDArray[np.uint8], *, threshold: float
) -> list[ImageSums]:
    """Sums over the pixels of each image, for each of K pathologies.

    Args:
        y_seg: probabilities, (N, K, H, W) in [0, 1].
        masks: (N, H, W) uint8: bit k of pathology k, or `VOID`.
        threshold: a pixel counts as segmented when its probability is above.
    """
    maps = np.moveaxis(y_seg, 1, 0)
    return [image_sums(of, bit(masks, k), threshold=threshold) for k, of in enumerate(maps)]


def joined(blocks: Sequence[list[ImageSums]]) -> list[ImageSums]:
    """For each pathology the images of all blocks, in order."""
    return [ImageSums.joined(of_blocks) for of_blocks in zip(*blocks, strict=True)]


def pathology_scores(sums: Mapping[str, ImageSums]) -> dict[str, float | int]:
    """Scores of a fold's P images by pathology, those that do not show it among them.

    `dice_soft_pooled_of_<name>`, `dice_hard_pooled_of_<name>` and `dice_hard_image_mean_of_<name>`
    are as in `split_scores`; `n_images_of_<name>` counts the images that show it.
    """
    scores: dict[str, float | int] = {}
    for name, of in sums.items():
        values = (
            pooled_dice(of.soft_overlap, of.soft_size, of.lesion_pixels),
            pooled_dice(of.overlap, of.predicted_pixels, of.lesion_pixels),
            float(of.dice_hard().mean()),
            int((of.lesion_pixels > 0).sum()),
        )
        scores |= {f"{key}{name}": value for key, value in zip(OF_PATHOLOGY, values, strict=True)}
    return scores

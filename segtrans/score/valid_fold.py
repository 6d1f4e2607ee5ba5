"""The score that training watches: quick, and equal to the headline of the final evaluation."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from segtrans.methods.inference import lesion_probability
from segtrans.tasks.base import VOID


def validate(
    method: nn.Module, batches: Iterable[tuple[Tensor, Tensor | None]]
) -> dict[str, float]:
    """Soft Dice pooled over all pixels, as `segtrans.score.metrics.split_scores` defines it.

    The sums stay on the method's device and are read back once, at the end.

    Args:
        method: has `segment`; in evaluation mode.
        batches: images (N, C, H, W) float32 of the presence domain with their masks (N, H, W)
            uint8, as `segtrans.data.feed.folds.iterate_fold` yields them.

    Returns:
        `dice_soft_pooled`, in [0, 1].

    Raises:
        ValueError: there is no batch, or a batch has no masks.
    """
    sums = None
    for x, mask in batches:
        if mask is None:
            raise ValueError("validation needs images with masks, those of the presence domain")
        p = lesion_probability(method, x)
        mask = mask.to(p.device, non_blocking=True)
        is_known = mask != VOID
        p, y = p * is_known, (mask > 0) & is_known
        parts = [(p * y).sum(dtype=torch.float64), p.sum(dtype=torch.float64), y.sum()]
        batch_sums = torch.stack([part.to(torch.float64) for part in parts])
        sums = batch_sums if sums is None else sums + batch_sums
    if sums is None:
        raise ValueError("there is nothing to validate on")
    overlap, size, lesion_size = sums.tolist()
    total = size + lesion_size
    # Zero alone is empty: what is not a number must not pass for a perfect score.
    return {"dice_soft_pooled": 1.0 if total == 0 else 2 * overlap / total}

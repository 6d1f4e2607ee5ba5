"""What images without a mask are made to say: consistency and pseudo-labels, as pure functions."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrans.objective.losses import mean_where
from segtrans.precision import at_least_single
from segtrans.tasks.base import VOID

# Of the training; published ones take all of 30,000 iterations, and would never end in 1,000.
RAMP_SHARE = 0.4


def ramp_up(iteration: Tensor, length: float) -> Tensor:
    """exp(-5 (1 - t / length)^2), from 0.007 to 1, which it stays from `length` on.

    Laine and Aila 2017 (arXiv 1610.02242), section 3.1.

    Args:
        iteration: t, from 0: 0-d, on the device, so that a recorded update can be repeated.
        length: in iterations.
    """
    left = (1 - iteration / length).clamp(min=0)
    return (-5 * left**2).exp()


def certain_mean_square(p: Tensor, q: Tensor, uncertainty: Tensor, most: Tensor) -> Tensor:
    """`mean_square` over those pixels of the joint batch that are certain enough; 0-d.

    Args:
        p: probabilities, (N, K, H, W).
        q: likewise.
        uncertainty: (N, 1, H, W).
        most: pixels count whose uncertainty is below, 0-d.
    """
    squares = (at_least_single(p) - at_least_single(q)).square().mean(dim=1, keepdim=True)
    return mean_where(uncertainty < most, squares)


def entropy(p: Tensor) -> Tensor:
    """Of each pixel of probabilities (N, K, H, W), in nats: (N, 1, H, W); K = 1 has two classes."""
    p = at_least_single(p)
    if p.shape[1] == 1:
        p = torch.cat([1 - p, p], dim=1)
    each: Tensor = torch.special.entr(p)
    return each.sum(dim=1, keepdim=True)


def largest_entropy(p: Tensor) -> float:
    """That of pixels where all classes of (N, K, H, W) are as likely; K = 1 has two classes."""
    return math.log(max(2, p.shape[1]))


def pseudo_labels(p: Tensor, *, least: float = 0.0) -> Tensor:
    """The most probable class of each pixel, (N, H, W) uint8; a tie is background.

    Args:
        p: probabilities, (N, K, H, W); K = 1 is the foreground.
        least: where the class is less probable the pixel is `VOID`: ignored, not background.
    """
    if p.shape[1] == 1:
        foreground = p[:, 0]
        confidence, labels = torch.maximum(foreground, 1 - foreground), foreground > 0.5
    else:
        confidence, labels = p.max(dim=1)
    return labels.to(torch.uint8).masked_fill(confidence < least, VOID)


def only_where(shown: Tensor, y: Tensor) -> Tensor:
    """Labels (N, H, W) where `shown`, and `VOID` elsewhere."""
    return y.masked_fill(~shown, VOID)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Of each pixel, (N, H, W); 0 where it is `VOID`.

    Args:
        logits: (N, K, H, W), before sigmoid (K = 1, label > 0) or softmax.
        y: labels, (N, H, W) uint8.
    """
    logits, is_known = at_least_single(logits), y != VOID
    if logits.shape[1] == 1:
        truth = ((y > 0) & is_known).to(logits.dtype)
        each = F.binary_cross_entropy_with_logits(logits[:, 0], truth, reduction="none")
    else:
        each = F.cross_entropy(logits, y.masked_fill(~is_known, 0).long(), reduction="none")
    return each * is_known


def known_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Mean of `cross_entropy` over the pixels of the joint batch that are not `VOID`; 0-d."""
    return mean_where(y != VOID, cross_entropy(logits, y))

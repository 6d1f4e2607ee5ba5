"""The losses of equations 8 to 12 as pure functions; each returns a 0-d float32 tensor."""

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrans.precision import at_least_single
from segtrans.processes import joint_sum
from segtrans.tasks.base import VOID

_NO_PIXEL = 1e-16  # a mean over no pixel is 0


def dice_loss(y_seg: Tensor, y: Tensor, *, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice, pooled over all pixels of the joint batch (equation 8).

    Dice = (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth) for probabilities p and truth t. With
    several classes it is the mean over the foreground's.

    Args:
        y_seg: probabilities, (L, K, H, W) or (L, K, D, H, W) in [0, 1]; K = 1 is the foreground
            (label > 0), else one per class with the background first.
        y: labels, (L, H, W) or (L, D, H, W) uint8, below K when K > 1; `VOID` leaves a pixel out.
        smooth: added above and below.

    Returns:
        The loss, in [0, 1].
    """
    p, truth = at_least_single(y_seg), _foreground(y, y_seg.shape[1])
    # Without the background of several classes.
    p = p[:, -truth.shape[1] :] * (y != VOID).unsqueeze(1)
    loss: Tensor = 1 - soft_dice(p, truth, smooth).mean()
    return loss


def soft_dice(p: Tensor, truth: Tensor, smooth: float) -> Tensor:
    """Dice of each of K maps (L, K, ...), pooled over the joint batch: (K,)."""
    over = (0, *range(2, p.ndim))
    sums = torch.stack([(p * truth).sum(over), p.sum(over) + truth.sum(over)])
    overlap, total = joint_sum(sums).unbind()
    dice: Tensor = (2 * overlap + smooth) / (total + smooth)
    return dice


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of tensors of one shape (equations 9 to 11)."""
    return F.l1_loss(at_least_single(a), at_least_single(b))


def l1_outside(a: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """Mean of |a - b| over the joint batch's pixels that are not `VOID`; in masks it counts as 0.

    No equation of the paper: see `translation_masked`.

    Args:
        a: images, (L, C, H, W) or (L, C, D, H, W).
        b: likewise.
        y: labels, (L, H, W) or (L, D, H, W) uint8; 0 is the background.
    """
    difference = (at_least_single(a) - at_least_single(b)).abs().mean(dim=1)
    return mean_where(y != VOID, (y == 0) * difference)


def mean_where(counts: Tensor, values: Tensor) -> Tensor:
    """Mean of the values of the joint batch that count; 0 where none does.

    Args:
        counts: boolean, of the shape of the values.
        values: of any shape.
    """
    sums = joint_sum(torch.stack([(counts * values).sum(), counts.sum().to(values.dtype)]))
    mean: Tensor = sums[0] / (sums[1] + _NO_PIXEL)
    return mean


def mean_square(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference of tensors of one shape."""
    return F.mse_loss(at_least_single(a), at_least_single(b))


def hinge_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """What a discriminator minimises: E[max(0, 1 - real)] + E[max(0, 1 + fake)] (equation 12).

    Args:
        real_scores: of images of the domain, (N,).
        fake_scores: of translations into it, (M,), detached from the generator.
    """
    return F.relu(1 - real_scores).mean() + F.relu(1 + fake_scores).mean()


def hinge_generator(fake_scores: Tensor) -> Tensor:
    """What the generator minimises: -E[fake] of scores (M,) (equation 12)."""
    return -fake_scores.mean()


def _foreground(y: Tensor, n_channels: int) -> Tensor:
    """One boolean map per foreground class: (L, 1 or n_channels - 1, ...)."""
    if n_channels == 1:
        return ((y > 0) & (y != VOID)).unsqueeze(1)
    classes = torch.arange(1, n_channels, device=y.device, dtype=y.dtype)
    return y.unsqueeze(1) == classes.view(1, -1, *[1] * (y.ndim - 1))

"""The losses of several pathologies at a time, as pure functions (docs/several-pathologies.md).

What an image is known to show weighs in as 0 or 1; means are over all that counts in the joint
batch, and 0 where nothing does. All return 0-d float32 tensors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrans.objective.losses import l1, soft_dice
from segtrans.precision import at_least_single
from segtrans.processes import joint_sum, n_processes
from segtrans.tasks.base import VOID


def mean_of_some(values: Tensor, weights: Tensor) -> Tensor:
    """The mean over the first axis of what counts, (...), of values and weights (N, ...)."""
    count = joint_sum(weights.sum(dim=0)).clamp_min(1) / n_processes()
    return (values * weights).sum(dim=0) / count


def l1_of_some(a: Tensor, b: Tensor, weights: Tensor | None) -> Tensor:
    """Mean absolute difference of (N, K, ...), of the images and pathologies that count.

    Args:
        a: of N images and K pathologies.
        b: of the same shape.
        weights: (N, K), 0 or 1; None: all count.
    """
    if weights is None:
        return l1(a, b)
    differences = (at_least_single(a) - at_least_single(b)).abs().flatten(2).mean(dim=2)
    return mean_of_some(differences.flatten(), weights.flatten())


def dice_loss_of_each(y_seg: Tensor, y: Tensor, has_mask: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Equation 8 for each pathology that any image has a mask of; their mean.

    Args:
        y_seg: probabilities, (L, K, H, W) in [0, 1].
        y: masks, (L, H, W) uint8: bit k of pathology k; `VOID` leaves a pixel out.
        has_mask: (L, K), whether bit k of an image says anything.
        smooth: as in `dice_loss`.

    Returns:
        The loss, in [0, 1]; 0 where no image has a mask of anything.
    """
    n_maps = y_seg.shape[1]
    bits = torch.arange(n_maps, device=y.device, dtype=y.dtype).view(1, -1, 1, 1)
    is_known = (y != VOID).unsqueeze(1) & (has_mask > 0)[:, :, None, None]
    truth = ((y.unsqueeze(1) >> bits) & 1).bool() & is_known
    dice = soft_dice(at_least_single(y_seg) * is_known, truth, smooth)
    n_known = joint_sum(is_known.sum(dim=(0, 2, 3), dtype=torch.float32))
    counts = (n_known > 0).float()
    loss: Tensor = ((1 - dice) * counts).sum() / counts.sum().clamp_min(1)
    return loss


@dataclass(frozen=True)
class PresenceHinges:
    """Equation 12 for the 2K heads of D_P: K that say "shows k", then K that say "lacks k".

    Attributes:
        shows: (N, K), whether real image n is known to show k, 0 or 1.
        lacks: (N, K), whether it is known not to.
        inserted: (M, 1) int64, the pathology inserted into each image of A.
        removed: (N, 1) int64, the pathology removed from each image of P.
        is_left: (N,), whether that image was known to show it, and another one that it still shows.
    """

    shows: Tensor
    lacks: Tensor
    inserted: Tensor
    removed: Tensor
    is_left: Tensor

    def __call__(self, real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
        """What the discriminator minimises, and what the generator does.

        Args:
            real_scores: of x_P, (N, 2K).
            fake_scores: of x_AP, then of x_P without one pathology, (M + N, 2K).
        """
        n_pathologies = self.shows.shape[1]
        sizes = [len(self.inserted), len(self.removed)]
        fake_shows, fake_lacks = torch.split(fake_scores, sizes)
        inserted = fake_shows.gather(1, self.inserted).squeeze(1)
        removed = fake_lacks.gather(1, n_pathologies + self.removed).squeeze(1)
        weights = torch.cat([self.shows, self.lacks], dim=1)
        real = mean_of_some(F.relu(1 - real_scores), weights).view(2, -1).mean(dim=1).sum()
        fake = F.relu(1 + inserted).mean() + mean_of_some(F.relu(1 + removed), self.is_left)
        return real + fake, -inserted.mean() - mean_of_some(removed, self.is_left)

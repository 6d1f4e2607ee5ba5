"""FixMatch with UniMatch's two strong views and CutMix.

Sohn et al. 2020 (arXiv 2001.07685), equation 4, for every pixel; Yang et al. 2023 (UniMatch,
arXiv 2208.09910), equation 6 and section 3.3: two strong views of each unlabelled image. With the
hard labels y of the weak view, where they are 0.95 sure, and both views s after CutMix,

    L_pseudo = w(t) / 2 sum over s of the mean over ALL pixels of 1(max p(x) >= 0.95) CE(p(s), y)

Pixels below the threshold are ignored; they are not background. As in UniMatch V2 (arXiv
2410.10777) the labels are those of a teacher, a = min(1 - 1 / (t + 1), 0.996), which is scored, and
the supervised term weighs as much as L_pseudo.

Differs: w(t) is `ramp_up`, as SSL4MIS has it, over 40 % of the training. Without it, seven of
twelve trainings on digits were sure within 100 iterations that all is foreground, and stayed so.
Without the perturbed features of either version; CutMix pastes from the unlabelled image before in
the batch, not from a batch of its own; the strong view is `views.strong_view`; the weak view is the
image as the task changes it; a short training lowers `a` (`kept_share`).
"""

import torch
from torch import Tensor

from segtrans.batch import Batch
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Step, Terms, detached, probabilities
from segtrans.methods.semi_supervised import by_mask
from segtrans.methods.teacher import Taught
from segtrans.methods.views import cutmix_boxes, from_previous, strong_view
from segtrans.objective.losses import dice_loss
from segtrans.objective.unlabelled import RAMP_SHARE, cross_entropy, pseudo_labels, ramp_up

LEAST_CONFIDENCE = 0.95
_N_VIEWS = 2


class FixMatch(Taught):
    """A student that sees hard views, and the teacher that labels the easy one."""

    is_replayable = True
    decay = 0.996

    def update(self, batch: Batch, step: Step) -> Terms:
        """One step on the labelled images and two views of each other one."""
        images = by_mask(batch, segment_absent=self.segment_absent)
        terms: Terms = {}
        with step.engine.autocast():
            views, labels = self._views(images.unknown, step)
            logits = self.network(torch.cat([images.known, views]))
            known, strong = torch.split(logits, [len(images.known), len(views)])
            if len(images.known):
                terms["seg"] = dice_loss(probabilities(known), images.y)  # eq. 8
            if len(views):
                weight = ramp_up(step.iteration, RAMP_SHARE * self.n_iterations)
                terms["pseudo"] = weight * cross_entropy(strong, labels).mean()
        self.descend(terms, step)
        return detached(terms)

    @torch.no_grad()
    def _views(self, x: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Of images (U, C, H, W): strong views (2 U, C, H, W) and their labels (2 U, H, W)."""
        if len(x) == 0:
            return x, x.new_zeros((0, *x.shape[2:]), dtype=torch.uint8)
        labels = pseudo_labels(probabilities(self.teacher(x)), least=LEAST_CONFIDENCE)
        views, of_views = [], []
        for _ in range(_N_VIEWS):
            inside = cutmix_boxes(x, step.generator)
            views.append(from_previous(strong_view(x, step.generator), inside))
            of_views.append(from_previous(labels, inside[:, 0]))
        return torch.cat(views), torch.cat(of_views)


def build(config: RunConfig, generator: torch.Generator) -> FixMatch:
    """The method of a run configuration, its weights drawn from `generator`."""
    return FixMatch(config, generator)

"""Self-training: rounds, each on the labels that the network of the round before gives.

Lee 2013 ("Pseudo-Label"); Xie et al. 2020 (noisy student, arXiv 1911.04252); for segmentation Yang
et al. 2022 (ST++, arXiv 2106.05095), algorithm 1: train on the labelled images; let a copy of the
network, which then stays as it is, label the others; train on both, the latter changed strongly; so
again. A training is three rounds of equal length, the first on the labelled images alone. On
unlabelled images x, with the hard labels y of the copy for x itself and the view s,

    L_pseudo = mean over all pixels of CE(p(s), y)

Differs: the student goes on from its weights, and its optimiser from its moments, where a
publication starts each round anew; the first round is its own, not one of another method; all
images take part in every round, none is held back as unreliable (ST++); labels are made when an
image is drawn, which gives what labelling all at once would. The copy comes from the newest
weights, also where an average of them is scored.
"""

import torch
from torch import Tensor

from segtrans.batch import Batch
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Step, Terms, detached, probabilities
from segtrans.methods.semi_supervised import SemiSupervised, by_mask
from segtrans.methods.teacher import follow, teacher_of
from segtrans.methods.views import strong_view
from segtrans.objective.losses import dice_loss
from segtrans.objective.unlabelled import cross_entropy, pseudo_labels

N_ROUNDS = 3


class SelfTraining(SemiSupervised):
    """A student, and the copy of it that labelled images since the round began."""

    is_replayable = True
    only_labelled_share = 1 / N_ROUNDS

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__(config, generator)
        self.teacher = teacher_of(self.network)
        self.round_length = -(-self.n_iterations // N_ROUNDS)

    def update(self, batch: Batch, step: Step) -> Terms:
        """One step on labelled images and, from the second round on, on pseudo-labels."""
        goes_on = (step.iteration % self.round_length != 0).to(step.iteration.dtype)
        follow(self.teacher, self.network, goes_on)
        images = by_mask(batch, segment_absent=self.segment_absent)
        terms: Terms = {}
        with step.engine.autocast():
            views, labels = self._labelled(images.unknown, step)
            logits = self.network(torch.cat([images.known, views]))
            known, strong = torch.split(logits, images.sizes)
            if len(images.known):
                terms["seg"] = dice_loss(probabilities(known), images.y)  # eq. 8
            if len(views):
                is_later = (step.iteration >= self.round_length).to(step.iteration.dtype)
                terms["pseudo"] = is_later * cross_entropy(strong, labels).mean()
        self.descend(terms, step)
        return detached(terms)

    @torch.no_grad()
    def _labelled(self, x: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Strong views (U, C, H, W) of images and their labels (U, H, W) by the copy."""
        if len(x) == 0:
            return x, x.new_zeros((0, *x.shape[2:]), dtype=torch.uint8)
        labels = pseudo_labels(probabilities(self.teacher(x)))
        return strong_view(x, step.generator), labels


def build(config: RunConfig, generator: torch.Generator) -> SelfTraining:
    """The method of a run configuration, its weights drawn from `generator`."""
    return SelfTraining(config, generator)

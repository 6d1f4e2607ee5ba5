"""Cross pseudo supervision: two networks, each taught by what the other one sees.

Chen et al. 2021 (arXiv 2106.01226), equations 1 to 4, as SSL4MIS has it. On unlabelled images, with
the hard labels y_i of network i, through which no gradient flows,

    L_pseudo = w(t) [CE(p_1, y_2) + CE(p_2, y_1)]

beside the supervised term of each. w(t) is `ramp_up`; the published 0.1 = w(T) is lambda_pseudo
over lambda_seg.

Differs: labelled images have no cross term (SSL4MIS; the publication has it); both networks start
from Kaiming's weights, other draws of one generator (SSL4MIS: one from Xavier's); the ramp takes
40 % of the training; without CutMix. The first network is scored, as there.
"""

import torch

from segtrans.batch import Batch
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Step, Terms, detached, probabilities
from segtrans.methods.semi_supervised import Segmenter, SemiSupervised, by_mask
from segtrans.objective.losses import dice_loss
from segtrans.objective.unlabelled import RAMP_SHARE, cross_entropy, pseudo_labels, ramp_up


class CrossPseudoSupervision(SemiSupervised):
    """Two networks of one form."""

    is_replayable = True

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__(config, generator)
        self.other = Segmenter(config, generator)

    def update(self, batch: Batch, step: Step) -> Terms:
        """One step of both networks on all images."""
        images = by_mask(batch, segment_absent=self.segment_absent)
        x = torch.cat([images.known, images.unknown])
        terms: Terms = {}
        with step.engine.autocast():
            logits = [network(x) for network in (self.network, self.other)]
            (known, unknown), (known_2, unknown_2) = (torch.split(z, images.sizes) for z in logits)
            if len(images.known):
                terms["seg"] = dice_loss(probabilities(known), images.y)  # eq. 8
                terms["seg_2"] = dice_loss(probabilities(known_2), images.y)
            if len(images.unknown):
                weight = ramp_up(step.iteration, RAMP_SHARE * self.n_iterations)
                y, y_2 = (pseudo_labels(probabilities(z.detach())) for z in (unknown, unknown_2))
                terms["pseudo"] = weight * cross_entropy(unknown, y_2).mean()
                terms["pseudo_2"] = weight * cross_entropy(unknown_2, y).mean()
        self.descend(terms, step)
        return detached(terms)


def build(config: RunConfig, generator: torch.Generator) -> CrossPseudoSupervision:
    """The method of a run configuration, its weights drawn from `generator`."""
    return CrossPseudoSupervision(config, generator)

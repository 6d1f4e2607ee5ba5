"""Mean teacher: agree with the average of one's own past, whatever the noise.

Tarvainen and Valpola 2017 (arXiv 1703.01780), as SSL4MIS segments with it. On unlabelled images x,
p the student, p' the teacher and n noise,

    L_cons = w(t) mean (p(x) - p'(x + n))^2                     (their section 3, consistency cost)
    theta'_t = a theta'_(t-1) + (1 - a) theta_t, a = min(1 - 1 / (t + 1), 0.99)       (equation 1)

w(t) is 0 in the first thirtieth of the training and then `ramp_up`; n is N(0, 0.1^2) clipped to
+-0.2, on the teacher's input alone. The published 0.1 = w(T) is lambda_cons over lambda_seg.

Differs: the ramp takes 40 % of the training (30,000 iterations, all there are) and is smooth, not
one of steps of 150 iterations; images are in [-1, 1], not in [0, 1], so that n is half as strong; a
short training lowers `a` (`kept_share`). The teacher is scored.
"""

import torch
from torch import Tensor

from segtrans.batch import Batch
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Step, Terms, detached, probabilities
from segtrans.methods.semi_supervised import by_mask
from segtrans.methods.teacher import Taught
from segtrans.methods.views import noisy
from segtrans.objective.losses import dice_loss, mean_square
from segtrans.objective.unlabelled import RAMP_SHARE, ramp_up

DECAY = 0.99
_SILENT = 1 / 30  # 1,000 of 30,000 iterations


class MeanTeacher(Taught):
    """A student, and the teacher that averages its weights."""

    is_replayable = True
    only_labelled_share = _SILENT
    decay = DECAY

    def update(self, batch: Batch, step: Step) -> Terms:
        """One step on all images, after which the teacher follows."""
        images = by_mask(batch, segment_absent=self.segment_absent)
        terms: Terms = {}
        with step.engine.autocast():
            p = probabilities(self.network(torch.cat([images.known, images.unknown])))
            p_known, p_unknown = torch.split(p, images.sizes)
            if len(images.known):
                terms["seg"] = dice_loss(p_known, images.y)  # eq. 8
            if len(images.unknown):
                cost = self.consistency(p_unknown, images.unknown, step)
                terms["cons"] = consistency_weight(step.iteration, self.n_iterations) * cost
        self.descend(terms, step)
        return detached(terms)

    def consistency(self, p: Tensor, x: Tensor, step: Step) -> Tensor:
        """How far the student's p (U, K, H, W) of images x is from the teacher; 0-d."""
        return mean_square(p, self.taught(x, step))

    @torch.no_grad()
    def taught(self, x: Tensor, step: Step) -> Tensor:
        """The teacher's probabilities (U, K, H, W) of images with noise."""
        return probabilities(self.teacher(noisy(x, step.generator)))


def consistency_weight(iteration: Tensor, n_iterations: int) -> Tensor:
    """w(t) / w(T): nothing in the first thirtieth of a training, up to 1 after 40 % of it; 0-d."""
    is_on = (iteration >= _SILENT * n_iterations).to(iteration.dtype)
    return is_on * ramp_up(iteration, RAMP_SHARE * n_iterations)


def build(config: RunConfig, generator: torch.Generator) -> MeanTeacher:
    """The method of a run configuration, its weights drawn from `generator`."""
    return MeanTeacher(config, generator)

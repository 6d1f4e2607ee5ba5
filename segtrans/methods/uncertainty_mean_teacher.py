"""Uncertainty-aware mean teacher: agree only where the teacher is sure of itself.

Yu et al. 2019 (arXiv 1907.07034), equations 2 and 3, as SSL4MIS has it. The mean p of T = 8 noisy
passes of the teacher has the entropy u = -sum p log p at a pixel, and on unlabelled images

    L_cons = w(t) sum 1(u < H(t)) (p - p')^2 / sum 1(u < H(t))
    H(t) = (0.75 + 0.25 ramp_up(t, whole training)) log K

with the targets p' of one more noisy pass. log K is the largest entropy: log 2 as published and for
a sigmoid output, more for more classes.

Differs: as `mean_teacher`; and the networks have no dropout, so noise alone makes passes differ.
"""

import torch
from torch import Tensor

from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Step
from segtrans.methods.mean_teacher import MeanTeacher
from segtrans.objective.unlabelled import certain_mean_square, entropy, largest_entropy, ramp_up

N_PASSES = 8
_FIRST_SHARE = 0.75


class UncertaintyMeanTeacher(MeanTeacher):
    """A mean teacher that is asked nine times."""

    is_replayable = True

    def consistency(self, p: Tensor, x: Tensor, step: Step) -> Tensor:
        """How far the student's p (U, K, H, W) of images x is from the teacher; 0-d."""
        target = self.taught(x, step)
        mean = torch.stack([self.taught(x, step) for _ in range(N_PASSES)]).mean(dim=0)
        risen = ramp_up(step.iteration, self.n_iterations)
        most = (_FIRST_SHARE + (1 - _FIRST_SHARE) * risen) * largest_entropy(p)
        return certain_mean_square(p, target, entropy(mean), most)


def build(config: RunConfig, generator: torch.Generator) -> UncertaintyMeanTeacher:
    """The method of a run configuration, its weights drawn from `generator`."""
    return UncertaintyMeanTeacher(config, generator)

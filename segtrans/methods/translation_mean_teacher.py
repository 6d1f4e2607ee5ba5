"""The proposed method with a mean teacher on its segmentation.

To the objective of `translation` comes the consistency of `mean_teacher`, between the segmentation
of unlabelled images (equations 4 and 5) by the generator, and by its average for the same images
with noise. The teacher averages what segments: encoder, residual decoder, and the segmentation
decoder where that is separate. It is scored; translations are the generator's.

Nobody published it. The authors' code has the reverse, a baseline: their `mean teacher` weighs 0.01
against a segmentation of 1, on P alone, without noise or ramp, and has no translation.

The average of weights W_t that are divided by their largest singular values is divided by its own:
u and v are the teacher's, improved by one power iteration in each update.
"""

import torch
from torch import Tensor

from segtrans.batch import Batch
from segtrans.config.blocks import TrainingParams
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Step, Terms
from segtrans.methods.generator import Codes
from segtrans.methods.mean_teacher import DECAY, consistency_weight
from segtrans.methods.semi_supervised import by_mask
from segtrans.methods.teacher import follow, kept_share, teacher_of
from segtrans.methods.translation import Translation
from segtrans.methods.views import noisy
from segtrans.nets.convolution import SharedWeights
from segtrans.objective.losses import mean_square


class TranslationMeanTeacher(Translation):
    """The proposed method, and a teacher that averages what segments in it."""

    is_replayable = True

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__(config, generator)
        self.n_iterations = config.training.iterations
        self.teacher = teacher_of(self.generator)
        del self.teacher.common_decoder

    def update(self, batch: Batch, step: Step) -> Terms:
        """One update of the proposed method, after which the teacher follows."""
        terms = super().update(batch, step)
        kept = kept_share(step.iteration, decay=DECAY, n_iterations=self.n_iterations)
        follow(self.teacher, self.generator, kept)
        self.teacher_weights.spectrum.improve()
        return terms

    def segment(self, x: Tensor) -> Tensor:
        """Probabilities (N, K, H, W) in [0, 1] of images (N, C, H, W), by the teacher."""
        return self.teacher.segment(self.teacher.encode(x))

    def segmentation_terms(self, codes: Codes, batch: Batch, step: Step) -> Terms:
        """Equation 8, and how far the segmentation of unlabelled images is from the teacher's."""
        terms = super().segmentation_terms(codes, batch, step)
        x = by_mask(batch, segment_absent=self.segment_absent).unknown
        if len(x):
            p = self.generator.segment(codes.part(len(batch.y), len(x)))
            with torch.no_grad():
                taught = self.segment(noisy(x, step.generator))
            weight = consistency_weight(step.iteration, self.n_iterations)
            terms["cons"] = weight * mean_square(p, taught)
        return terms

    def prepare(self, training: TrainingParams) -> None:
        """As `translation`, and what the teacher's weights are divided by."""
        super().prepare(training)
        self.teacher_weights = SharedWeights(self.teacher)


def build(config: RunConfig, generator: torch.Generator) -> TranslationMeanTeacher:
    """The method of a run configuration, its weights drawn from `generator`."""
    return TranslationMeanTeacher(config, generator)

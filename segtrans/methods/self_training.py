"""Self-training: rounds, each on the labels that the network of the round before gives.

Lee 2013 ("Pseudo-Label"); Xie et al. 2020 (noisy student, arXiv 1911.04252); for segmentation Yang
et al. 2022 (ST++, arXiv 2106.05095), algorithm 1: train on the labelled images; let a copy of the
network, which then stays as it is, label the others; train on both, the latter changed strongly; so
again. A training is three rounds of equal length, the first on the labelled images alone. On
unlabelled images x, with the hard labels y of the copy for x itself and the view s,

    L_pseudo = mean over all pixels of CE(p(s), y)

With `training.first_round` the first round trains another method on the same batches, with networks
and an objective of its own; rates fall over all three rounds, if they do (`training.decay_from`).
It labels images in the second round, in which the student starts from random weights, as in each
round of ST++. Until the second round begins, it is what is scored.

Differs: the student goes on from its weights, and its optimiser from its moments, where a
publication starts each round anew (after another method's round, that is so of the third alone);
all images take part in every round, none is held back as unreliable (ST++); labels are made when an
image is drawn, which gives what labelling all at once would. The copy comes from the newest
weights, also where an average of them is scored.
"""

from typing import Self

import torch
from torch import Tensor
from torch.optim import Optimizer

from segtrans.batch import Batch
from segtrans.config.blocks import TrainingParams
from segtrans.config.catalogue import METHODS
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Step, Terms, amsgrad, detached, probabilities
from segtrans.methods.semi_supervised import SemiSupervised, by_mask
from segtrans.methods.teacher import follow, teacher_of
from segtrans.methods.views import strong_view
from segtrans.methods.weights import build_method
from segtrans.objective.losses import dice_loss
from segtrans.objective.unlabelled import cross_entropy, pseudo_labels

N_ROUNDS = 3


class SelfTraining(SemiSupervised):
    """A student, and the copy of it that labelled images since the round began.

    Attributes:
        first: the method that is trained in the first round; None: the student is.
        begun: first iteration of the round of the last update; only with `first`.
    """

    is_replayable = True
    only_labelled_share = 1 / N_ROUNDS
    begun: Tensor

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        round_length = -(-config.training.iterations // N_ROUNDS)
        of_first = config.first_round(round_length)
        # Drawn first: its weights are those of its own trainings, and the student's are others.
        first = None if of_first is None else build_method(of_first, generator)
        super().__init__(config, generator)
        self.teacher = teacher_of(self.network)
        self.round_length = round_length
        self.first = first
        if first is not None:
            self.is_replayable = first.is_replayable
            self.weights = {name: self.weights[name] for name in METHODS[config.method].weights}
            self.register_buffer("begun", torch.zeros((), dtype=torch.int64))
            self._segments_by_first = True

    def stage(self, iteration: int) -> int:
        """First iteration of the round, where rounds are different operations."""
        return 0 if self.first is None else iteration - iteration % self.round_length

    def is_idle(self, n_labelled: int, iteration: int) -> bool:
        """In the first round as the method that is trained in it."""
        if self.first is None:
            return super().is_idle(n_labelled, iteration)
        return self.stage(iteration) == 0 and self.first.is_idle(n_labelled, iteration)

    def update(self, batch: Batch, step: Step) -> Terms:
        """One step on labelled images and, from the second round on, on pseudo-labels."""
        if self.first is not None:
            self.begun.fill_(step.stage)
            if step.stage == 0:
                terms = self.first.update(batch, step)
                return {f"first_round.{name}": value for name, value in terms.items()}
        terms = {}
        goes_on = (step.iteration % self.round_length != 0).to(step.iteration.dtype)
        follow(self.teacher, self.network, goes_on)
        images = by_mask(batch, segment_absent=self.segment_absent)
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

    def segment(self, x: Tensor) -> Tensor:
        """Probabilities (N, K, H, W) in [0, 1] of images (N, C, H, W), of the newest round."""
        if self.first is not None and self._segments_by_first:
            return self.first.segment(x)
        return super().segment(x)

    def train(self, mode: bool = True) -> Self:
        """As any module; where it ends, it is settled once which network segments."""
        if self.first is not None and not mode:
            self._segments_by_first = not bool(self.begun)
        return super().train(mode)

    def prepare(self, training: TrainingParams) -> None:
        """Make the optimisers, once the networks are on their device."""
        if self.first is not None:
            self.first.prepare(training)
        super().prepare(training)

    def make_optimisers(self, training: TrainingParams) -> dict[str, Optimizer]:
        """The student's and, after it, those of the first round."""
        student = self.network.parameters()
        own = {"networks": amsgrad(student, rate=training.learning_rate, training=training)}
        of_first = self.first.optimisers if self.first is not None else {}
        return own | {f"first_round.{name}": optimiser for name, optimiser in of_first.items()}

    @torch.no_grad()
    def _labelled(self, x: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Strong views (U, C, H, W) of images and their labels (U, H, W), of the round before."""
        if len(x) == 0:
            return x, x.new_zeros((0, *x.shape[2:]), dtype=torch.uint8)
        if self.first is not None and step.stage == self.round_length:
            p = self.first.segment(x)
        else:
            p = probabilities(self.teacher(x))
        return strong_view(x, step.generator), pseudo_labels(p)


def build(config: RunConfig, generator: torch.Generator) -> SelfTraining:
    """The method of a run configuration, its weights drawn from `generator`."""
    return SelfTraining(config, generator)

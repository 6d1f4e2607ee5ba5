"""What the baselines share that learn from images without a mask: networks, images, the step.

They differ from `segmentation_only` in what they make of unlabelled images and in nothing else: the
networks are its encoder and decoder, the images and masks those of every method, the supervised
term is the Dice of equation 8 (the publications: half of Dice and cross entropy), the optimiser is
AMSGrad at one rate (SGD), and images are changed as the task says, not by flips and rotations of
their own.

Every one of them takes absence in two ways. As published, an image of A is one more unlabelled
image. With `labels.segment_absent` its mask is known to be empty: it joins the labelled images of
its batch, and is no unlabelled one. In a batch without a labelled image of P images of A count for
nothing then.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from segtrans.batch import Batch
from segtrans.config.blocks import TrainingParams
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import (
    Method,
    Step,
    Terms,
    amsgrad,
    probabilities,
    tables_of,
    with_empty,
)
from segtrans.nets.decoder import Decoder
from segtrans.nets.encoder import Encoder
from segtrans.objective.terms import weighted_total


class Segmenter(nn.Module):
    """The networks of `segmentation_only`: one encoder, one segmentation decoder."""

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__()
        task = config.definition
        tables = tables_of(config)
        self.encoder = Encoder.of(
            tables, config.n_input_channels, spectral_norm=False, generator=generator
        )
        self.decoder = Decoder.of(
            tables,
            tables.encoder_channels[-1],
            task.n_classes,
            long_skip="compress",
            spectral_norm=False,
            generator=generator,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Classes (N, K, H, W) of images (N, C, H, W), before sigmoid or softmax."""
        code, skips = self.encoder(x)
        logits: Tensor = self.decoder(code, skips)
        return logits


class ByMask(NamedTuple):
    """The images of a batch by whether their mask is known.

    Attributes:
        known: (M, C, H, W).
        y: their labels, (M, H, W) uint8, with `VOID` where nothing is known.
        unknown: (U, C, H, W); U is 0 where every image has a mask.
    """

    known: Tensor
    y: Tensor
    unknown: Tensor

    @property
    def sizes(self) -> list[int]:
        """M and U."""
        return [len(self.known), len(self.unknown)]


def by_mask(batch: Batch, *, segment_absent: bool) -> ByMask:
    """Labelled images of P and, if absence is known and P has any, those of A; and the others.

    Slots that hold no mask (`VOID` all over) stand among the known ones, and count for nothing.
    """
    x_P, x_A, y = batch.x_P, batch.x_A, batch.y
    n = len(y)
    if not segment_absent:
        return ByMask(x_P[:n], y, torch.cat([x_P[n:], x_A]))
    if n == 0:  # a Dice of empty masks alone would only ask for less
        return ByMask(x_A[:0], y, x_P)
    return ByMask(torch.cat([x_P[:n], x_A]), with_empty(y, len(x_A)), x_P[n:])


class SemiSupervised(Method):
    """A student, `network`, that learns from all images of a batch.

    Attributes:
        n_iterations: of the training, for ramps.
        only_labelled_share: of the training: at first, images without a mask teach nothing.
    """

    only_labelled_share: float = 0.0

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.weights = config.weights
        self.segment_absent = config.labels.segment_absent
        self.n_iterations = config.training.iterations
        self.network = Segmenter(config, generator)

    def descend(self, terms: Terms, step: Step) -> None:
        """Add the total to the terms, and go one step down."""
        terms["total"] = weighted_total(terms, self.weights)  # eq. 7
        optimiser = self.optimisers["networks"]
        optimiser.zero_grad()
        step.engine.backward(terms["total"])
        optimiser.step()

    def is_idle(self, n_labelled: int, iteration: int) -> bool:
        """Without a mask, as long as images without one teach nothing."""
        return n_labelled == 0 and iteration < self.only_labelled_share * self.n_iterations

    def segment(self, x: Tensor) -> Tensor:
        """Probabilities (N, K, H, W) in [0, 1] of images (N, C, H, W), by the network to score."""
        return probabilities(self.scored(x))

    @property
    def scored(self) -> nn.Module:
        """The network that is validated, scored and served."""
        return self.network

    def make_optimisers(self, training: TrainingParams) -> dict[str, Optimizer]:
        """One for all that is trained."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return {"networks": amsgrad(trained, rate=training.learning_rate, training=training)}

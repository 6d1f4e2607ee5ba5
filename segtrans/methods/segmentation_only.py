"""The fully supervised baseline: one encoder, one segmentation decoder (section 3.3)."""

import torch
from torch import Tensor
from torch.optim import Optimizer

from segtrans.batch import Batch
from segtrans.config.blocks import TrainingParams
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import (
    Method,
    Step,
    Terms,
    amsgrad,
    detached,
    known,
    probabilities,
    tables_of,
    with_empty,
)
from segtrans.nets.decoder import Decoder
from segtrans.nets.encoder import Encoder
from segtrans.objective.losses import dice_loss
from segtrans.objective.terms import weighted_total


class SegmentationOnly(Method):
    """Learns from images whose mask is known: labelled ones and, when asked for, those of A."""

    is_replayable = True

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__()
        task = config.definition
        tables = tables_of(config)
        self.weights = config.weights
        self.segment_absent = config.labels.segment_absent
        self.encoder = Encoder.of(
            tables, config.n_input_channels, spectral_norm=False, generator=generator
        )
        self.segmentation_decoder = Decoder.of(
            tables,
            tables.encoder_channels[-1],
            task.n_classes,
            long_skip="compress",
            spectral_norm=False,
            generator=generator,
        )

    def update(self, batch: Batch, step: Step) -> Terms:
        """One step on the labelled images; a batch without any changes nothing."""
        x_P, x_A, y = batch.x_P, batch.x_A, batch.y
        if len(y) == 0:
            return {}
        n_absent = len(x_A) if self.segment_absent else 0
        x = known(torch.cat([x_P, x_A]), len(y), n_absent)
        with step.engine.autocast():
            terms = {"seg": dice_loss(self.segment(x), with_empty(y, n_absent))}  # eq. 8
        terms["total"] = weighted_total(terms, self.weights)
        optimiser = self.optimisers["networks"]
        optimiser.zero_grad()
        step.engine.backward(terms["total"])
        optimiser.step()
        return detached(terms)

    def segment(self, x: Tensor) -> Tensor:
        """Probabilities (N, K, H, W) in [0, 1] of images (N, C, H, W)."""
        code, skips = self.encoder(x)
        return probabilities(self.segmentation_decoder(code, skips))

    def make_optimisers(self, training: TrainingParams) -> dict[str, Optimizer]:
        """One for all networks."""
        return {
            "networks": amsgrad(self.parameters(), rate=training.learning_rate, training=training)
        }


def build(config: RunConfig, generator: torch.Generator) -> SegmentationOnly:
    """The method of a run configuration, its weights drawn from `generator`."""
    return SegmentationOnly(config, generator)

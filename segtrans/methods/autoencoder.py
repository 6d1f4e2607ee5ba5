"""The semi-supervised baseline: segmentation, and reconstruction of every image (section 3.3)."""

import torch
from torch import Tensor
from torch.optim import Optimizer

from segtrans.batch import Batch
from segtrans.config.blocks import TrainingParams
from segtrans.config.catalogue import AutoencoderOptions, options_of
from segtrans.config.run_config import RunConfig
from segtrans.methods.asked_again import Keeps
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
from segtrans.objective.losses import dice_loss, l1, mean_square
from segtrans.objective.terms import weighted_total
from segtrans.precision import at_least_single
from segtrans.stacks import middle


class Autoencoder(Keeps, Method):
    """One encoder with two decoders; long skips go to the segmentation decoder only."""

    is_replayable = True

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__()
        task, options = config.definition, options_of(config.method, AutoencoderOptions)
        # Equation 9 without translation, or its square.
        self._error = mean_square if options.reconstruction == "squared" else l1
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
        # Long skips would make autoencoding trivial (section 3.4).
        self.reconstruction_decoder = Decoder.of(
            tables,
            tables.encoder_channels[-1],
            len(task.channels),
            long_skip="none",
            spectral_norm=False,
            generator=generator,
        )

    def update(self, batch: Batch, step: Step) -> Terms:
        """One step: reconstruct P and A, segment the images whose mask is known."""
        x, y, x_A = torch.cat([batch.x_P, batch.x_A]), batch.y, batch.x_A
        n_absent = len(x_A) if self.segment_absent else 0
        terms: Terms = {}
        with step.engine.autocast():
            code, skips = self.encoder(x)
            made = self._reconstruct(code, skips)
            terms["rec_x"] = self._error(middle(x, made.shape[1]), made)
            if len(y):
                of_known = [known(maps, len(y), n_absent) for maps in (code, *skips)]
                logits = self.segmentation_decoder(of_known[0], of_known[1:])
                terms["seg"] = dice_loss(probabilities(logits), with_empty(y, n_absent))  # eq. 8
        terms["total"] = weighted_total(terms, self.weights)
        optimiser = self.optimisers["networks"]
        optimiser.zero_grad()
        step.engine.backward(terms["total"])
        optimiser.step()
        return detached(terms)

    def segment(self, x: Tensor) -> Tensor:
        """Probabilities (N, K, H, W) in [0, 1] of images (N, C, H, W)."""
        code, skips = self.once(self._encode, x)
        return probabilities(self.segmentation_decoder(code, skips))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) passed through the bottleneck and back, in [-1, 1]."""
        return self._reconstruct(*self.once(self._encode, x))

    def make_optimisers(self, training: TrainingParams) -> dict[str, Optimizer]:
        """One for all networks."""
        return {
            "networks": amsgrad(self.parameters(), rate=training.learning_rate, training=training)
        }

    def _encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        made: tuple[Tensor, list[Tensor]] = self.encoder(x)
        return made

    def _reconstruct(self, code: Tensor, skips: list[Tensor]) -> Tensor:
        raw: Tensor = self.reconstruction_decoder(code, skips)
        return at_least_single(raw).tanh()


def build(config: RunConfig, generator: torch.Generator) -> Autoencoder:
    """The method of a run configuration, its weights drawn from `generator`."""
    return Autoencoder(config, generator)

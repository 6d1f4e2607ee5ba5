"""The proposed method: translation between presence and absence, equations 1 to 12.

The skip ablations and the separate segmentation decoder are values of two options.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from segtrans.batch import Batch
from segtrans.config.blocks import TrainingParams
from segtrans.config.catalogue import TranslationOptions, options_of
from segtrans.config.run_config import RunConfig
from segtrans.methods.adversary import judge
from segtrans.methods.base import (
    Engine,
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
from segtrans.methods.views import normal_like
from segtrans.nets.convolution import SharedWeights
from segtrans.nets.decoder import Decoder
from segtrans.nets.discriminator import MultiScaleDiscriminator
from segtrans.nets.encoder import Encoder
from segtrans.nets.residual_decoder import ResidualDecoder
from segtrans.objective.losses import dice_loss, l1
from segtrans.objective.terms import weighted_total
from segtrans.precision import at_least_single
from segtrans.stacks import middle, with_middle


class Codes(NamedTuple):
    """What the encoder makes of N images (equation 1).

    Attributes:
        c: common code, (N, common, h, w).
        u: unique code, (N, unique, h, w).
        skips: encoder maps for the long skips, from full resolution down.
    """

    c: Tensor
    u: Tensor
    skips: list[Tensor]

    def first(self, n: int) -> "Codes":
        """The codes of the first n images."""
        return self.with_masks(n, 0)

    def part(self, start: int, n: int) -> "Codes":
        """The codes of n images from one on."""
        c, u, *skips = (m[start : start + n] for m in (self.c, self.u, *self.skips))
        return Codes(c, u, skips)

    def with_masks(self, n_labelled: int, n_absent: int) -> "Codes":
        """Of codes of P and A together: those of the first and of the last images."""
        c, u, *skips = (known(m, n_labelled, n_absent) for m in (self.c, self.u, *self.skips))
        return Codes(c, u, skips)


class Images(NamedTuple):
    """The images of equations 2, 3 and 6, each (N, C, H, W)."""

    x_PA: Tensor
    x_PP: Tensor
    x_AA: Tensor
    x_AP: Tensor


class Generator(nn.Module):
    """Encoder, common and residual decoder, and the segmentation decoder when it is separate."""

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__()
        task, options = config.definition, options_of(config.method, TranslationOptions)
        tables = tables_of(config)
        latent = tables.encoder_channels[-1]
        self.n_unique = min(latent - 1, max(1, round(latent * config.networks.unique_fraction)))
        self.n_common = latent - self.n_unique
        long_skip, n_channels = options.long_skip, len(task.channels)
        self.encoder = Encoder.of(
            tables, config.n_input_channels, spectral_norm=True, generator=generator
        )
        self.common_decoder = Decoder.of(
            tables,
            self.n_common,
            n_channels,
            long_skip=long_skip,
            spectral_norm=True,
            generator=generator,
        )
        separate = options.segmentation_decoder == "separate"
        self.residual_decoder = ResidualDecoder(
            latent,
            tables.decoder_channels,
            n_channels,
            kernel_size=tables.residual_kernel,
            long_skip=long_skip,
            skip_channels=tables.encoder_channels[:-1],
            n_classes=None if separate else task.n_classes,
            segmentation_norm=task.segmentation_norm,
            image_size=(task.height, task.width),
            mlp_units=tables.mlp_units,
            generator=generator,
        )
        self.segmentation_decoder: Decoder | None = None
        if separate:
            self.segmentation_decoder = Decoder.of(
                tables,
                latent,
                task.n_classes,
                long_skip=long_skip,
                spectral_norm=False,
                generator=generator,
            )

    def encode(self, x: Tensor) -> Codes:
        """Equation 1."""
        code, skips = self.encoder(x)
        c, u = torch.split(code, [self.n_common, self.n_unique], dim=1)
        return Codes(c, u, skips)

    def common(self, codes: Codes) -> Tensor:
        """g_com of equation 2: images in [-1, 1] without the target, (N, C, H, W) float32."""
        raw: Tensor = self.common_decoder(codes.c, codes.skips)
        return at_least_single(raw).tanh()

    def residual(self, codes: Codes) -> Tensor:
        """g_res of equation 3: changes in [-1, 1] that add the target, (N, C, H, W) float32."""
        code = torch.cat([codes.c, codes.u], dim=1)
        return at_least_single(self.residual_decoder.translate(code, codes.skips)).tanh()

    def segment(self, codes: Codes) -> Tensor:
        """Equations 4 and 5: probabilities (N, K, H, W)."""
        code = torch.cat([codes.c, codes.u], dim=1)
        if self.segmentation_decoder is not None:
            return probabilities(self.segmentation_decoder(code, codes.skips))
        return probabilities(self.residual_decoder.segment(code, codes.skips))


class Translation(Method):
    """The paper's "Proposed", and its ablations by the options of the catalogue."""

    is_replayable = True

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__()
        task = config.definition
        self.weights = config.weights
        self.segment_absent = config.labels.segment_absent
        self.n_channels = len(task.channels)
        self.generator = Generator(config, generator)
        tables = tables_of(config)
        # One for each direction of translation, named by the domain that it judges.
        self.discriminators = nn.ModuleDict(
            {
                domain: MultiScaleDiscriminator(
                    self.n_channels, tables.discriminator_channels, generator=generator
                )
                for domain in ("A", "P")
            }
        )

    def update(self, batch: Batch, step: Step) -> Terms:
        """One discriminator step, then one generator step, both as one pass judged the images."""
        with self.generator_weights.normalised(update=True):
            with step.engine.autocast():
                terms, images = self._translate(batch, step)
            losses_D: Terms = {}
            if self.weights["lambda_adv"]:
                losses_D, adversarial = self._train_discriminators(batch, images, step.engine)
                terms |= adversarial
            terms["total"] = weighted_total(terms, self.weights)  # eq. 7
            optimiser = self.optimisers["generator"]
            optimiser.zero_grad()
            step.engine.backward(terms["total"])
            optimiser.step()
        return detached(terms | losses_D)

    def segment(self, x: Tensor) -> Tensor:
        """Probabilities (N, K, H, W) in [0, 1] of images (N, C, H, W)."""
        return self.generator.segment(self.generator.encode(x))

    def remove(self, x_P: Tensor) -> tuple[Tensor, Tensor]:
        """P to A: the image without its target x_PA and the residual delta_PA (eqs 2, 3)."""
        codes = self.generator.encode(x_P)
        return self.generator.common(codes), self.generator.residual(codes)

    def insert(self, x_A: Tensor, u_prior: Tensor) -> tuple[Tensor, Tensor]:
        """A to P: the image with a target x_AP and the residual delta_AP (eq. 6)."""
        codes = self.generator.encode(x_A)
        delta_AP = self.generator.residual(codes._replace(u=u_prior))
        return self.generator.common(codes) + delta_AP, delta_AP

    def sample_u(self, x_A: Tensor, generator: torch.Generator) -> Tensor:
        """Unique codes from the prior N(0, I) for images x_A: (N, unique, h, w)."""
        return normal_like(self.generator.encode(x_A).u, generator)

    def prepare(self, training: TrainingParams) -> None:
        """Make the optimisers and what shares weights, once the networks are on their device."""
        super().prepare(training)
        self.generator_weights = SharedWeights(self.generator)
        self.discriminator_weights = SharedWeights(self.discriminators)

    def make_optimisers(self, training: TrainingParams) -> dict[str, Optimizer]:
        """One for the generator, one for both discriminators with a rate of its own."""
        mlp = self.generator.residual_decoder.mlp_parameters()
        others = [p for p in self.generator.parameters() if all(p is not own for own in mlp)]
        generator = amsgrad(others, rate=training.learning_rate, training=training)
        if mlp:
            generator.add_param_group({"params": mlp, "lr": training.mlp_learning_rate})
        return {
            "generator": generator,
            "discriminators": amsgrad(
                self.discriminators.parameters(),
                rate=training.discriminator_learning_rate,
                training=training,
            ),
        }

    def segmentation_terms(self, codes: Codes, batch: Batch, step: Step) -> Terms:
        """Equation 8, from the codes of P and A together; nothing without a labelled image."""
        y = batch.y
        if len(y) == 0:
            return {}
        n_absent = len(batch.x_A) if self.segment_absent else 0
        y_seg = self.generator.segment(codes.with_masks(len(y), n_absent))  # eqs 4, 5
        return {"seg": dice_loss(y_seg, with_empty(y, n_absent))}

    def _translate(self, batch: Batch, step: Step) -> tuple[Terms, Images]:
        """Equations 1 to 6, and each term of 8 to 11. P and A pass each network together."""
        G, seen_P, seen_A = self.generator, batch.x_P, batch.x_A
        codes = G.encode(torch.cat([seen_P, seen_A]))  # eq. 1
        x_P, x_A = (middle(seen, self.n_channels) for seen in (seen_P, seen_A))
        sizes = [len(x_P), len(x_A)]
        (c_P, c_A), (u_P, u_A) = torch.split(codes.c, sizes), torch.split(codes.u, sizes)
        u_prior = normal_like(u_A, step.generator)
        x_PA, x_AA = torch.split(G.common(codes), sizes)  # eq. 2
        residuals = G.residual(codes._replace(u=torch.cat([u_P, u_prior])))
        delta_PA, delta_AP = torch.split(residuals, sizes)  # eqs 3, 6
        x_PP = x_PA + delta_PA  # eq. 3; not clipped
        x_AP = x_AA + delta_AP  # eq. 6

        made = ((seen_A, x_AP), (seen_P, x_PA), (seen_P, x_PP), (seen_A, x_AA))
        again = G.encode(torch.cat([with_middle(*pair) for pair in made]))  # eqs 6, 10
        sizes = [len(x_A), len(x_P), len(x_P), len(x_A)]
        c_AP, c_PA, c_PP, c_AA = torch.split(again.c, sizes)
        u_AP, _, u_PP, _ = torch.split(again.u, sizes)

        terms = {
            "rec_PP": l1(x_P, x_PP),  # eq. 9
            "rec_AA": l1(x_A, x_AA),
            "lat_c_PA": l1(c_P, c_PA),  # eq. 10
            "lat_c_AP": l1(c_A, c_AP),
            "lat_c_AA": l1(c_A, c_AA),
            "lat_c_PP": l1(c_P, c_PP),
            "lat_u_PP": l1(u_P, u_PP),
            "lat_u_AP": l1(u_prior, u_AP),
        }
        if self.weights["lambda_cyc"]:
            x_APA = G.common(again.first(len(x_A)))  # eq. 6
            terms["cyc_APA"] = l1(x_A, x_APA)  # eq. 11
        terms |= self.segmentation_terms(codes, batch, step)
        return terms, Images(x_PA, x_PP, x_AA, x_AP)

    def _train_discriminators(
        self, batch: Batch, images: Images, engine: Engine
    ) -> tuple[Terms, Terms]:
        """Train D_A on x_A and x_PA, D_P on x_P and x_AP; each side's terms of equation 12."""
        D = self.discriminators
        # Of stacks the slice in the middle: its neighbours would tell what was translated.
        x_P, x_A = (middle(seen, self.n_channels) for seen in (batch.x_P, batch.x_A))
        pairs = {"A": (x_A, images.x_PA), "P": (x_P, images.x_AP)}
        optimiser = self.optimisers["discriminators"]
        with self.discriminator_weights.normalised(update=True):
            with engine.autocast():
                verdicts = {domain: judge(D[domain], *pair) for domain, pair in pairs.items()}
            optimiser.zero_grad()
            engine.backward(verdicts["A"].scored + verdicts["P"].scored)
        optimiser.step()
        losses = {f"disc_{domain}": verdict.loss for domain, verdict in verdicts.items()}
        adversarial = {
            f"adv_{domain}": verdicts[domain].adversarial(fake)
            for domain, (_, fake) in pairs.items()
        }
        return losses, adversarial


def build(config: RunConfig, generator: torch.Generator) -> Translation:
    """The method of a run configuration, its weights drawn from `generator`."""
    return Translation(config, generator)

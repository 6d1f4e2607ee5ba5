"""The proposed method: translation between presence and absence, equations 1 to 12.

Other skips, a separate segmentation decoder and domain-aware discriminators are options; masks in
the translation are a weight, `lambda_keep`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from segtrans.batch import Batch
from segtrans.config.blocks import TrainingParams
from segtrans.config.catalogue import TranslationOptions, options_of
from segtrans.config.run_config import RunConfig
from segtrans.methods.adversary import Hinges, hinges, hinges_of_translations, judge
from segtrans.methods.base import (
    Engine,
    Method,
    Step,
    Terms,
    amsgrad,
    detached,
    tables_of,
    with_empty,
)
from segtrans.methods.generator import Codes, Generator
from segtrans.methods.views import normal_like
from segtrans.nets.convolution import SharedWeights
from segtrans.nets.discriminator import MultiScaleDiscriminator
from segtrans.objective.losses import dice_loss, l1, l1_outside
from segtrans.objective.terms import weighted_total
from segtrans.stacks import middle


class Images(NamedTuple):
    """The images of equations 2, 3 and 6, each (N, C, H, W).

    Of several pathologies `x_without` are images of P without one of those they show.
    """

    x_PA: Tensor
    x_PP: Tensor
    x_AA: Tensor
    x_AP: Tensor
    x_without: Tensor | None = None


class Translated(NamedTuple):
    """What equations 1 to 3 and 6 make of a batch.

    Attributes:
        codes: of x_P and then x_A.
        c_P: common codes of x_P, (N, common, h, w).
        c_A: of x_A.
        u_P: unique codes of x_P, (N, unique, h, w).
        u_prior: sampled for x_A, (N, unique, h, w).
        images: the translations.
        beside: what of the neighbours of x_P, then x_A, is encoded with their slices; None without
            neighbours.
        residuals: of several pathologies: of each for the images of P, K times (N, C, H, W).
    """

    codes: Codes
    c_P: Tensor
    c_A: Tensor
    u_P: Tensor
    u_prior: Tensor
    images: Images
    beside: Tensor | None
    residuals: list[Tensor] | None = None


class Judged(NamedTuple):
    """What a discriminator sees: images of its domain, (M, C, H, W), and fakes."""

    real: Tensor
    fake: Tensor
    sides: Hinges = hinges


class Translation(Method):
    """The paper's "Proposed", and its ablations by the options of the catalogue."""

    is_replayable = True

    def __init__(
        self, config: RunConfig, generator: torch.Generator, *, n_pathologies: int = 1
    ) -> None:
        super().__init__()
        task = config.definition
        self.weights = config.weights
        self.segment_absent = config.labels.segment_absent
        self.fakes = options_of(config.method, TranslationOptions).fakes
        self.n_channels = len(task.channels)
        self.generator = Generator(config, generator, n_pathologies)
        tables = tables_of(config)
        # One for each direction of translation, named by the domain that it judges.
        self.discriminators = nn.ModuleDict(
            {
                domain: MultiScaleDiscriminator(
                    self.n_channels,
                    tables.discriminator_channels,
                    generator=generator,
                    n_heads=n_heads,
                    n_dimensions=tables.n_dimensions,
                )
                for domain, n_heads in (("A", 1), ("P", heads_of_presence(n_pathologies)))
            }
        )

    def update(self, batch: Batch, step: Step) -> Terms:
        """One discriminator step, then one generator step, both as one pass judged the images.

        The discriminators learn before the translations are encoded again: their maps and those of
        the second encoding are the largest, and never live together.
        """
        optimiser = self.optimisers["generator"]
        optimiser.zero_grad()
        with self.generator_weights.normalised(update=True):
            with step.engine.autocast():
                translated = self._translate(batch, step)
            losses_D: Terms = {}
            adversarial: Terms = {}
            if self.weights["lambda_adv"]:
                losses_D, adversarial = self._train_discriminators(
                    batch, translated.images, step.engine
                )
            with step.engine.autocast():
                terms = self._terms(batch, step, translated) | adversarial
            terms["total"] = weighted_total(terms, self.weights)  # eq. 7
            step.engine.backward(terms["total"])
        optimiser.step()
        return detached(terms | losses_D)

    def realness(self, domain: str, x: Tensor) -> Tensor:
        """Scores (N,) that the discriminator of a domain, A or P, gives to images (N, C, H, W)."""
        scores: Tensor = self.discriminators[domain](x)
        return scores

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
        self.discriminator_weights = {
            domain: SharedWeights(network) for domain, network in self.discriminators.items()
        }

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

    def _translate(self, batch: Batch, step: Step) -> Translated:
        """Equations 1 to 3 and 6, without the codes of translations. P and A pass together."""
        G = self.generator
        codes, beside = self._encode(batch)
        sizes = [len(batch.x_P), len(batch.x_A)]
        (c_P, c_A), (u_P, u_A) = torch.split(codes.c, sizes), torch.split(codes.u, sizes)
        u_prior = normal_like(u_A, step.generator)
        x_PA, x_AA = torch.split(G.common(codes), sizes)  # eq. 2
        residuals = G.residual(codes._replace(u=torch.cat([u_P, u_prior])))
        delta_PA, delta_AP = torch.split(residuals, sizes)  # eqs 3, 6
        # x_PP of eq. 3 is not clipped, nor is x_AP of eq. 6.
        images = Images(x_PA, x_PP=x_PA + delta_PA, x_AA=x_AA, x_AP=x_AA + delta_AP)
        return Translated(codes, c_P, c_A, u_P, u_prior, images, beside)

    def _encode(self, batch: Batch) -> tuple[Codes, Tensor | None]:
        """Equation 1 of P and A together, and of their neighbours what is encoded once for all."""
        seen = torch.cat([batch.x_P, batch.x_A])
        beside = self.generator.beside(seen)
        return self.generator.encode(middle(seen, self.n_channels), beside), beside

    def _terms(self, batch: Batch, step: Step, translated: Translated) -> Terms:
        """The codes of translations, and each term of equations 8 to 11."""
        G, (codes, c_P, c_A, u_P, u_prior, images, beside, _) = self.generator, translated
        x_P, x_A = (middle(seen, self.n_channels) for seen in (batch.x_P, batch.x_A))
        if beside is not None:
            of_P, of_A = torch.split(beside, [len(x_P), len(x_A)])
            beside = torch.cat([of_A, of_P, of_P, of_A])
        made = torch.cat([images.x_AP, images.x_PA, images.x_PP, images.x_AA])
        again = G.encode(made, beside)  # eqs 6, 10
        sizes = [len(x_A), len(x_P), len(x_P), len(x_A)]
        c_AP, c_PA, c_PP, c_AA = torch.split(again.c, sizes)
        u_AP, _, u_PP, _ = torch.split(again.u, sizes)
        terms = {
            "rec_PP": l1(x_P, images.x_PP),  # eq. 9
            "rec_AA": l1(x_A, images.x_AA),
            "lat_c_PA": l1(c_P, c_PA),  # eq. 10
            "lat_c_AP": l1(c_A, c_AP),
            "lat_c_AA": l1(c_A, c_AA),
            "lat_c_PP": l1(c_P, c_PP),
            "lat_u_PP": self._unique_of_P(u_P, u_PP, batch),
            "lat_u_AP": self._unique_of_A(u_prior, u_AP),
        }
        if self.weights.get("lambda_keep") and (n := len(batch.y)):
            terms["keep_PA"] = l1_outside(images.x_PA[:n], x_P[:n], batch.y)
        if self.weights["lambda_cyc"]:
            x_APA = G.common(again.first(len(x_A)))  # eq. 6
            terms["cyc_APA"] = l1(x_A, x_APA)  # eq. 11
        return terms | self.segmentation_terms(codes, batch, step)

    def _unique_of_P(self, u_P: Tensor, u_PP: Tensor, batch: Batch) -> Tensor:
        """Of equation 10, how far unique codes are from those encoded again."""
        return l1(u_P, u_PP)

    def _unique_of_A(self, u_prior: Tensor, u_AP: Tensor) -> Tensor:
        """The same for codes that were sampled."""
        return l1(u_prior, u_AP)

    def _judged(self, batch: Batch, images: Images) -> dict[str, Judged]:
        """What D_A and D_P see: x_A and x_PA, x_P and x_AP."""
        # Of stacks the slice in the middle: its neighbours would tell what was translated.
        x_P, x_A = (middle(seen, self.n_channels) for seen in (batch.x_P, batch.x_A))
        if self.fakes == "translations":
            return {"A": Judged(x_A, images.x_PA), "P": Judged(x_P, images.x_AP)}
        return {
            "A": Judged(x_A, torch.cat([images.x_PA, x_P]), hinges_of_translations),
            "P": Judged(x_P, torch.cat([images.x_AP, x_A]), hinges_of_translations),
        }

    def _train_discriminators(
        self, batch: Batch, images: Images, engine: Engine
    ) -> tuple[Terms, Terms]:
        """Train both discriminators; each side's terms of equation 12."""
        optimiser = self.optimisers["discriminators"]
        optimiser.zero_grad()
        losses, adversarial = {}, {}
        for domain, seen in self._judged(batch, images).items():
            # One after the other: what the first one kept is free for the second.
            with self.discriminator_weights[domain].normalised(update=True):
                with engine.autocast():
                    verdict = judge(self.discriminators[domain], *seen)
                engine.backward(verdict.scored)
            losses[f"disc_{domain}"] = verdict.loss
            adversarial[f"adv_{domain}"] = verdict.adversarial(seen.fake)
        optimiser.step()
        return losses, adversarial


def heads_of_presence(n_pathologies: int) -> int:
    """Scores that D_P gives an image: of one target its presence.

    Of K targets whether it shows each of them, then whether it lacks each.
    """
    return 1 if n_pathologies == 1 else 2 * n_pathologies


def build(config: RunConfig, generator: torch.Generator) -> Translation:
    """The method of a run configuration, its weights drawn from `generator`."""
    return Translation(config, generator)

"""Several pathologies at a time: section 5 of the paper, as docs/several-pathologies.md has it.

The encoder gives a common code and one for each of K pathologies; an image is what the common code
is decoded to, and the residuals of the pathologies it shows. Of one pathology it is `translation`,
bit for bit. What the equations draw is one pathology for each image: which are inserted into A and
removed from P follows from the image's place in the batch, and batches are shuffled.
"""

from bisect import bisect_left
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from segtrans.batch import Batch
from segtrans.config.run_config import RunConfig
from segtrans.errors import UserError
from segtrans.methods.base import Step, Terms, known, with_empty
from segtrans.methods.generator import Codes
from segtrans.methods.translation import Images, Judged, Translated, Translation
from segtrans.methods.views import normal_like
from segtrans.objective.pathologies import PresenceHinges, dice_loss_of_each, l1_of_some
from segtrans.processes import joint_places, n_processes


class Residuals(NamedTuple):
    """What is added in one update.

    Attributes:
        of_P: of each pathology for every image of P: K times (N, C, H, W).
        of_A: of the one that is inserted into each image of A, (M, C, H, W).
    """

    of_P: list[Tensor]
    of_A: Tensor


class Shown(NamedTuple):
    """What images of P are known to show and to lack, (N, K) float32 each, 0 or 1."""

    shows: Tensor
    lacks: Tensor


class Pathologies(Translation):
    """The proposed method for the pathologies of a task, any number of them in an image."""

    is_replayable = True

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        n_pathologies = max(1, len(config.definition.pathologies))
        super().__init__(config, generator, n_pathologies=n_pathologies)
        self.n_pathologies = n_pathologies

    def remove(self, x_P: Tensor) -> tuple[Tensor, Tensor]:
        """Remove all: the image without any pathology, and the sum of all residuals."""
        without, residuals = self.decompose(x_P)
        return without, residuals.sum(dim=1)

    def insert(self, x_A: Tensor, u_prior: Tensor) -> tuple[Tensor, Tensor]:
        """Add all: the image with every pathology, and the sum of their residuals.

        Args:
            x_A: images (N, C, H, W).
            u_prior: unique codes of all pathologies side by side, as `sample_u` gives them.
        """
        codes = self.generator.encode(x_A)
        delta_AP = torch.stack(self.generator.residuals(codes._replace(u=u_prior))).sum(dim=0)
        return self.generator.common(codes) + delta_AP, delta_AP

    def insert_one(self, x: Tensor, u_prior: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Add pathology k to images that may show others, and the residual that did.

        Args:
            x: images (N, C, H, W).
            u_prior: as in `insert`.
            k: pathology, from 0.
        """
        G, codes = self.generator, self.generator.encode(x)
        residual = G.residual(G.of(codes._replace(u=u_prior), k), k)
        others = [G.residual(G.of(codes, j), j) for j in range(self.n_pathologies) if j != k]
        return sum(others, G.common(codes)) + residual, residual

    def decompose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) without any pathology, and the residual of each (N, K, C, H, W).

        The image without pathology k is the first and all residuals but the k-th.
        """
        codes = self.generator.encode(x)
        residuals = torch.stack(self.generator.residuals(codes), dim=1)
        return self.generator.common(codes), residuals

    def realness(self, domain: str, x: Tensor) -> Tensor:
        """As `Translation.realness`: for P of the head that finds its pathology most present."""
        scores: Tensor = self.discriminators[domain](x)
        return scores if scores.ndim == 1 else scores[:, : self.n_pathologies].amax(dim=1)

    def segmentation_terms(self, codes: Codes, batch: Batch, step: Step) -> Terms:
        """Equation 8 of each pathology, from the codes of P and A together."""
        if self.n_pathologies == 1:
            return super().segmentation_terms(codes, batch, step)
        y = batch.y
        if len(y) == 0:
            return {}
        n_absent = len(batch.x_A) if self.segment_absent else 0
        y_seg = self.generator.segment(codes.with_masks(len(y), n_absent))
        has_mask = y.new_ones((len(batch.x_P) + n_absent, self.n_pathologies))
        if batch.has_mask is not None and batch.t is not None:
            # The mask of what is known to be absent is known, and empty.
            of_P = torch.where(batch.t == 0, 1, batch.has_mask)
            has_mask = torch.cat([of_P, has_mask[len(of_P) :]])
        has_mask = known(has_mask, len(y), n_absent)
        return {"seg": dice_loss_of_each(y_seg, with_empty(y, n_absent), has_mask)}

    def _translate(self, batch: Batch, step: Step) -> Translated:
        """As `Translation._translate`, for each pathology."""
        G = self.generator
        codes, beside = self._encode(batch)
        sizes = [len(batch.x_P), len(batch.x_A)]
        (c_P, c_A), (u_P, u_A) = torch.split(codes.c, sizes), torch.split(codes.u, sizes)
        u_prior = normal_like(u_A[:, : G.n_unique], step.generator)
        x_PA, x_AA = torch.split(G.common(codes), sizes)
        residuals, shown = self._residuals(codes, u_P, u_prior), self._shown(batch)
        shares, x_without = None, None
        if shown is not None:
            shares = 1 - shown.lacks
            chosen = self._removed(len(x_PA), x_PA.device)
            x_without = _with(x_PA, residuals.of_P, shares * (1 - chosen))
        x_PP = _with(x_PA, residuals.of_P, shares)
        images = Images(x_PA, x_PP, x_AA, x_AA + residuals.of_A, x_without)
        return Translated(codes, c_P, c_A, u_P, u_prior, images, beside, residuals.of_P)

    def _terms(self, batch: Batch, step: Step, translated: Translated) -> Terms:
        """As `Translation._terms`, and that nothing is added of what is known to be absent."""
        terms = super()._terms(batch, step, translated)
        shown, of_P = self._shown(batch), translated.residuals
        if shown is not None and of_P is not None:
            of_each = torch.stack(of_P, dim=1)
            terms["rec_lacking"] = l1_of_some(of_each, torch.zeros_like(of_each), shown.lacks)
        return terms

    def _judged(self, batch: Batch, images: Images) -> dict[str, Judged]:
        """D_A as in `translation`; the heads of D_P see what was inserted, and what removed."""
        judged, shown = super()._judged(batch, images), self._shown(batch)
        if shown is None or images.x_without is None:
            return judged
        chosen = self._removed(len(images.x_PA), images.x_PA.device)
        is_left = (shown.shows * chosen).amax(dim=1) * (shown.shows * (1 - chosen)).amax(dim=1)
        bounds = self._bounds(len(images.x_AP))
        inserted = torch.cat(
            [chosen.new_full((stop - start, 1), k) for k, (start, stop) in enumerate(bounds)]
        ).long()
        sides = PresenceHinges(
            shows=shown.shows,
            lacks=shown.lacks,
            inserted=inserted,
            removed=chosen.argmax(dim=1, keepdim=True),
            is_left=is_left,
        )
        fake = torch.cat([images.x_AP, images.x_without])
        return judged | {"P": Judged(judged["P"].real, fake, sides)}

    def _residuals(self, codes: Codes, u_P: Tensor, u_prior: Tensor) -> Residuals:
        """Each pathology for all images of P, together with its share of the images of A."""
        G, n_P, n_A = self.generator, len(u_P), len(u_prior)
        of_P, of_A = [], []
        for k, (start, stop) in enumerate(self._bounds(n_A)):
            own = codes
            if self.n_pathologies > 1:
                own = codes.with_rows(n_P, n_P + start, n_P + stop)
            u = torch.cat([G.unique(u_P, k), u_prior[start:stop]])
            delta_PA, delta_AP = torch.split(G.residual(own._replace(u=u), k), [n_P, stop - start])
            of_P.append(delta_PA)
            of_A.append(delta_AP)
        return Residuals(of_P, torch.cat(of_A))

    def _bounds(self, n_A: int) -> list[tuple[int, int]]:
        """First and last but one image of A that gets each pathology; batches are shuffled."""
        # In the joint batch each has one part, and so it has in that of every process.
        n = n_A * n_processes()
        inserted = [place * self.n_pathologies // n for place in joint_places(n_A)]
        if len(set(inserted)) < self.n_pathologies:
            raise UserError(
                f"a batch of {n_A} images of A: one for each of {self.n_pathologies} pathologies "
                "is needed; raise training.batch_size"
            )
        ends = [bisect_left(inserted, k) for k in range(self.n_pathologies)]
        return list(pairwise([*ends, n_A]))

    def _removed(self, n_P: int, device: torch.device) -> Tensor:
        """Which pathology is removed from each image of P, (N, K) float32, a 1 in each row.

        By turns: labelled images stand first, so parts of the batch would not be alike.
        """
        places = joint_places(n_P)
        place = torch.arange(places.start, places.stop, places.step, device=device)[:, None]
        place = place % self.n_pathologies
        return (place == torch.arange(self.n_pathologies, device=device)).float()

    def _shown(self, batch: Batch) -> Shown | None:
        """What images of P show; None for one pathology, which all of them do."""
        if self.n_pathologies == 1:
            return None
        t = batch.t
        if t is None:
            shows = batch.x_P.new_ones((len(batch.x_P), self.n_pathologies))
            return Shown(shows, torch.zeros_like(shows))
        return Shown((t == 1).float(), (t == 0).float())

    def _unique_of_P(self, u_P: Tensor, u_PP: Tensor, batch: Batch) -> Tensor:
        """Distance of the unique codes of what is known to be shown."""
        shown = self._shown(batch)
        if shown is None:
            return super()._unique_of_P(u_P, u_PP, batch)
        shape = (len(u_P), self.n_pathologies, -1, *u_P.shape[2:])
        return l1_of_some(u_P.reshape(shape), u_PP.reshape(shape), shown.shows)

    def _unique_of_A(self, u_prior: Tensor, u_AP: Tensor) -> Tensor:
        """Distance of the unique codes of those that were inserted."""
        if self.n_pathologies > 1:
            groups = enumerate(self._bounds(len(u_AP)))
            u_AP = torch.cat([self.generator.unique(u_AP[i:j], k) for k, (i, j) in groups])
        return super()._unique_of_A(u_prior, u_AP)


def _with(x: Tensor, residuals: list[Tensor], weights: Tensor | None) -> Tensor:
    """Images and their residuals, of K pathologies those with a weight (N, K) of 1."""
    for k, residual in enumerate(residuals):
        x = x + (residual if weights is None else residual * weights[:, k, None, None, None])
    return x


def build(config: RunConfig, generator: torch.Generator) -> Pathologies:
    """The method of a run configuration, its weights drawn from `generator`."""
    return Pathologies(config, generator)

"""Bidirectional copy-paste: a block of labelled images into unlabelled ones, and the other way.

Bai et al. 2023 (BCP, arXiv 2305.00673), equations 2 to 8. M is 1 in a block of 2/3 of each side, at
a random place in each update. Of a labelled image x, y and an unlabelled image u, v, with the
teacher's labels v, the student sees

    x M + u (1 - M)   or   u M + x (1 - M)

and is told y where x shows and v where u does: L_seg over the former pixels, and over the latter
L_pseudo = 1 / 2 (Dice + CE), whose published 0.5 is lambda_pseudo over lambda_seg. The teacher
keeps 0.99 of itself, and is scored. In the first quarter of a training (10,000 of 40,000
iterations) the unlabelled image gives way to another labelled one with its mask, and both parts
weigh the same where lambda_pseudo is half of lambda_seg.

Differs: v is not reduced to its largest component, since lesions and digits have several, and
finding it would wait for the device; the supervised part is Dice alone; images of the smaller kind,
labelled or not, come again until there are as many as of the other; which image of a pair is pasted
goes by turns. A batch without labelled images pastes unlabelled ones, and does so after the first
quarter only; one without unlabelled images trains on these as they are. The pre-training is part of
the training, without an optimiser of its own.
"""

import torch
from torch import Tensor

from segtrans.batch import Batch
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Step, Terms, detached, probabilities
from segtrans.methods.semi_supervised import ByMask, by_mask
from segtrans.methods.teacher import Taught
from segtrans.methods.views import block
from segtrans.objective.losses import dice_loss
from segtrans.objective.unlabelled import known_cross_entropy, only_where, pseudo_labels

_PRE_TRAINING = 0.25
_PSEUDO_WEIGHT = 0.5  # published, of what a teacher labels; 1 in the pre-training


class CopyPaste(Taught):
    """A student that sees mixed images, and the teacher that labels one half of each."""

    is_replayable = True
    only_labelled_share = _PRE_TRAINING
    decay = 0.99

    def update(self, batch: Batch, step: Step) -> Terms:
        """One step on mixed images."""
        images = by_mask(batch, segment_absent=self.segment_absent)
        is_first = step.iteration < _PRE_TRAINING * self.n_iterations
        terms: Terms = {}
        with step.engine.autocast():
            if len(images.unknown):
                x, y, labels = self._mixed(images, is_first, step.generator)
                logits = self.network(x)
                p = probabilities(logits)
                cost = (dice_loss(p, labels) + known_cross_entropy(logits, labels)) / 2
                first = 1 / _PSEUDO_WEIGHT if len(images.known) else 0.0
                terms["pseudo"] = torch.where(is_first, first, 1.0) * cost
            else:
                p, y = probabilities(self.network(images.known)), images.y
            if len(images.known):
                terms["seg"] = dice_loss(p, y)  # eq. 8
        self.descend(terms, step)
        return detached(terms)

    @torch.no_grad()
    def _mixed(
        self, images: ByMask, is_first: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mixed images (n, C, H, W), true labels of one part and the teacher's of the other.

        Both are (n, H, W), and `VOID` in the part that is not theirs.
        """
        n = max(images.sizes)
        labels = pseudo_labels(probabilities(self.teacher(images.unknown)))
        u, v = _repeated(images.unknown, n), _repeated(labels, n)
        has_labels = len(images.known) > 0
        if has_labels:
            x, y = _repeated(images.known, n), _repeated(images.y, n)
            u = torch.where(is_first, x.roll(1, dims=0), u)
            v = torch.where(is_first, y.roll(1, dims=0), v)
        else:
            x, y = u.roll(1, dims=0), v.roll(1, dims=0)
        shows_x = block(u, generator) ^ _by_turns(n, generator)
        of_x = shows_x[:, 0]
        mixed = torch.where(shows_x, x, u)
        if not has_labels:
            return mixed, y, torch.where(of_x, y, v)
        return mixed, only_where(of_x, y), only_where(~of_x, v)


def _repeated(rows: Tensor, n: int) -> Tensor:
    """The first n of the rows, which come again and again."""
    times = -(-n // len(rows))
    return rows.repeat(times, *(1 for _ in rows.shape[1:]))[:n]


def _by_turns(n: int, generator: torch.Generator) -> Tensor:
    """True and false by turns, (n, 1, 1, 1), begun with either."""
    turns = torch.arange(n, device=generator.device) % 2 == 0
    return (turns ^ (torch.rand(1, generator=generator, device=generator.device) < 0.5)).view(
        -1, 1, 1, 1
    )


def build(config: RunConfig, generator: torch.Generator) -> CopyPaste:
    """The method of a run configuration, its weights drawn from `generator`."""
    return CopyPaste(config, generator)

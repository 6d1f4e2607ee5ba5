"""Equation 12 for both sides: a discriminator goes over its images once, there and back.

Samples do not meet in a discriminator. What the loss of either side hands back to an image is the
gradient of the image's score times a number, so one backward pass serves both: the discriminator's
weights, and the translations by which the generator learns.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from segtrans.objective.losses import hinge_discriminator, hinge_generator

# Where its hinge is flat a discriminator does not learn from a translation, yet the generator does:
# the translation then goes back with this weight. A power of two, so that dividing by it again is
# exact, and small enough to be lost in the rounding of the discriminator's gradients (where all are
# flat, a gradient of about 1e-12 in place of 0).
_UNLEARNT = 2.0**-40

# From scores of real images and of translations: what the discriminator and the generator minimise.
Hinges = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Verdict(NamedTuple):
    """What a discriminator makes of M real images and N translations.

    Attributes:
        loss: what the discriminator minimises, 0-d, detached.
        scored: where to go back from, 0-d; that gives the discriminator's weights the gradient of
            `loss`. Its value means nothing.
        images: real images, then translations, (M + N, C, ...): a leaf, which has a gradient then.
        value: what the generator minimises, 0-d, detached.
        factors: the gradient of `value` by each translation over that of `scored`, (N, 1, ...).
    """

    loss: Tensor
    scored: Tensor
    images: Tensor
    value: Tensor
    factors: Tensor

    def adversarial(self, fake: Tensor) -> Tensor:
        """`value` as a function of the translations, (N, C, H, W), after the way back.

        Raises:
            ValueError: nobody went back from `scored` yet.
        """
        if self.images.grad is None:
            raise ValueError("a verdict's adversarial term before the way back from `scored`")
        gradient = self.images.grad[-len(fake) :] * self.factors
        term: Tensor = _KnownGradient.apply(fake, self.value, gradient)  # type: ignore[no-untyped-call]
        return term


def hinges(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Equation 12 of one score an image: what a discriminator minimises, and what the generator."""
    return hinge_discriminator(real_scores, fake_scores), hinge_generator(fake_scores)


def hinges_of_translations(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """As `hinges`, where the second half of the fakes is real images of the other domain.

    The discriminator minimises E[max(0, 1 - D(x))] + E[max(0, 1 + D(x'))] / 2 +
    E[max(0, 1 + D(z))] / 2, of images x of its domain, translations x' and images z of the other
    domain, as many of each; the generator, of the translations alone, what it does in equation 12.
    """
    of_translations, _ = fake_scores.chunk(2)
    return hinge_discriminator(real_scores, fake_scores), hinge_generator(of_translations)


def judge(discriminator: nn.Module, real: Tensor, fake: Tensor, sides: Hinges = hinges) -> Verdict:
    """Score real images (M, C, H, W) and N translations; neither gets a gradient.

    Args:
        discriminator: gives a score to an image, or one for each of its heads.
        real: images of the domain.
        fake: translations, once or several times as many as there are real images.
        sides: what either side minimises, from the scores of both. Each translation is scored by
            one head, in both of them.
    """
    images = torch.cat([real, fake]).detach().requires_grad_()
    scores: Tensor = discriminator(images, n_sets=1 + len(fake) // len(real))
    sizes = [len(real), len(fake)]
    real_scores, fake_scores = (
        of_set.requires_grad_() for of_set in torch.split(scores.detach(), sizes)
    )
    loss, value = sides(real_scores, fake_scores)
    by_real, by_fake = torch.autograd.grad(loss, [real_scores, fake_scores], retain_graph=True)
    (of_generator,) = torch.autograd.grad(value, fake_scores)
    # Of several heads the generator asks one; a translation that counts nowhere asks none.
    by_fake = torch.where((by_fake == 0) & (of_generator != 0), _UNLEARNT, by_fake)
    scored = (scores * torch.cat([by_real, by_fake])).sum()
    wanted, had = (of.view(len(fake), -1).sum(dim=1) for of in (of_generator, by_fake))
    factors = torch.where(wanted == 0, wanted, wanted / had).view(-1, *[1] * (fake.ndim - 1))
    return Verdict(loss.detach(), scored, images, value.detach(), factors)


class _KnownGradient(torch.autograd.Function):
    """A value that depends on `fake` with a gradient that is known already."""

    @staticmethod
    def forward(ctx: Any, fake: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] * ctx.saved_tensors[0], None, None

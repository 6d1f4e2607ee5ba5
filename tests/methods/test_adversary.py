"""One way through a discriminator for both sides, against a way for each."""

import pytest
import torch

from segtrans.methods.adversary import judge
from segtrans.nets.discriminator import MultiScaleDiscriminator

N = 6


@pytest.fixture
def discriminator():
    network = MultiScaleDiscriminator(1, (4, 6, 8), generator=torch.Generator().manual_seed(1))
    return network.double()


def images(seed):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand((N, 1, 24, 24), generator=generator, dtype=torch.float64) - 1


def both_ways(discriminator, real, fake):
    """Losses, gradients of the weights and of the translations: a pass and a way back for each."""
    real_scores, fake_scores = discriminator(real), discriminator(fake.detach())
    loss = (1 - real_scores).clamp(min=0).mean() + (1 + fake_scores).clamp(min=0).mean()
    by_weights = torch.autograd.grad(loss, list(discriminator.parameters()))
    value = -discriminator(fake).mean()
    (by_fake,) = torch.autograd.grad(value, fake)
    return loss, by_weights, value, by_fake, fake_scores


@pytest.mark.parametrize("at", [0.0, -1.0, -50.0])
def test_gradients_of_both_sides_wherever_the_hinge_is_flat(discriminator, at):
    real, fake = images(2), images(3).requires_grad_()
    with torch.no_grad():
        shift = at - discriminator(fake).mean()
        for scale in discriminator.scales:
            scale.last.bias += shift
    loss, by_weights, value, by_fake, fake_scores = both_ways(discriminator, real, fake)
    n_flat = int((fake_scores < -1).sum())
    assert {0.0: n_flat == 0, -1.0: 0 < n_flat < N, -50.0: n_flat == N}[at]

    verdict = judge(discriminator, real, fake)
    verdict.scored.backward()
    term = verdict.adversarial(fake)
    (3 * term).backward()

    torch.testing.assert_close(verdict.loss, loss.detach())
    torch.testing.assert_close(term.detach(), value.detach())
    torch.testing.assert_close(fake.grad, 3 * by_fake, rtol=1e-12, atol=1e-15)
    assert by_fake.abs().max() > 0
    for parameter, gradient in zip(discriminator.parameters(), by_weights, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-10, atol=1e-11)


def test_the_translations_only_learn_after_the_way_back(discriminator):
    verdict = judge(discriminator, images(2), images(3))
    with pytest.raises(ValueError, match="before the way back"):
        verdict.adversarial(images(3))

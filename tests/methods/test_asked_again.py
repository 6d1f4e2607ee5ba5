"""What is asked of a method in a block of `inference`: the same numbers, each made once."""

import pytest
import torch

from segtrans.methods.asked_again import inference
from segtrans.methods.inference import outputs_of
from segtrans.nets.convolution import Convolution
from segtrans.nets.encoder import Encoder
from tests.methods.test_methods import make


def answers(method, x):
    """Segmentation, and translation or reconstruction, of a batch and then of another one."""
    found = []
    for images in (x, x.flip(0)):
        found.append(method.segment(images))
        if hasattr(method, "remove"):
            u_prior = method.sample_u(images, torch.Generator().manual_seed(0))
            found += [*method.remove(images), *method.insert(images, u_prior)]
        elif hasattr(method, "reconstruct"):
            found.append(method.reconstruct(images))
    return found


@pytest.mark.parametrize(
    ("name", "n_encoded"),
    [
        ("translation", 1),
        ("translation_separate", 1),
        ("translation_mean_teacher", 2),  # the teacher segments, the student translates
        ("autoencoder", 1),
        ("segmentation_only", 1),
    ],
)
def test_each_batch_is_encoded_once_and_the_numbers_are_the_same_bit_for_bit(name, n_encoded):
    method = make(name).eval()
    x = torch.rand((8, 1, 48, 48), generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = answers(method, x)
    encoded = []
    for module in method.modules():
        if isinstance(module, Encoder):
            module.register_forward_hook(lambda _, of, made: encoded.append(of[0]))
    with inference(method):
        found = answers(method, x)
    assert len(encoded) == 2 * n_encoded
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not any(a.requires_grad for a in found)


def test_nothing_is_kept_after_the_block_even_if_it_fails():
    method = make("translation").eval()
    x = torch.rand((2, 1, 48, 48), generator=torch.Generator().manual_seed(0))
    with pytest.raises(ZeroDivisionError), inference(method):
        before = method.segment(x)
        raise ZeroDivisionError
    assert method.generator.kept is None
    assert all(m.shared is None for m in method.modules() if isinstance(m, Convolution))
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.mul_(0.5)
    assert not torch.equal(method.segment(x), before)  # weights of now, codes of now


def test_a_panel_encodes_each_domain_once():
    method, encoded = make("translation").eval(), []
    method.generator.encoder.register_forward_hook(lambda *_: encoded.append(1))
    x = torch.rand((2, 1, 48, 48), generator=torch.Generator().manual_seed(0)).numpy()
    outputs_of(method, x, x[::-1].copy())
    assert len(encoded) == 2

import math

import numpy as np
import pytest
import torch
from torch import nn

from segtrans.methods.inference import lesion_probability
from segtrans.score.metrics import image_sums, split_scores
from segtrans.score.valid_fold import validate


class PassOn(nn.Module):
    """Its images are its probabilities."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def segment(self, x):
        return x * self.gain


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((7, 1, 5, 6), generator=generator)
    y = torch.randint(0, 2, (7, 5, 6), generator=generator, dtype=torch.uint8)
    return x, y


def test_it_is_the_headline_of_the_final_evaluation(data):
    x, y = data
    batches = [(x[:3], y[:3]), (x[3:6], y[3:6]), (x[6:], y[6:])]
    sums = image_sums(x[:, 0].numpy(), y.numpy(), threshold=0.5)
    expected = split_scores(sums, sums)["dice_soft_pooled"]
    assert validate(PassOn(), batches) == {"dice_soft_pooled": pytest.approx(expected, abs=1e-6)}


def test_every_lesion_class_counts(data):
    x, y = data
    assert validate(PassOn(), [(x, y * 3)]) == validate(PassOn(), [(x, y)])


def test_pixels_that_are_not_known_count_neither_way(data):
    x, y = data
    void = y.clone()
    void[:, :2] = 255
    score = validate(PassOn(), [(x, void)])
    assert score == {
        k: pytest.approx(v) for k, v in validate(PassOn(), [(x[..., 2:, :], y[:, 2:])]).items()
    }
    sums = image_sums(x[:, 0].numpy(), void.numpy(), threshold=0.5)
    cut = image_sums(x[:, 0, 2:].numpy(), y[:, 2:].numpy(), threshold=0.5)
    assert split_scores(sums, sums) == pytest.approx(split_scores(cut, cut))


def test_nothing_to_find_and_nothing_found_is_perfect():
    nothing = torch.zeros((2, 1, 4, 4))
    assert validate(PassOn(), [(nothing, nothing[:, 0].byte())]) == {"dice_soft_pooled": 1.0}


def test_what_is_not_a_number_is_no_perfect_score(data):
    x, y = data
    score = validate(PassOn(), [(x * float("nan"), y)])["dice_soft_pooled"]
    assert math.isnan(score)


def test_it_leaves_no_gradient(data):
    method = PassOn()
    assert not lesion_probability(method, data[0]).requires_grad


def test_softmax_probabilities_of_all_lesion_classes_are_summed():
    y_seg = torch.tensor([0.2, 0.5, 0.3]).reshape(1, 3, 1, 1)
    assert lesion_probability(PassOn(), y_seg).item() == pytest.approx(0.8)


def test_without_data_or_masks_there_is_no_score(data):
    with pytest.raises(ValueError, match="nothing to validate"):
        validate(PassOn(), [])
    with pytest.raises(ValueError, match="presence domain"):
        validate(PassOn(), [(data[0], None)])


def test_sums_are_kept_in_double_precision():
    x = torch.full((1, 1, 64, 64), 0.1)
    y = torch.zeros((1, 64, 64), dtype=torch.uint8)
    y[0, 0, 0] = 1
    p = float(np.float32(0.1))
    expected = 2 * p / (p * 64 * 64 + 1)
    assert validate(PassOn(), [(x, y)])["dice_soft_pooled"] == pytest.approx(expected, rel=1e-12)

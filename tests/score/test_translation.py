"""What translating does, against loops in NumPy and scikit-learn; measuring it is harmless."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from segtrans.config.run_record import TRANSLATION_FIGURES
from segtrans.methods.weights import build_method
from segtrans.score.evaluate import _scores_of_folds, score_method
from segtrans.score.translation import (
    TranslationTally,
    area_under_roc,
    measure_translation,
)
from segtrans.tasks.base import VOID
from tests.run_files import make_config

N_CHANNELS = 2


class MeanScore(nn.Module):
    """A discriminator that scores the mean of an image."""

    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def forward(self, x):
        return self.sign * x.mean(dim=(1, 2, 3))


class Translator(nn.Module):
    """Leaves a third of what is above 0.2; its residual is what is above 0, uneven."""

    def __init__(self, *, judges=True):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        if judges:
            discriminators = {"A": MeanScore(-1), "P": MeanScore(1)}
            self.realness = lambda domain, x: discriminators[domain](x)

    def segment(self, x):
        return x[:, :1].clamp(0, 1)

    def remove(self, x):
        return torch.where(x > 0.2, x / 3, x), x.clamp(0, 1) ** 2

    def insert(self, x, u_prior):
        return x + u_prior.mean(), x * 0

    def sample_u(self, x, generator):
        return torch.randn((len(x), 3, 2, 2), generator=generator)


class Silent(nn.Module):
    """Segments alone."""

    def segment(self, x):
        return x[:, :1].clamp(0, 1)


def made_up(seed=0, n=5):
    """Images (n, 2, 9, 8) and masks, with classes and unknown pixels; the target is brighter."""
    rng = np.random.default_rng(seed)
    y = rng.choice([0, 0, 0, 1, 2, VOID], size=(n, 9, 8)).astype(np.uint8)
    x = rng.uniform(-0.9, 0.6, size=(n, N_CHANNELS, 9, 8)).astype(np.float32)
    x[:, 1] += 0.3 * ((y > 0) & (y != VOID))
    return x, y


def batches(x, y=None):
    blocks = (slice(0, 2), slice(2, None))
    return [(torch.from_numpy(x[s]), None if y is None else torch.from_numpy(y[s])) for s in blocks]


def dice_of(chosen, y):
    """A loop over all pixels."""
    both = size = 0
    for c, label in zip(chosen.ravel(), y.ravel(), strict=True):
        if label == VOID:
            continue
        both += bool(c) and label > 0
        size += int(c) + int(label > 0)
    return 2 * both / size


def best_dice(values, y, low, high, *, both_sides=False):
    """Over a thousand thresholds, each by itself."""
    known = y != VOID
    target, v = (y > 0)[known], values[known]
    found = []
    for k in range(1000):
        cut = low + k * (high - low) / 1000
        found += [
            2 * (chosen & target).sum() / max(1, chosen.sum() + target.sum())
            for chosen in (v >= cut, v < cut)[: 1 + both_sides]
        ]
    return max(found)


def kept(x, after, y):
    """Sums pixel by pixel, from the median of the rest of each image and channel."""
    sums = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for image, made, mask in zip(x, after, y, strict=True):
        for before, now in zip(image, made, strict=True):
            rest = np.sort(before[mask == 0])
            usual = rest[(len(rest) - 1) // 2]
            for b, a, label in zip(before.ravel(), now.ravel(), mask.ravel(), strict=True):
                if label != VOID:
                    sums[label > 0][0] += float((b - usual) * (a - usual))
                    sums[label > 0][1] += float((b - usual) ** 2)
    return {region: top / bottom for region, (top, bottom) in sums.items()}


def test_every_figure_is_that_of_loops_over_pixels_and_thresholds():
    (x, y), (x_A, _) = made_up(), made_up(seed=1, n=4)
    found = measure_translation(Translator(), batches(x, y), batches(x_A))
    x_PA, delta = (t.numpy() for t in Translator().remove(torch.from_numpy(x)))
    residual, difference = np.abs(delta).mean(axis=1), np.abs(x - x_PA).mean(axis=1)
    assert found["dice_residual"] == pytest.approx(best_dice(residual, y, 0, 1), abs=1e-6)
    assert found["dice_difference"] == pytest.approx(best_dice(difference, y, 0, 2), abs=1e-6)
    intensity = max(best_dice(x[:, c], y, -1, 1, both_sides=True) for c in range(N_CHANNELS))
    assert found["dice_intensity"] == pytest.approx(intensity, abs=1e-6)
    stays = kept(x, x_PA, y)
    assert found["kept_target"] == pytest.approx(stays[True], rel=1e-5)
    assert found["kept_rest"] == pytest.approx(stays[False], rel=1e-5)
    scores_P, scores_A = x.mean(axis=(1, 2, 3)), x_A.mean(axis=(1, 2, 3))
    is_P = [1] * len(scores_P) + [0] * len(scores_A)
    scores = np.concatenate([scores_P, scores_A])
    assert found["disc_auc_P"] == pytest.approx(roc_auc_score(is_P, scores))
    assert found["disc_auc_A"] == pytest.approx(roc_auc_score(is_P, scores))  # both signs turned
    assert found["disc_score_P"] == pytest.approx(scores_P.mean(), abs=1e-6)
    assert found["disc_score_A"] == pytest.approx(-scores_A.mean(), abs=1e-6)
    assert found["disc_score_PA"] == pytest.approx(-x_PA.mean(), abs=1e-6)
    assert set(found) == set(TRANSLATION_FIGURES)


def test_the_thresholds_cut_where_they_say():
    """Applied by hand to the pixels of other images they give what `scores` gives."""
    (x, y), (x_test, y_test) = made_up(), made_up(seed=5)
    valid, test = (TranslationTally(Translator(), N_CHANNELS) for _ in range(2))
    valid.add_present(torch.from_numpy(x), torch.from_numpy(y))
    test.add_present(torch.from_numpy(x_test), torch.from_numpy(y_test))
    thresholds = valid.thresholds()
    scores = test.scores(thresholds)
    cut = thresholds["intensity"]
    assert (cut.channel, cut.is_above) == (1, True)  # where the target is brighter
    by_hand = dice_of(x_test[:, 1] >= np.float32(cut.value), y_test)
    assert scores["dice_intensity"] == pytest.approx(by_hand, abs=1e-6)
    residual = np.abs(Translator().remove(torch.from_numpy(x_test))[1].numpy()).mean(axis=1)
    by_hand = dice_of(residual >= thresholds["residual"].value, y_test)
    assert scores["dice_residual"] == pytest.approx(by_hand, abs=1e-6)
    own = test.scores(test.thresholds())
    assert all(own[f"dice_{name}"] >= scores[f"dice_{name}"] for name in thresholds)
    assert own != scores  # these images would have chosen others


def test_a_dark_target_is_found_below_a_threshold():
    x = np.ones((1, 1, 8, 8), np.float32) * 0.5
    y = np.zeros((1, 8, 8), np.uint8)
    y[0, 2:4, 2:4], x[0, 0, 2:4, 2:4] = 1, -0.5
    assert measure_translation(Translator(), batches(x, y), ())["dice_intensity"] == 1


def test_removing_the_target_alone_keeps_none_of_it_and_all_of_the_rest():
    class Oracle(Translator):
        def remove(self, x):
            return torch.where(x == 1, 0, x), (x == 1) * 1.0

    x = np.zeros((2, 1, 8, 8), np.float32)
    y = np.zeros((2, 8, 8), np.uint8)
    x[:, 0, 1:3, 1:3], x[:, 0, 5:7, 5:7], y[:, 1:3, 1:3] = 1, 0.9, 1
    found = measure_translation(Oracle(), [(torch.from_numpy(x), torch.from_numpy(y))], ())
    assert (found["dice_residual"], found["dice_difference"]) == (1, 1)
    assert (found["kept_target"], found["kept_rest"]) == (0, 1)


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_that_of_scikit_learn(ties):
    rng = np.random.default_rng(2)
    positive, negative = rng.normal(0.5, 1, 30), rng.normal(0, 1, 47)
    if ties:
        positive, negative = positive.round(), negative.round()
    expected = roc_auc_score([1] * 30 + [0] * 47, np.concatenate([positive, negative]))
    found = area_under_roc(torch.from_numpy(positive), torch.from_numpy(negative))
    assert found == pytest.approx(expected, abs=1e-12)


def test_methods_without_discriminators_or_translation_have_no_such_figures():
    (x, y), (x_A, _) = made_up(), made_up(seed=1)
    found = measure_translation(Translator(judges=False), batches(x, y), batches(x_A))
    assert set(found) == {name for name in TRANSLATION_FIGURES if not name.startswith("disc_")}
    assert measure_translation(Silent(), batches(x, y), batches(x_A)) == {}


def test_the_test_fold_is_cut_where_validation_was_best(make_store):
    sums = score_method(Translator(), make_store(), threshold=0.5, has_patients=False)
    valid, test = (sums[fold].translation for fold in ("valid", "test"))
    scores = _scores_of_folds(sums)
    for fold, tally in (("valid", valid), ("test", test)):
        expected = tally.scores(valid.thresholds())
        assert {name: scores[fold][name] for name in TRANSLATION_FIGURES} == expected


def test_measuring_changes_no_weight_and_draws_from_no_generator():
    method = build_method(make_config()).eval()
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    state = torch.get_rng_state()
    images, y = torch.rand(3, 1, 48, 48), torch.ones(3, 48, 48, dtype=torch.uint8)
    torch.set_rng_state(state)
    found = measure_translation(method, [(images, y)], [(images, None)])
    assert set(found) == set(TRANSLATION_FIGURES)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], now) for name, now in method.state_dict().items())
    assert all(p.grad is None for p in method.parameters())
    assert measure_translation(method, [(images, y)], [(images, None)]) == found

"""What each baseline makes of unlabelled images, against NumPy in float64, from the same draws."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from segtrans.batch import Batch
from segtrans.config.catalogue import METHODS
from segtrans.config.params import load_params, own_values
from segtrans.config.run_config import read_config, resolve_config
from segtrans.config.runs import read_run
from segtrans.errors import UserError
from segtrans.methods.base import plain_step
from segtrans.methods.copy_paste import CopyPaste
from segtrans.methods.mean_teacher import consistency_weight
from segtrans.methods.semi_supervised import by_mask
from segtrans.methods.views import block, cutmix_boxes, from_previous, noisy, strong_view
from segtrans.methods.weights import build_method
from segtrans.tasks.base import VOID
from tests.methods.test_methods import batch, changed, make, snapshot, translated
from tests.run_files import run_facts

SUPERVISED_SHARE = ["mean_teacher", "uncertainty_mean_teacher", "cross_pseudo_supervision"]
SUPERVISED_SHARE += ["fixmatch", "copy_paste", "self_training"]
T = 1000  # iterations of params.yaml


def in_double(name, **changes):
    """A method whose teacher is another network than its student."""
    method = make(name, **changes).double()
    generator = torch.Generator().manual_seed(7)
    for network in (method.network, getattr(method, "teacher", method.network)):
        network.decoder.last.weight.data *= 6  # so that some pixels are certain
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.data += 0.02 * noise
    return method


def data(n=4, n_labelled=2):
    x_P, x_A, y = batch(n=n, n_labelled=n_labelled)
    return Batch.of(x_P.double() * 2 - 1, x_A.double() * 2 - 1, y)


def foreground(network, x):
    """Its probabilities (N, H, W), as NumPy's."""
    with torch.no_grad():
        return 1 / (1 + np.exp(-network(x)[:, 0].numpy()))


def dice_loss(p, y):
    t = (y > 0) & (y != VOID)
    p = p * (y != VOID)
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def cross_entropy(p, y):
    each = -np.where(y > 0, np.log(p), np.log(1 - p))
    return np.where(y == VOID, 0, each)


def labels_of(p, least=0.0):
    return np.where(np.maximum(p, 1 - p) < least, VOID, p > 0.5)


def updated(method, batch_of, t, seed=3, stage=0):
    """Terms of an update, and the networks as they were before it."""
    before = copy.deepcopy(method)
    terms = method.update(batch_of, plain_step(torch.Generator().manual_seed(seed), t, stage))
    return {key: value.item() for key, value in terms.items()}, before


@pytest.mark.parametrize("min_channels", [1, 16])
def test_networks_are_those_of_the_supervised_baseline_to_the_last_bit(min_channels):
    overlay = {"networks": {"min_channels": min_channels}}
    params = load_params(Path(__file__).parents[2] / "params.yaml", overlay=overlay)
    methods = [
        build_method(resolve_config(params, task="mnist48_simple", method=name, init_seed=0))
        for name in ("segmentation_only", *SUPERVISED_SHARE)
    ]
    expected = list(methods[0].parameters())
    for method in methods[1:]:
        found = list(method.network.parameters())
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("segment_absent", [False, True])
@pytest.mark.parametrize("n_labelled", [0, 2, 4])
def test_images_go_where_their_masks_are_known(n_labelled, segment_absent):
    x_P, x_A, y = batch(n=4, n_labelled=n_labelled)
    images = by_mask(Batch.of(x_P, x_A, y), segment_absent=segment_absent)
    known, unknown = list(x_P[:n_labelled]), list(x_P[n_labelled:])
    if not segment_absent:
        unknown += list(x_A)
    elif n_labelled:
        known += list(x_A)
    assert images.sizes == [len(known), len(unknown)] == [len(images.y), len(unknown)]
    for found, expected in ((images.known, known), (images.unknown, unknown)):
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(images.y[:n_labelled], y)
    assert not images.y[n_labelled:].any()


@pytest.mark.parametrize("segment_absent", [False, True])
@pytest.mark.parametrize("name", SUPERVISED_SHARE[:4] + SUPERVISED_SHARE[5:])
def test_the_supervised_term_is_the_dice_of_images_whose_mask_is_known(name, segment_absent):
    method, batch_of = in_double(name, segment_absent=segment_absent), data()
    terms, before = updated(method, batch_of, t=500)
    images = by_mask(batch_of, segment_absent=segment_absent)
    p = foreground(before.network, images.known)
    assert terms["seg"] == pytest.approx(dice_loss(p, images.y.numpy()), rel=1e-9)
    weights = {"seg": 0.1, "seg_2": 0.1, **method.weights}
    other = method.weights.get("lambda_cons", method.weights.get("lambda_pseudo"))
    expected = sum(
        value * (weights["seg"] if key.startswith("seg") else other)
        for key, value in terms.items()
        if key != "total"
    )
    assert terms["total"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", SUPERVISED_SHARE)
@pytest.mark.parametrize(("n_labelled", "segment_absent"), [(0, False), (0, True), (4, True)])
def test_batches_without_labelled_or_without_other_images_train_too(
    name, n_labelled, segment_absent
):
    method = make(name, segment_absent=segment_absent)
    before = snapshot(method.network)
    terms, _ = updated(method, Batch.of(*batch(n=4, n_labelled=n_labelled)), t=500)
    assert ("seg" in terms) == (n_labelled > 0)
    assert any(key in terms for key in ("cons", "pseudo")) == (n_labelled == 0)
    assert changed(method.network, before)


SILENT = {
    **dict.fromkeys(("mean_teacher", "uncertainty_mean_teacher"), T / 30),
    "self_training": T / 3,
    "copy_paste": T / 4,
}


@pytest.mark.parametrize("name", SUPERVISED_SHARE)
def test_an_update_is_idle_where_no_term_of_it_weighs_anything(name):
    for t in (0, 20, 50, 249, 251, 333, 334, 900):
        method = make(name)
        terms, _ = updated(method, Batch.of(*batch(n=4, n_labelled=0)), t=t)
        assert method.is_idle(0, t) == (t < SILENT.get(name, 0))
        assert not method.is_idle(1, t)
        if name in SILENT:
            assert bool(terms["total"] == 0) == method.is_idle(0, t)


@pytest.mark.parametrize("t", [0, 33, 34, 200, 400, 999])
def test_the_consistency_is_silent_at_first_and_full_after_two_fifths(t):
    expected = 0 if t < T / 30 else math.exp(-5 * (1 - min(t / T, 0.4) / 0.4) ** 2)
    found = consistency_weight(torch.tensor(float(t)), T)
    assert float(found) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("t", [200, 700])
def test_uncertainty_aware_mean_teacher(t):
    method, batch_of = in_double("uncertainty_mean_teacher"), data()
    terms, before = updated(method, batch_of, t)
    x = torch.cat([batch_of.x_P[2:], batch_of.x_A])
    generator = torch.Generator().manual_seed(3)
    target, *passes = (foreground(before.teacher, noisy(x, generator)) for _ in range(9))
    mean = np.mean(passes, axis=0)
    u = -mean * np.log(mean) - (1 - mean) * np.log(1 - mean)
    H = (0.75 + 0.25 * math.exp(-5 * (1 - t / T) ** 2)) * math.log(2)
    mask = u < H
    assert 0 < mask.sum() < mask.size
    squares = (foreground(before.network, x) - target) ** 2
    ramp = math.exp(-5 * (1 - min(t / T, 0.4) / 0.4) ** 2)
    expected = ramp * (mask * squares).sum() / mask.sum()
    assert terms["cons"] == pytest.approx(expected, rel=1e-5)  # the ramps are in float32


@pytest.mark.parametrize("t", [10, 600])
def test_fixmatch_ignores_what_the_teacher_is_not_sure_of(t):
    method, batch_of = in_double("fixmatch"), data()
    terms, before = updated(method, batch_of, t)
    x = torch.cat([batch_of.x_P[2:], batch_of.x_A])
    labels = labels_of(foreground(before.teacher, x), least=0.95)
    assert len(np.unique(labels)) == 3
    generator, each = torch.Generator().manual_seed(3), []
    for _ in range(2):
        inside = cutmix_boxes(x, generator)
        view = from_previous(strong_view(x, generator), inside)
        mixed = np.where(inside[:, 0].numpy(), np.roll(labels, 1, axis=0), labels)
        each.append(cross_entropy(foreground(before.network, view), mixed).mean())
    ramp = math.exp(-5 * (1 - min(t / T, 0.4) / 0.4) ** 2)
    assert terms["pseudo"] == pytest.approx(ramp * np.mean(each), rel=1e-5)  # float32, the ramp


def test_self_training_labels_in_rounds():
    method, batch_of = in_double("self_training"), data()
    x = torch.cat([batch_of.x_P[2:], batch_of.x_A])
    assert method.round_length == 334
    terms, _ = updated(method, batch_of, t=333)
    assert terms["pseudo"] == 0  # the first round has labelled images alone
    teacher = snapshot(method.teacher)
    terms, before = updated(method, batch_of, t=400)  # within the second round
    assert changed(method.teacher, teacher) == set()
    labels = labels_of(foreground(before.teacher, x))
    view = strong_view(x, torch.Generator().manual_seed(3))
    expected = cross_entropy(foreground(before.network, view), labels).mean()
    assert terms["pseudo"] == pytest.approx(expected, rel=1e-6)
    _, before = updated(method, batch_of, t=668)  # the third one begins
    assert changed(method.teacher, snapshot(before.network)) == set()


FIRST_ROUNDS = [
    name for name, entry in METHODS.items() if name != "self_training" and not entry.tells_apart
]


@pytest.mark.parametrize("first", FIRST_ROUNDS)
def test_the_first_round_of_self_training_is_the_training_of_that_method(first):
    """As long as the round: to the last bit, with a ramp that ends in it."""
    method = make("self_training", first_round=first)
    alone = make(first, iterations=334)
    untrained, of_first = (
        snapshot(method.network),
        {
            tuple(parameter.flatten()[:4].tolist())
            for parameter in method.first.parameters()
            if parameter.ndim > 1
        },
    )
    for parameter in method.network.parameters():  # not the weights that its labels start from
        assert parameter.ndim == 1 or tuple(parameter.flatten()[:4].tolist()) not in of_first
    for t, n_labelled in ((0, 2), (150, 0), (333, 2)):
        batch_of = Batch.of(*batch(n=4, n_labelled=n_labelled, seed=t))
        assert method.is_idle(n_labelled, t) == alone.is_idle(n_labelled, t)
        expected, _ = updated(alone, batch_of, t)
        found, _ = updated(method, batch_of, t, stage=method.stage(t))
        assert found == {f"first_round.{term}": value for term, value in expected.items()}
    assert changed(method.first, snapshot(alone)) == set()
    assert changed(method.network, untrained) == set()
    method.eval()
    alone.eval()
    with torch.no_grad():
        assert torch.equal(method.segment(batch_of.x_A), alone.segment(batch_of.x_A))


@pytest.mark.parametrize("first", ["translation", "fixmatch"])
def test_later_rounds_of_self_training_learn_from_the_round_before(first):
    method, batch_of = in_double("self_training", first_round=first), data()
    x = torch.cat([batch_of.x_P[2:], batch_of.x_A])
    assert [method.stage(t) for t in (0, 333, 334, 667, 668, 999)] == [0, 0, 334, 334, 668, 668]
    for t in (400, 700):
        before_first = snapshot(method.first)
        terms, before = updated(method, batch_of, t, stage=method.stage(t))
        assert set(terms) == {"seg", "pseudo", "total"}
        assert changed(method.first, before_first) == set()
        with torch.no_grad():
            p = before.first.segment(x)[:, 0].numpy() if t < 668 else foreground(before.teacher, x)
        assert 0 < (p > 0.5).sum() < p.size
        view = strong_view(x, torch.Generator().manual_seed(3))
        expected = cross_entropy(foreground(before.network, view), labels_of(p)).mean()
        assert terms["pseudo"] == pytest.approx(expected, rel=1e-6)
        assert terms["total"] == pytest.approx(0.1 * (terms["seg"] + terms["pseudo"]), rel=1e-6)
        assert not method.is_idle(0, t)
        method.eval()
        assert np.allclose(foreground(method.network, x), method.segment(x)[:, 0].detach())
        method.train()
    _, before = updated(method, batch_of, t=668, stage=668)  # the third one begins
    assert changed(method.teacher, snapshot(before.network)) == set()


def test_a_first_round_is_part_of_what_self_training_is_and_of_nothing_else():
    params = load_params(
        Path(__file__).parents[2] / "params.yaml",
        overlay={"training": {"first_round": "translation"}},
    )
    plain = load_params(Path(__file__).parents[2] / "params.yaml")
    for name in METHODS:
        made, other = (
            resolve_config(of, task="mnist48_simple", method=name, init_seed=0)
            for of in (params, plain)
        )
        assert (made.identity == other.identity) == (name != "self_training")
    made = resolve_config(params, task="mnist48_simple", method="self_training", init_seed=0)
    assert read_config(made.to_json()) == made
    assert made.weights["first_round.lambda_adv"] == 3
    assert "first_round.lambda_adv" not in params.weights("self_training")
    alone = resolve_config(plain, task="mnist48_simple", method="translation", init_seed=0)
    assert made.first_round(1000) == alone
    with pytest.raises(UserError, match="first_round = translation: method mean_teacher has no"):
        read_config(made.to_json().replace('"self_training"', '"mean_teacher"'))


@pytest.mark.parametrize("first", FIRST_ROUNDS)
def test_a_run_of_any_first_round_can_be_read(tmp_path, first):
    """Versions of both methods are in its own, where either was raised alone."""
    overlay = {"training": {"first_round": first}}
    params = load_params(Path(__file__).parents[2] / "params.yaml", overlay=overlay)
    config = resolve_config(params, task="mnist48_simple", method="self_training", init_seed=0)
    assert read_config(config.to_json()) == config
    (tmp_path / "run.json").write_text(json.dumps(run_facts(config)))
    assert read_run(tmp_path).config == config


def test_a_variant_with_a_first_round_is_of_self_training_alone():
    def load(**variant):
        overlay = {
            "methods": ["self_training", "translation"],
            "variants": {"plain": {}, "other": {"training": {"first_round": "translation"}}},
        }
        overlay["variants"]["other"] |= variant
        return load_params(Path(__file__).parents[2] / "params.yaml", overlay=overlay)

    with pytest.raises(UserError, match="first_round: of no use to translation; give"):
        load()
    params = load(methods=["self_training"], objective={"autoencoder": {"lambda_seg": 3.0}})
    assert "variant other has values of its own" in "".join(own_values(params))
    assert "autoencoder" not in "".join(own_values(params))
    params = load(methods=["self_training"], objective={"translation": {"lambda_seg": 3.0}})
    assert "objective.translation.lambda_seg = 3.0" in "".join(own_values(params))


@pytest.mark.parametrize("name", ["self_training", "pathologies", "translatoin"])
def test_what_cannot_be_a_first_round_is_refused(name):
    with pytest.raises(UserError, match=f"first_round = {name}: allowed: null, segmentation_only"):
        load_params(
            Path(__file__).parents[2] / "params.yaml", overlay={"training": {"first_round": name}}
        )


@pytest.mark.parametrize("t", [100, 600])
@pytest.mark.parametrize(("n_labelled", "segment_absent"), [(3, False), (2, True), (0, False)])
def test_copy_paste_asks_each_part_for_its_own_labels(t, n_labelled, segment_absent):
    method = in_double("copy_paste", segment_absent=segment_absent)
    batch_of = data(n=4, n_labelled=n_labelled)
    terms, before = updated(method, batch_of, t)
    images = by_mask(batch_of, segment_absent=segment_absent)
    n = max(images.sizes)
    x_u = images.unknown.numpy()[np.arange(n) % len(images.unknown)]
    v = labels_of(foreground(before.teacher, torch.from_numpy(x_u)))
    if n_labelled:
        x_l = images.known.numpy()[np.arange(n) % len(images.known)]
        y = images.y.numpy()[np.arange(n) % len(images.y)]
        if t < T / 4:  # pre-training: pairs of labelled images
            x_u, v = np.roll(x_l, 1, axis=0), np.roll(y, 1, axis=0)
    else:
        x_l, y = np.roll(x_u, 1, axis=0), np.roll(v, 1, axis=0)
    generator = torch.Generator().manual_seed(3)
    inside = block(batch_of.x_P, generator).numpy()
    odd = torch.rand(1, generator=generator).item() < 0.5
    shows_l = np.stack([~inside[0] if (i % 2 == 0) != odd else inside[0] for i in range(n)])
    p = foreground(before.network, torch.from_numpy(np.where(shows_l, x_l, x_u)))
    of_l = shows_l[:, 0]
    if n_labelled:
        assert terms["seg"] == pytest.approx(dice_loss(p, np.where(of_l, y, VOID)), rel=1e-9)
        labels, factor = np.where(of_l, VOID, v), 2 if t < T / 4 else 1
    else:
        labels, factor = np.where(of_l, y, v), 0 if t < T / 4 else 1
    entropy = cross_entropy(p, labels).sum() / (labels != VOID).sum()
    expected = factor * (dice_loss(p, labels) + entropy) / 2
    assert terms["pseudo"] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_pair_is_pasted_either_way():
    """Of three labelled images each is now the ground and now the block."""
    method = make("copy_paste")
    assert isinstance(method, CopyPaste)
    images = by_mask(Batch.of(*batch(n=4, n_labelled=1)), segment_absent=False)
    areas = set()
    for seed in range(8):
        _, y, _ = method._mixed(images, torch.tensor(False), torch.Generator().manual_seed(seed))
        areas.add(int((y[0] != VOID).sum()))
    assert areas == {32 * 32, 48 * 48 - 32 * 32}


@pytest.mark.parametrize("t", [20, 200, 700])
@pytest.mark.parametrize("segment_absent", [False, True])
def test_a_mean_teacher_on_the_proposed_methods_segmentation(t, segment_absent):
    method = make("translation_mean_teacher", segment_absent=segment_absent)
    x_P, x_A, y = batch(n=4, n_labelled=2)
    with torch.no_grad():
        for parameter in method.teacher.parameters():
            parameter *= 1.1
    before = copy.deepcopy(method)
    step = plain_step(torch.Generator().manual_seed(3), t)
    with torch.no_grad():
        terms, _ = translated(method, Batch.of(x_P, x_A, y), step)
        generator = torch.Generator().manual_seed(3)
        before.sample_u(x_A, generator)  # drawn first
        x = x_P[2:] if segment_absent else torch.cat([x_P[2:], x_A])
        taught = before.segment(noisy(x, generator)).double().numpy()
        G = before.generator
        p = G.segment(G.encode(x)).double().numpy()
    ramp = 0 if t < T / 30 else math.exp(-5 * (1 - min(t / T, 0.4) / 0.4) ** 2)
    expected = ramp * ((p - taught) ** 2).mean()
    assert terms["cons"].item() == pytest.approx(expected, rel=1e-3, abs=1e-9)
    plain = make("translation", segment_absent=segment_absent)
    plain.load_state_dict(before.state_dict(), strict=False)
    with torch.no_grad():
        step = plain_step(generator.manual_seed(3))
        others, _ = translated(plain, Batch.of(x_P, x_A, y), step)
    assert {key: terms[key].item() for key in others} == pytest.approx(
        {key: value.item() for key, value in others.items()}, rel=1e-5
    )

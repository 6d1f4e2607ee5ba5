"""Training on the empty masks of absence images, and without the terms of a weight of zero."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from segtrans.batch import Batch
from segtrans.methods.base import plain_step
from tests.methods.test_methods import (
    TERMS,
    TRANSLATIONS,
    batch,
    changed,
    make,
    snapshot,
    translated,
    update,
)

BASELINES = ["segmentation_only", "autoencoder"]


def segmentation_term(method, data):
    """Of the weights as they are, before any step."""
    if hasattr(method, "discriminators"):
        with torch.no_grad():
            step = plain_step(torch.Generator().manual_seed(0))
            return translated(method.eval(), Batch.of(*data), step)[0]["seg"]
    return update(method, data)["seg"]


@pytest.mark.parametrize("name", [*BASELINES, *TRANSLATIONS])
def test_absence_images_are_empty_ones_among_the_labelled_images(name):
    method = make(name, segment_absent=True)
    x_P, x_A, y = batch(n=3, n_labelled=2)
    with torch.no_grad():
        single = [method.eval().segment(x[None])[0, 0].numpy() for x in (*x_P[:2], *x_A)]
    p, truth = np.stack(single), np.concatenate([y.numpy() > 0, np.zeros((3, 48, 48), bool)])
    dice = (2 * p[truth].sum() + 1) / (p.sum() + truth.sum() + 1)  # eq. 8 over all five
    assert float(segmentation_term(method, (x_P, x_A, y))) == pytest.approx(1 - dice, rel=1e-4)


@pytest.mark.parametrize("segment_absent", [False, True])
def test_segmentation_only_reads_absence_images_when_asked(segment_absent):
    one, other = (make("segmentation_only", segment_absent=segment_absent) for _ in range(2))
    (x_P, x_A, y), (_, other_A, _) = batch(), batch(seed=1)
    update(one, (x_P, x_A, y))
    update(other, (x_P, other_A, y))
    assert bool(changed(one, snapshot(other))) == segment_absent


@pytest.mark.parametrize("name", [*BASELINES, "translation"])
def test_without_a_labelled_image_absence_images_are_not_segmented(name):
    """A Dice of empty masks alone would only ask for less, and far louder than the others."""
    terms = update(make(name, segment_absent=True), batch(n_labelled=0))
    assert "seg" not in terms


@pytest.mark.parametrize("name", [*BASELINES, "translation"])
def test_a_void_slot_counts_for_nothing_beside_absence_images(name):
    x_P, x_A, y = batch(n=3, n_labelled=2)
    padded = torch.cat([y, torch.full_like(y[:1], 255)])
    two, three = (
        segmentation_term(make(name, segment_absent=True), (x_P, x_A, masks))
        for masks in (y, padded)
    )
    assert float(three) == pytest.approx(float(two), rel=1e-5)


def test_a_weight_of_zero_leaves_the_cycle_out():
    method = make("translation", weights={"lambda_cyc": 0.0, "lambda_seg": 10.0})
    terms = update(method, batch())
    assert set(terms) == TERMS["translation"] - {"cyc_APA"}
    v = {name: float(value) for name, value in terms.items()}
    latent = sum(value for name, value in v.items() if name.startswith("lat_"))
    images = 50 * (v["rec_PP"] + v["rec_AA"]) + 3 * (v["adv_A"] + v["adv_P"])
    assert v["total"] == pytest.approx(images + latent + 10 * v["seg"], rel=1e-5)


def test_a_weight_of_zero_leaves_the_discriminators_alone():
    method = make("translation", weights={"lambda_adv": 0.0})
    before = snapshot(method)
    terms = update(method, batch())
    assert set(terms) == TERMS["translation"] - {"adv_A", "adv_P", "disc_A", "disc_P"}
    moved = changed(method, before)
    assert moved
    assert not [name for name in moved if name.startswith("discriminators.")]
    assert all(p.grad is not None for p in method.generator.parameters())


@pytest.mark.parametrize("weight", ["lambda_cyc", "lambda_adv"])
def test_what_is_left_out_costs_nothing(weight):
    def flops(value):
        method = make("translation", weights={weight: value})
        with FlopCounterMode(display=False) as counter:
            update(method, batch())
        return counter.get_total_flops()

    assert flops(0.0) < 0.98 * flops(1.0)

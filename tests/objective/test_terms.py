"""Equation 7 in plain NumPy, and what it refuses."""

import numpy as np
import pytest
import torch

from segtrans.objective.terms import TERM_WEIGHTS, weighted_total

PAPER = {"lambda_adv": 3, "lambda_rec": 50, "lambda_lat": 1, "lambda_cyc": 50, "lambda_seg": 0.01}
TRANSLATION = [
    "rec_PP", "rec_AA", "lat_c_PA", "lat_c_AP", "lat_c_AA", "lat_c_PP", "lat_u_PP", "lat_u_AP",
    "cyc_APA", "adv_A", "adv_P", "seg",
]  # fmt: skip


def terms_of(names):
    values = np.random.default_rng(0).standard_normal(len(names))
    return {name: torch.tensor(value) for name, value in zip(names, values, strict=True)}


def test_equation_7():
    terms = terms_of(TRANSLATION)
    v = {name: value.item() for name, value in terms.items()}
    rec = v["rec_PP"] + v["rec_AA"]  # eq. 9
    lat = v["lat_c_PA"] + v["lat_c_AP"] + v["lat_c_AA"] + v["lat_c_PP"]  # eq. 10
    lat += v["lat_u_PP"] + v["lat_u_AP"]
    adv = v["adv_A"] + v["adv_P"]  # eq. 12
    expected = 0.01 * v["seg"] + 50 * rec + lat + 50 * v["cyc_APA"] + 3 * adv
    assert weighted_total(terms, PAPER).item() == pytest.approx(expected)


def test_autoencoder():
    terms = {"rec_x": torch.tensor(0.25), "seg": torch.tensor(0.5)}
    total = weighted_total(terms, {"lambda_rec": 2.0, "lambda_seg": 3.0})
    assert total.item() == pytest.approx(2.0)


def test_gradients_are_the_weights():
    terms = {name: value.requires_grad_() for name, value in terms_of(TRANSLATION).items()}
    weighted_total(terms, PAPER).backward()
    for name, value in terms.items():
        assert value.grad.item() == pytest.approx(PAPER[TERM_WEIGHTS[name]]), name


def test_a_batch_without_labels():
    terms = terms_of(TRANSLATION)
    without = {name: value for name, value in terms.items() if name != "seg"}
    difference = weighted_total(terms, PAPER) - weighted_total(without, PAPER)
    assert difference.item() == pytest.approx(0.01 * terms["seg"].item())


@pytest.mark.parametrize("missing", [name for name in TRANSLATION if name != "seg"])
def test_a_missing_term_is_an_error(missing):
    terms = terms_of(TRANSLATION)
    del terms[missing]
    with pytest.raises(ValueError, match=missing):
        weighted_total(terms, PAPER)


def test_the_term_of_a_weight_of_zero_may_be_missing():
    terms = terms_of(TRANSLATION)
    without = {name: value for name, value in terms.items() if name != "cyc_APA"}
    weights = PAPER | {"lambda_cyc": 0}
    expected = weighted_total(terms, weights).item()
    assert weighted_total(without, weights).item() == pytest.approx(expected)


@pytest.mark.parametrize("weight", PAPER)
def test_a_term_without_weight_is_an_error(weight):
    weights = {name: value for name, value in PAPER.items() if name != weight}
    with pytest.raises(ValueError, match=f"has no weight {weight}"):
        weighted_total(terms_of(TRANSLATION), weights)


def test_unknown_names_are_errors():
    one = torch.tensor(1.0)
    with pytest.raises(ValueError, match="unknown term mi"):
        weighted_total({"mi": one}, PAPER)
    with pytest.raises(ValueError, match="unknown weight lambda_mi"):
        weighted_total({"seg": one}, {"lambda_seg": 1, "lambda_mi": 1})


def test_both_kinds_of_reconstruction_are_an_error():
    terms = terms_of([*TRANSLATION, "rec_x"])
    with pytest.raises(ValueError, match="rec_PP, rec_AA or rec_x"):
        weighted_total(terms, PAPER)


def test_nothing_to_sum_is_an_error():
    with pytest.raises(ValueError, match="no terms"):
        weighted_total({}, {"lambda_seg": 1})

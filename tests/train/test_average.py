"""Averaged weights: their formula, what is kept of them, and that resuming changes nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from segtrans.methods.autoencoder import Autoencoder
from segtrans.train.average import WeightAverage
from tests.methods.singular_values import largest_singular_values
from tests.methods.test_methods import batch, make, snapshot, update
from tests.train.training import train


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens


def formula(values, decay):
    """The average after each of `values[1:]`, begun at `values[0]`."""
    average = values[0]
    for n, value in enumerate(values[1:], start=1):
        d = min(decay, n / (n + 9))
        average = d * average + (1 - d) * value
    return average


def test_the_average_is_that_of_the_formula():
    values = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    network = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(values[:1]))
        average = WeightAverage(network, 0.9)
        for n, value in enumerate(values[1:], start=1):
            network.weight.copy_(torch.from_numpy(value))
            average.add(network, n)
    with average.in_place(network):
        inside = network.weight.detach().clone()
    np.testing.assert_allclose(inside[0], formula(values, 0.9), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(network.weight.detach()[0], values[-1])


def test_without_a_decay_nothing_is_kept_or_changed():
    network = nn.Linear(3, 1)
    average = WeightAverage(network, 0.0)
    average.add(network, 1)
    before = network.weight.detach().clone()
    with average.in_place(network):
        assert torch.equal(network.weight, before)
    assert average.weights == {}


def test_the_average_is_kept_and_goes_on_when_a_training_is_resumed(
    tiny_data, make_config, monkeypatch
):
    seen, update = [], Autoencoder.update

    def noted(method, *args, **kwargs):
        if len(seen) == 5:  # the sixth update of the first training breaks off
            seen.append(None)
            raise KeyboardInterrupt
        terms = update(method, *args, **kwargs)
        seen.append(method.encoder.first.weight.detach().clone().double().numpy())
        return terms

    config = make_config("autoencoder", iterations=8, validate_every=2, average=0.8)
    monkeypatch.setattr(Autoencoder, "update", noted)
    with pytest.raises(KeyboardInterrupt):
        train(config, tiny_data, "broken")
    train(config, tiny_data, "broken")
    seen[:] = [None] * 6
    initial = {}
    prepare = Autoencoder.prepare

    def with_initial(method, training):
        initial["first"] = method.encoder.first.weight.detach().clone().double().numpy()
        prepare(method, training)

    monkeypatch.setattr(Autoencoder, "prepare", with_initial)
    train(config, tiny_data, "whole")
    for name in ("weights.safetensors", "weights_last.safetensors", "history.jsonl"):
        assert Path("broken", name).read_bytes() == Path("whole", name).read_bytes(), name
    last = load_file("whole/weights_last.safetensors")["encoder.first.weight"]
    expected = formula([initial["first"], *seen[6:]], 0.8)
    np.testing.assert_allclose(last, expected, rtol=1e-5, atol=1e-6)


def test_averaged_weights_with_a_spectral_norm_are_normalised_again():
    """By NumPy's largest singular value; afterwards nothing of the training has changed."""
    method = make("translation", learning_rate=0.03)
    average = WeightAverage(method, 0.9)
    for n in range(12):
        update(method, batch(seed=n), seed=n, iteration=n)
        average.add(method, n + 1)
    before = snapshot(method)
    own = largest_singular_values(method)
    with average.in_place(method):
        found = largest_singular_values(method)
        again = {key: tensor.clone() for key, tensor in method.state_dict().items()}
    assert len(found) > 10
    assert list(found.values()) == pytest.approx(np.ones(len(found)), abs=0.02)
    for key, tensor in method.state_dict().items():
        assert torch.equal(tensor, before[key]), key
    assert largest_singular_values(method) == own
    # What it is there for: over what the newest weights have, the average is not normalised.
    method.load_state_dict(again | {k: t for k, t in before.items() if k.endswith((".u", ".v"))})
    stale = np.array(list(largest_singular_values(method).values()))
    assert np.abs(stale - 1).max() > 0.02

"""Rates that fall towards the end: the formula, what they do, and that resuming changes nothing."""

from pathlib import Path

import pytest
import torch
from torch import nn

from segtrans.config.run_config import read_config
from segtrans.methods.base import amsgrad
from segtrans.methods.translation import Translation
from segtrans.train.rates import Rates
from tests.train.training import train


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens


class OneWeight(nn.Module):
    """A weight with an optimiser; its gradient is always 1, so AMSGrad's step is the rate."""

    def __init__(self, training):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.optimisers = {"networks": amsgrad(self.parameters(), rate=0.5, training=training)}


def test_the_steps_of_a_weight_are_those_of_falling_rates(make_config):
    """The first half whole, then 4, 3, 2 and 1 quarters."""
    training = make_config(
        "segmentation_only", iterations=8, validate_every=1, decay_from=0.5, weight_decay=0.0
    ).training
    method = OneWeight(training)
    rates, steps = Rates(method, training), []
    for iteration in range(8):
        rates.set(iteration)
        before = method.weight.item()
        method.weight.grad = torch.ones_like(method.weight)
        method.optimisers["networks"].step()
        steps.append((before - method.weight.item()) / 0.5)
    assert steps == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25], rel=1e-6)


def test_every_rate_of_a_method_falls_in_its_proportion(make_config):
    training = make_config(
        "translation",
        decay_from=0.0,
        learning_rate=0.04,
        mlp_learning_rate=0.02,
        discriminator_learning_rate=0.01,
    ).training
    method = Translation(make_config("translation"), torch.Generator())
    method.prepare(training)
    Rates(method, training).set(30)  # of 40
    rates = [
        group["lr"] for optimiser in method.optimisers.values() for group in optimiser.param_groups
    ]
    assert rates == pytest.approx([0.01, 0.005, 0.0025])


def test_a_training_that_goes_on_has_the_rates_that_it_would_have_had(
    tiny_data, make_config, monkeypatch
):
    config = make_config("translation", iterations=6, validate_every=2, decay_from=0.3)
    seen, update = [], Translation.update

    def noted(method, *args, **kwargs):
        if len(seen) == 5:  # the sixth update of the first training breaks off
            seen.append(None)
            raise KeyboardInterrupt
        seen.append(method.optimisers["discriminators"].param_groups[0]["lr"])
        return update(method, *args, **kwargs)

    monkeypatch.setattr(Translation, "update", noted)
    with pytest.raises(KeyboardInterrupt):
        train(config, tiny_data, "broken")
    train(config, tiny_data, "broken")
    seen[:] = [None] * 6
    train(config, tiny_data, "whole")
    rate = config.training.discriminator_learning_rate
    assert seen[6:] == pytest.approx([rate, rate, rate, rate * 3 / 4, rate * 2 / 4, rate / 4])
    for name in ("weights.safetensors", "weights_last.safetensors", "history.jsonl"):
        assert Path("broken", name).read_bytes() == Path("whole", name).read_bytes(), name


def test_constant_rates_leave_a_configuration_what_it_was_without_the_key(make_config):
    constant, falling = make_config("translation"), make_config("translation", decay_from=0.5)
    assert "decay_from" not in constant.to_json()
    assert constant.training.decay_from == 1
    for config in (constant, falling):
        assert read_config(config.to_json()) == config
    assert constant.identity != falling.identity

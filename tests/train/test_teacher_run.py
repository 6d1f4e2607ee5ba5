"""Trainings with unlabelled images: resumed to the last bit, and the teacher is what is kept.

And what an update costs, by what goes forward and back in it.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from segtrans.config.catalogue import METHODS
from segtrans.config.runs import read_run
from segtrans.methods.weights import build_method, load_method
from segtrans.train.budget.cost import cost_of_updates
from tests.train.training import kept, train

SEMI_SUPERVISED = [
    name for name, entry in METHODS.items() if {"lambda_cons", "lambda_pseudo"} & {*entry.weights}
]
IN_MOMENTS = {"mean_teacher", "self_training"}
N_ITERATIONS = 6


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in IN_MOMENTS else pytest.mark.slow)
        for name in SEMI_SUPERVISED
    ],
)
def test_a_training_that_was_broken_off_ends_the_same(tiny_data, make_config, monkeypatch, name):
    """Ramps, rounds and draws depend on the iteration alone, and a teacher is in the checkpoint."""
    config = make_config(name, iterations=N_ITERATIONS, validate_every=2, average=0.8)
    cls = type(build_method(config))
    update, n_updates = cls.update, []

    def broken(method, *arguments):
        n_updates.append(1)
        if len(n_updates) == 4:  # two iterations after the last checkpoint but one
            raise KeyboardInterrupt
        return update(method, *arguments)

    monkeypatch.setattr(cls, "update", broken)
    with pytest.raises(KeyboardInterrupt):
        train(config, tiny_data, "broken")
    assert kept("checkpoints-broken")["iteration"] == 2
    train(config, tiny_data, "broken")
    assert len(n_updates) == 4 + N_ITERATIONS - 2
    train(config, tiny_data, "whole")
    for file in ("weights.safetensors", "weights_last.safetensors", "history.jsonl"):
        assert Path("broken", file).read_bytes() == Path("whole", file).read_bytes(), file
    weights, checkpoint = load_file("whole/weights_last.safetensors"), kept("checkpoints-whole")
    teachers = {key for key in weights if key.startswith("teacher.")}
    assert bool(teachers) == (name != "cross_pseudo_supervision")
    assert all(torch.equal(weights[key], checkpoint["method"][key]) for key in teachers)
    assert not teachers & set(checkpoint["average"])
    served = load_method(read_run(Path("whole")), which="last")
    assert served.segment(torch.zeros(2, 1, 48, 48)).shape == (2, 1, 48, 48)


def with_labels(config, **labels):
    return config.model_copy(update={"labels": config.labels.model_copy(update=labels)})


def supervised_flops(config, n):
    """Of an update of the supervised baseline on n images."""
    return cost_of_updates(config("segmentation_only", batch_size=n), n).flops


def forward_flops(config, n):
    """Of one pass of the network that segments."""
    method = build_method(config)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        method.segment(torch.zeros(n, 1, 48, 48))
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("name", "trained", "taught", "segment_absent"),
    # Images that networks are trained on and that a teacher sees, of M known and U unknown ones.
    [
        ("mean_teacher", lambda m, u: [m + u], lambda u: [u], False),
        ("uncertainty_mean_teacher", lambda m, u: [m + u], lambda u: [u] * 9, True),
        ("cross_pseudo_supervision", lambda m, u: [m + u, m + u], lambda u: [], False),
        ("fixmatch", lambda m, u: [m + 2 * u], lambda u: [u], False),
        ("copy_paste", lambda m, u: [max(m, u)], lambda u: [u], True),
        ("self_training", lambda m, u: [m + u], lambda u: [u], False),
    ],
)
def test_an_update_costs_its_passes_and_no_more(make_config, name, trained, taught, segment_absent):
    size, per_batch = 8, 3
    config = with_labels(
        make_config(name, batch_size=size), per_batch=per_batch, segment_absent=segment_absent
    )
    m = per_batch + (size if segment_absent else 0)
    u = 2 * size - m
    expected = sum(supervised_flops(make_config, n) for n in trained(m, u))
    expected += sum(forward_flops(config, n) for n in taught(u))
    assert cost_of_updates(config, per_batch).flops == pytest.approx(expected, rel=0.02)


@pytest.mark.slow
def test_only_the_proposed_methods_teacher_takes_more_than_the_proposed_method(make_config):
    """Whose memory is what the scheduler is told."""
    peaks = {
        name: cost_of_updates(make_config(name, batch_size=8), 1).peak_bytes
        for name in ("translation", "translation_mean_teacher", "cross_pseudo_supervision")
    }
    translation = peaks["translation"]
    assert translation < peaks["translation_mean_teacher"] < 1.3 * translation  # few images
    assert peaks["cross_pseudo_supervision"] < 0.7 * translation

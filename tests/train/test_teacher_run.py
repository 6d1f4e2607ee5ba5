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
    ("name", "first_round"),
    [
        pytest.param(name, None, marks=[] if name in IN_MOMENTS else pytest.mark.slow)
        for name in SEMI_SUPERVISED
    ]
    + [("self_training", "mean_teacher")],
)
def test_a_training_that_was_broken_off_ends_the_same(
    tiny_data, make_config, monkeypatch, name, first_round
):
    """Ramps, rounds and draws depend on the iteration alone, and a teacher is in the checkpoint."""
    training = {"validate_every": 2, "average": 0.8, "first_round": first_round}
    config = make_config(name, iterations=N_ITERATIONS, **training)
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


def test_an_average_begins_anew_with_each_round(tiny_data, make_config):
    """Or the student's would hold the random weights that it had while another was trained."""
    training = {"validate_every": 3, "average": 0.999, "first_round": "autoencoder"}
    config = make_config("self_training", iterations=30, **training)
    train(config.model_copy(), tiny_data, "run")
    checkpoint = kept("checkpoints-run")
    assert int(checkpoint["method"]["begun"]) == 20
    untrained = build_method(config).state_dict()
    for name, average in checkpoint["average"].items():
        newest = checkpoint["method"][name]
        if name.startswith("first."):  # has not changed for twenty updates
            torch.testing.assert_close(average, newest, rtol=1e-6, atol=1e-7)
        elif newest.ndim > 1:
            moved = (newest - untrained[name]).norm()
            assert (average - newest).norm() < 0.5 * moved, name


def test_self_training_serves_the_network_of_the_round_that_was_best(
    tiny_data, make_config, monkeypatch
):
    scores = iter([0.1, 0.5, 0.2, 0.3])
    monkeypatch.setattr(
        "segtrans.train.loop.validate", lambda *_: {"dice_soft_pooled": next(scores)}
    )
    training = {"validate_every": 2, "average": 0.8, "first_round": "autoencoder"}
    train(make_config("self_training", iterations=N_ITERATIONS, **training), tiny_data, "run")
    best, last = (load_method(read_run(Path("run")), which=which) for which in ("best", "last"))
    x = torch.linspace(-1, 1, 48 * 48).view(1, 1, 48, 48)
    assert torch.equal(best.segment(x), best.first.segment(x))  # of iteration 2, the first round's
    assert not torch.equal(last.segment(x), last.first.segment(x))
    assert torch.equal(last.segment(x), last.network(x).sigmoid())


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


def test_a_training_in_stages_costs_their_mean(make_config):
    first, own = (make_config(name, batch_size=8) for name in ("translation", "self_training"))
    of_first, of_own = (cost_of_updates(config, 3) for config in (first, own))
    both = cost_of_updates(make_config("self_training", batch_size=8, first_round="translation"), 3)
    labelling = forward_flops(first, 13) - forward_flops(own, 13)  # in the second round
    expected = (of_first.flops + 2 * of_own.flops + labelling) / 3
    assert both.flops == pytest.approx(expected, rel=1e-6)
    assert of_first.peak_bytes < both.peak_bytes < 1.1 * of_first.peak_bytes


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

"""What an iteration costs by going through it without data, against counting by hand."""

from pathlib import Path

import pytest
import torch

from benchmarks.plain_flops import translation_flops
from segtrans.config.params import load_params
from segtrans.config.run_config import resolve_config
from segtrans.methods.weights import build_method
from segtrans.nets.upsampling import forget_constants
from segtrans.train.budget.cost import cost_of_updates, iteration_cost
from segtrans.train.budget.plan import plan_runs, plan_table

ROOT = Path(__file__).parents[2]


def make_config(method, *, batch_size, per_batch=2, width=0.125, task="mnist48_simple"):
    overlay = {
        "networks": {"width": width},
        "training": {"batch_size": batch_size},
        "labels": {"per_batch": per_batch},
    }
    params = load_params(ROOT / "params.yaml", overlay={"overrides": {task: overlay}})
    return resolve_config(params, task=task, method=method, init_seed=0)


@pytest.mark.parametrize("task", ["mnist48_simple", "brats"])
def test_few_images_cost_what_the_tables_say(task):
    """With three images of each domain no layer takes the way with fewer operations."""
    config = make_config("translation", batch_size=3, task=task)
    expected = translation_flops(config, n_labelled=2, judged_once=True)
    assert cost_of_updates(config, 2).flops == pytest.approx(expected, rel=0.01)


def test_the_rewritten_upsampling_saves_operations():
    config = make_config("translation", batch_size=20)
    plain = translation_flops(config, n_labelled=2, judged_once=True)
    assert cost_of_updates(config, 2).flops < 0.95 * plain


@pytest.mark.parametrize(
    "name", ["autoencoder", pytest.param("translation", marks=pytest.mark.slow)]
)
def test_tensors_with_values_cost_as_much_as_those_without(name):
    config = make_config(name, batch_size=3, width=1 / 64)
    assert cost_of_updates(config, 2) == iteration_cost(config)


def test_the_peak_holds_weights_gradients_and_moments():
    config = make_config("segmentation_only", batch_size=2, width=0.5)
    n_bytes = sum(parameter.nbytes for parameter in build_method(config).parameters())
    peak = iteration_cost(config).peak_bytes
    assert 5 * n_bytes < peak < 12 * n_bytes  # weight, gradient, three moments; and activations
    wider = iteration_cost(make_config("segmentation_only", batch_size=4, per_batch=4, width=0.5))
    assert wider.peak_bytes > peak


def test_a_method_that_draws_labelled_images_alone_pays_for_a_full_batch():
    few, all_ = (make_config("segmentation_only", batch_size=4, per_batch=n) for n in (1, 4))
    assert iteration_cost(few) == iteration_cost(all_)


def test_going_through_it_leaves_nothing_behind():
    forget_constants()
    before = torch.get_rng_state()
    config = make_config("autoencoder", batch_size=8)
    iteration_cost(config)
    assert torch.equal(torch.get_rng_state(), before)
    # What is kept from convolution to convolution has values again.
    assert build_method(config).segment(torch.zeros(8, 1, 48, 48)).isfinite().all()


def test_the_plan_adds_up_and_shares_what_costs_the_same():
    overlay = {
        "tasks": ["mnist48_simple", "mnist48_hard"],
        "methods": ["segmentation_only"],
        "init_seeds": [0, 1, 2],
        "training": {"iterations": 3600},
    }
    params = load_params(ROOT / "params.yaml", overlay=overlay)
    planned = plan_runs(params)
    assert [runs.n_runs for runs in planned] == [3, 3]
    assert planned[0].cost is planned[1].cost
    tflops = planned[0].cost.flops * 3600 / 3600 / 1e12  # one run an hour
    assert planned[0].hours(tflops) == pytest.approx(1)
    for faster, hours in ((1, "6.00"), (1e-3, "6,000.0"), (1e4, "0.0006")):
        last = plan_table(planned, tflops * faster).splitlines()[-1].split()
        assert last == ["all", "6", hours]

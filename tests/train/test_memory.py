"""The estimate of a training's memory, against peaks that were measured."""

from pathlib import Path

import pytest

from segtrans.config.params import load_params
from segtrans.config.run_config import resolve_config
from segtrans.tasks.registry import PAPER_TASKS
from segtrans.train.budget.cost import iteration_cost
from segtrans.train.budget.memory import training_memory_mb

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("task", "measured_mb"),
    # Largest resident memory of the whole process at the laptop scale.
    [("mnist48_simple", 758), ("brats", 1303)],
)
def test_the_estimate_is_above_the_peak_and_not_far(task, measured_mb):
    params = load_params(ROOT / "params.yaml")
    config = resolve_config(params, task=task, method="translation_separate", init_seed=0)
    assert measured_mb <= training_memory_mb(config, params) <= 1.5 * measured_mb


def test_a_wider_network_or_a_larger_batch_needs_more():
    def estimate(**overlay):
        params = load_params(ROOT / "params.yaml", overlay=overlay)
        config = resolve_config(params, task="mnist48_simple", method="translation", init_seed=0)
        return training_memory_mb(config, params)

    assert estimate() < estimate(networks={"width": 1.0}) < 3000
    assert estimate() < estimate(training={"batch_size": 40})


@pytest.mark.parametrize("min_channels", [8, 16, 32])
def test_the_estimate_grows_at_least_as_much_as_the_tensors_of_wider_layers(min_channels):
    """And not much more: half as much again for what a process takes beside its tensors."""
    of = {}
    for floor in (1, min_channels):
        networks = {"width": 0.125, "min_channels": floor}
        params = load_params(ROOT / "params.yaml", overlay={"networks": networks})
        config = resolve_config(
            params, task="mnist48_simple", method="translation_separate", init_seed=0
        )
        peak_mb = iteration_cost(config).peak_bytes / 1e6
        of[floor] = training_memory_mb(config, params), peak_mb
    (estimate, peak), (wider_estimate, wider_peak) = of.values()
    assert wider_peak - peak > 5
    assert 1 <= (wider_estimate - estimate) / (wider_peak - peak) < 2


def test_the_papers_scale_on_brats_fits_into_24_gib():
    params = load_params(ROOT / "params.yaml", ROOT / "config" / "paper.yaml")
    config = resolve_config(params, task="brats", method="translation", init_seed=0)
    assert (config.training.batch_size, config.networks.width) == (20, 1.0)
    assert training_memory_mb(config, params) * 1e6 < 24 * 2**30


def test_an_architecture_that_was_not_measured_gets_no_less_than_those_that_were(monkeypatch):
    params = load_params(ROOT / "params.yaml")
    config = resolve_config(params, task="mnist48_simple", method="translation", init_seed=0)
    measured = []
    for architecture in ("mnist48", "mnist128", "brats"):
        task = PAPER_TASKS["mnist48_simple"].model_copy(update={"architecture": architecture})
        monkeypatch.setitem(PAPER_TASKS, "mnist48_simple", task)
        measured.append(training_memory_mb(config, params))
    task = PAPER_TASKS["mnist48_simple"].model_copy(update={"architecture": "own"})
    monkeypatch.setitem(PAPER_TASKS, "mnist48_simple", task)
    assert training_memory_mb(config, params) == max(measured) > min(measured)

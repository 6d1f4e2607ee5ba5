"""The estimate of a training's memory, against peaks that were measured."""

from pathlib import Path

import pytest

from segtrans.config.params import load_params
from segtrans.config.run_config import resolve_config
from segtrans.tasks.registry import PAPER_TASKS
from segtrans.train.budget.cost import cost_of_updates
from segtrans.train.budget.memory import training_memory_mb

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("task", "measured_mb"),
    # Largest resident memory of the whole process with the laptop preset.
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


@pytest.mark.parametrize("method", ["translation_domain_aware", "translation_masked"])
@pytest.mark.parametrize(
    ("task", "tensors_mb"), [("mnist48_simple", 37), ("brats", 221)]
)  # `iteration_cost` at full width and 8 + 8 images, beyond the translation's
def test_discriminators_that_see_more_images_need_more(method, task, tensors_mb):
    full = {"networks": {"width": 1.0}}
    overlay = {**full, "training": {"batch_size": 8}, "overrides": {"brats": full}}
    params = load_params(ROOT / "params.yaml", overlay=overlay)
    more, plain = (
        training_memory_mb(resolve_config(params, task=task, method=name, init_seed=0), params)
        for name in (method, "translation")
    )
    assert tensors_mb <= more - plain <= 0.15 * plain


def test_self_training_needs_more_than_the_method_it_begins_with():
    def estimate(method, first_round=None):
        overlay = {"networks": {"width": 1.0}, "training": {"first_round": first_round}}
        params = load_params(ROOT / "params.yaml", overlay=overlay)
        config = resolve_config(params, task="mnist48_simple", method=method, init_seed=0)
        return training_memory_mb(config, params)

    for first in ("translation", "translation_mean_teacher"):
        # `iteration_cost` at this width and 8 + 8 images: 27 MB of tensors more.
        assert 27 <= estimate("self_training", first) - estimate(first) < 100


@pytest.mark.parametrize(
    ("min_channels", "tensors_mb"),
    # By how much the tensors of an update take more than without a floor: `iteration_cost`.
    [(8, 12), (16, 44), (32, 113)],
)
def test_the_estimate_grows_with_the_tensors_of_wider_layers(min_channels, tensors_mb):
    """And not much more: half as much again for what a process takes beside its tensors."""
    plain, wider = (
        training_memory_mb(
            resolve_config(params, task="mnist48_simple", method="translation", init_seed=0), params
        )
        for params in (
            load_params(ROOT / "params.yaml", overlay={"networks": {"min_channels": n}})
            for n in (1, min_channels)
        )
    )
    assert 1 <= (wider - plain) / tensors_mb < 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pathologies", "pathologies_separate"])
def test_a_second_pathology_needs_as_much_more_as_its_tensors(method):
    overlay = {"networks": {"width": 1 / 16}}
    files = (ROOT / "params.yaml", ROOT / "config" / "pathologies.yaml")
    params = load_params(*files, overlay=overlay)
    one, two = (
        resolve_config(params, task="mnist48_two", method=name, init_seed=0)
        for name in ("translation", method)
    )
    n = two.labels.per_batch
    more = (cost_of_updates(two, n).peak_bytes - cost_of_updates(one, n).peak_bytes) / 1e6
    assert more > 0
    assert training_memory_mb(two, params) - training_memory_mb(one, params) >= more


@pytest.mark.parametrize(
    ("width", "batch_size", "precision", "measured_mb"),
    # Largest resident memory of the whole process, `usage` of run.json: 48 x 64 x 32 voxels.
    [
        (1 / 64, 1, "fp32", 765),
        (1 / 8, 1, "fp32", 962),
        (1 / 8, 2, "fp32", 1202),
        (1 / 8, 1, "bf16", 2649),
    ],
)
def test_the_estimate_of_volumes_is_above_the_peak_and_not_far(
    width, batch_size, precision, measured_mb
):
    config, params = config_of_volumes(width=width, batch_size=batch_size, precision=precision)
    assert measured_mb <= training_memory_mb(config, params) <= 1.5 * measured_mb


def test_volumes_ask_for_more_than_their_tensors_take():
    """Tensors that live at once, by going through an update without data: full width, fp32."""
    config, params = config_of_volumes(width=1.0, batch_size=1)
    assert 3024 < training_memory_mb(config, params) < 2 * 3024


def config_of_volumes(*, width, batch_size, precision="fp32"):
    overlay = {
        "tasks": ["volumes"],
        "data_sets": {"volumes": {"kind": "half_volumes", "title": "Volumes"}},
        "methods": ["translation"],
        "networks": {"width": width},
        "labels": {"per_batch": 1},
        "training": {"batch_size": batch_size, "precision": precision},
    }
    params = load_params(ROOT / "params.yaml", overlay=overlay)
    return resolve_config(params, task="volumes", method="translation", init_seed=0), params


def test_the_papers_preset_on_brats_fits_into_24_gib():
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


def test_pictures_of_a_folder_take_what_their_number_says(tmp_path):
    """Not the 8 GB of data that nobody knows: 24 files of 128 x 128 take less than 2 MB."""
    for domain in ("present", "absent", "masks"):
        (tmp_path / domain).mkdir()
        for name in range(8):
            (tmp_path / domain / f"{name}.png").touch()
    estimates = {}
    for size in ("fit", "crop", "tile"):
        entry = {"kind": "image_folder", "directory": str(tmp_path), "title": "Mine", "size": size}
        overlay = {"data_sets": {"mine": entry}, "tasks": ["mine"]}
        params = load_params(ROOT / "params.yaml", overlay=overlay)
        config = resolve_config(params, task="mine", method="translation", init_seed=0)
        estimates[size] = training_memory_mb(config, params)
    assert estimates["fit"] == estimates["crop"] < 2000
    assert estimates["tile"] - estimates["fit"] == pytest.approx(
        8192 - 24 * 128**2 * 3 / 1e6, abs=1
    )


def test_pictures_behind_links_are_not_counted(tmp_path):
    """Neither as none, nor for ever where a link leads back."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "present").symlink_to(tmp_path / "photos")
    entry = {"kind": "image_folder", "title": "Mine"}
    for folder in ("photos", "nowhere"):
        of_folder = entry | {"directory": str(tmp_path / folder)}
        overlay = {"data_sets": {"mine": of_folder}, "tasks": ["mine"]}
        params = load_params(ROOT / "params.yaml", overlay=overlay)
        assert params.known_tasks["mine"].data_mb(params) is None


@pytest.mark.slow
@pytest.mark.parametrize("method", ["segmentation_only", "autoencoder", "translation"])
def test_neighbours_take_no_more_than_is_asked_for(method):
    params = load_params(ROOT / "params.yaml")
    without = resolve_config(params, task="brats", method=method, init_seed=0)
    networks = without.networks.model_copy(update={"neighbours": 1})
    with_one = without.model_copy(update={"networks": networks})
    asked, needed = (
        of(with_one) - of(without)
        for of in (
            lambda config: training_memory_mb(config, params),
            lambda config: cost_of_updates(config, config.labels.per_batch).peak_bytes / 1e6,
        )
    )
    assert 10 < needed <= asked < 2.5 * needed

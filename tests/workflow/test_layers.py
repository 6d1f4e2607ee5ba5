"""Parameters as Snakemake's command line gives them, by the real rules and a stand-in command."""

import json
import re
from pathlib import Path

import pytest

from tests.workflow import plans

ROOT = Path(__file__).parents[2]
SMALL = ["preset=mine", "methods=[autoencoder]", "init_seeds=[0]"]


@pytest.fixture
def snakemake(tmp_path, copy_project, interpreter):
    """A function that runs Snakemake in a project of its own."""
    folder = copy_project(tmp_path / "project")

    def snakemake(*arguments):
        return plans.snakemake(interpreter, folder, *arguments)

    snakemake.folder = folder
    return snakemake


def rates(answer):
    """Learning rate by task, as the trainings' commands have it."""
    assert answer.returncode == 0, answer.stderr
    configs = re.findall(
        r"segtrans train --run-config '(.*?)' --data", answer.stdout + answer.stderr
    )
    return {
        config["task"]: config["training"]["learning_rate"] for config in map(json.loads, configs)
    }


def test_what_is_typed_last_is_trained_with(snakemake):
    mine = snakemake.folder / "mine.yaml"
    mine.write_text("training: {learning_rate: 1e-05}\nlabels: {per_batch: 1}\n")
    dry = ["--dry-run", "-p"]
    typed = ["--config", *SMALL, "training={learning_rate: 2e-06}"]
    small = ["--config", *SMALL]
    assert rates(snakemake(*dry, *small)) == {"mnist48_simple": 0.01, "brats": 0.02}
    both = {"mnist48_simple": 1e-5, "brats": 1e-5}
    assert rates(snakemake(*dry, "--configfile", mine, *small)) == both
    answer = snakemake(*dry, "--configfile", mine, *typed)
    assert rates(answer) == {"mnist48_simple": 2e-6, "brats": 2e-6}
    said = [line for line in answer.stderr.splitlines() if line.startswith("segtrans: ")]
    assert len(said) == 1
    assert "brats has values of its own (overrides): networks.width = 0.0625" in said[0]
    assert "learning_rate = 0.02" not in said[0].replace("discriminator_learning_rate", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("preset: mine\npreset: yours\n", "mine.yaml, line 2: the key preset occurs twice"),
        ("labels:\n  per_batch: 010\n", "mine.yaml, line 2: 010 is an octal number"),
    ],
)
def test_a_file_that_snakemake_reads_otherwise_is_refused_by_its_line(snakemake, text, words):
    (snakemake.folder / "mine.yaml").write_text(text)
    answer = snakemake("--dry-run", "--configfile", "mine.yaml")
    assert answer.returncode == 1
    (line,) = [text for text in answer.stderr.splitlines() if "segtrans: error" in text]
    assert words in line
    assert "Traceback" not in answer.stderr


@pytest.mark.slow
def test_refused_parameters_leave_the_results_they_were_meant_to_replace(snakemake):
    small = ["--config", *SMALL, "tasks=[mnist48_simple, brats]"]
    answer = snakemake(*small)
    assert answer.returncode == 0, answer.stderr

    def files():
        folders = (snakemake.folder / name for name in ("data", "results"))
        found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in found}

    before = files()
    assert len(before) > 30
    for refused in (
        "labels={fraction: 0.2}",  # more nines than there are
        "brats={n_jobs: 25}",
        "brats={source: directory, directory: nowhere}",
        "brats={valid_fraction: 0.5, test_fraction: 0.49}",
    ):
        answer = snakemake(*small, refused)
        assert answer.returncode == 1, refused
        assert "segtrans: error:" in answer.stderr
        assert files() == before

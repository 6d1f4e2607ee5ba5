"""DVC around the real rules and parameters, whose jobs a stand-in does; the DVC itself is real."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA_RULES = {
    *("digits", "cluttered_mnist", "phantom", "split", "half_slice_part", "brats"),
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(interpreter, search_path, tmp_path_factory):
    """The stand-in's programs first on PATH, and a home without anyone's configuration."""
    home = tmp_path_factory.mktemp("home")
    program = interpreter.with_name("snakemake")
    program.write_text(f'#!/bin/sh\nexec {interpreter} -m snakemake "$@"\n')
    program.chmod(0o755)
    identity = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    return (
        os.environ
        | dict.fromkeys(identity, "someone@example.org")
        | {
            "HOME": str(home),
            "PATH": f"{interpreter.parent}:{os.environ['PATH']}:{Path(sys.executable).parent}",
            "PYTHONPATH": search_path,
            "SEGTRANS_GPUS": "",
            "DVC_NO_ANALYTICS": "1",
        }
    )


@pytest.fixture(scope="module")
def run(environment):
    """Run a program in a folder and return what it printed."""

    def run(folder, *command):
        if command[0] == "dvc":
            command = (sys.executable, "-m", *command)
        answer = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout + answer.stderr

    return run


def make_repository(folder, run):
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc" / name)
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "remote", "add", "--default", "store", str(folder.parent / "remote"))
    return folder


@pytest.fixture
def empty(tmp_path, copy_project, run):
    """A repository in which nothing has run."""
    return make_repository(copy_project(tmp_path / "empty"), run)


@pytest.fixture(scope="module")
def versioned(tmp_path_factory, copy_project, run):
    """A repository whose default preset `dvc repro` made, pushed to a folder."""
    folder = make_repository(copy_project(tmp_path_factory.mktemp("versioned")), run)
    run(folder, "dvc", "repro")
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "--quiet", "--message", "run")
    run(folder, "dvc", "push")
    return folder


@pytest.fixture
def clone(versioned, tmp_path, run):
    """A fresh clone elsewhere that pulled everything."""
    run(tmp_path, "git", "clone", "--quiet", str(versioned), "clone")
    run(tmp_path / "clone", "dvc", "pull")
    return tmp_path / "clone"


def change(folder, old, new):
    file = folder / "params.yaml"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def trained(folder):
    """When each run's weights were written; a pull restores no times, a run changes them."""
    return {
        file: file.stat().st_mtime_ns
        for file in sorted(folder.glob("results/laptop/*/*/*/weights.safetensors"))
    }


def test_git_ignores_what_dvc_versions(versioned, run):
    assert run(versioned, "git", "status", "--porcelain") == ""
    tracked = run(versioned, "git", "ls-files").splitlines()
    assert "dvc.lock" in tracked
    assert not [name for name in tracked if name.startswith(("results", "data", ".snakemake"))]


def test_a_second_repro_has_nothing_to_do(versioned, run):
    before = trained(versioned)
    assert len(before) == 16
    assert "didn't change, skipping" in run(versioned, "dvc", "repro")
    assert trained(versioned) == before


def test_after_a_pull_elsewhere_nothing_is_to_be_done(clone, run):
    assert len(trained(clone)) == 16
    assert "Nothing to be done" in run(clone, "snakemake", "--dry-run")
    assert "up to date" in run(clone, "dvc", "status")


@pytest.mark.parametrize(
    ("old", "new", "n_trained"),
    [
        ("precision: fp32", "precision: bf16", 16),
        # BraTS has a rate of its own.
        ("\n  learning_rate: 0.01", "\n  learning_rate: 0.02", 8),
        ("threshold: 0.5", "threshold: 0.4", 0),
        ("lambda_adv: 3.0", "lambda_adv: 4.0", 8),
        ("noise_sd: 0.01", "noise_sd: 0.02", 8),
    ],
)
def test_after_a_pull_a_changed_parameter_reruns_what_depends_on_it(
    clone, run, old, new, n_trained
):
    before = trained(clone)
    change(clone, old, new)
    text = run(clone, "dvc", "repro")
    assert "Updating lock file" in text
    after = trained(clone)
    assert sum(after[file] != before[file] for file in before) == n_trained
    assert "up to date" in run(clone, "dvc", "status")
    assert "Nothing to be done" in run(clone, "snakemake", "--dry-run")


def test_data_alone_can_be_pulled_and_are_not_made_again(versioned, tmp_path, run):
    run(tmp_path, "git", "clone", "--quiet", str(versioned), "clone")
    folder = tmp_path / "clone"
    run(folder, "dvc", "pull", "data/laptop")
    assert (folder / "data/laptop/mnist48_simple.h5").exists()
    assert not (folder / "results").exists()
    plan = run(folder, "snakemake", "--dry-run")
    assert "cluttered_mnist" not in plan
    assert "train " in plan
    change(folder, "noise_sd: 0.01", "noise_sd: 0.02")
    assert "cluttered_mnist" in run(folder, "snakemake", "--dry-run")


def test_data_can_be_versioned_before_any_training(empty, tmp_path, run):
    run(empty, "dvc", "repro", "data")
    assert not list(empty.glob("results/laptop/*/*/seed*"))
    assert "didn't change, skipping" in run(empty, "dvc", "repro", "data")
    run(empty, "git", "add", ".")
    run(empty, "git", "commit", "--quiet", "--message", "data")
    run(empty, "dvc", "push", "data")
    run(tmp_path, "git", "clone", "--quiet", str(empty), "clone")
    folder = tmp_path / "clone"
    run(folder, "dvc", "pull", "data")
    plan = run(folder, "snakemake", "--dry-run")
    made = set(re.findall(r"^rule (\w+):", plan, re.MULTILINE)) & DATA_RULES
    assert made == set()
    change(folder, "normalisation: per_sequence", "normalisation: joint")
    plan = run(folder, "snakemake", "--dry-run")
    made = set(re.findall(r"^rule (\w+):", plan, re.MULTILINE)) & DATA_RULES
    assert made == {"half_slice_part", "brats"}
    run(folder, "dvc", "repro", "data")
    assert "up to date" in run(folder, "dvc", "status", "data")


def test_new_parameters_are_never_paired_with_old_data(clone, run):
    """The data put back by DVC belong to the parameters of before."""
    before = (clone / "data/laptop/mnist48_simple.h5").read_text()
    change(clone, "noise_sd: 0.01", "noise_sd: 0.02")
    run(clone, "snakemake", "--quiet", "rules", "host", "--", "data")
    made = (clone / "data/laptop/mnist48_simple.h5").read_text()
    assert made != before
    run(clone, "dvc", "checkout", "--force", "data/laptop")
    assert (clone / "data/laptop/mnist48_simple.h5").read_text() == before
    run(clone, "dvc", "repro")
    assert (clone / "data/laptop/mnist48_simple.h5").read_text() == made
    assert "up to date" in run(clone, "dvc", "status")
    assert "Nothing to be done" in run(clone, "snakemake", "--dry-run")


def test_the_commands_of_the_docs_in_their_order(empty, run):
    section = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    block = section[section.index("```sh\n") + 6 : section.index("\n```\n")]
    place = str(empty.parent / "share")
    run(empty, "dvc", "remote", "remove", "store")
    run(empty, "git", "add", ".")
    run(empty, "git", "commit", "--quiet", "--message", "a fresh clone")
    printed = {}
    for line in block.splitlines():
        command = line.split("#")[0].strip().replace("/mnt/share/segtrans", place)
        printed[command] = run(empty, "bash", "-ec", command)
    (compared,) = (text for command, text in printed.items() if "metrics diff" in command)
    assert "dice_soft_pooled_test" in compared
    assert "0.002" not in (empty / "params.yaml").read_text(encoding="utf-8")
    there = empty.parent / "there"
    run(empty, "git", "clone", "--quiet", empty, there)
    run(there, "dvc", "pull")
    table = "results/laptop/table.csv"
    assert (there / table).read_bytes() == (empty / table).read_bytes()
    assert "Nothing to be done" in run(there, "snakemake", "--dry-run")


@pytest.mark.parametrize("where", [[], ["--temp"]])
def test_an_experiment_retrains_and_is_recorded(clone, run, where):
    run(clone, "dvc", "exp", "run", *where, "-S", "training.learning_rate=0.002")
    _, head = json.loads(run(clone, "dvc", "exp", "show", "--json"))
    (experiment,) = head["experiments"]
    (revision,) = experiment["revs"]
    assert revision["data"]["params"]["params.yaml"]["data"]["training"]["learning_rate"] == 0.002
    run(clone, "dvc", "exp", "apply", revision["name"])
    assert "0.002" in run(clone, "dvc", "params", "diff", "HEAD")
    assert "Nothing to be done" in run(clone, "snakemake", "--dry-run")


def test_metrics_and_plots_tell_methods_and_runs_apart(clone, run):
    results = clone / "results" / "laptop"
    dice = {"mnist48_simple": {"translation": {"dice_soft_pooled_test": 0.75}}}
    (results / "dice.json").write_text(json.dumps(dice))
    rows = "task,method,dice_soft_pooled_test_best_mean\nmnist48_simple,translation,0.75\n"
    (results / "table.csv").write_text(rows)
    for task in ("mnist48_simple", "brats"):
        curves = results / "figures" / task / "learning_curves.csv"
        curves.write_text("run,iteration,dice_soft_pooled\ntranslation/seed0,100,0.5\n")
    shown = json.loads(run(clone, "dvc", "metrics", "show", "--json"))
    assert shown[""]["data"]["results/laptop/dice.json"]["data"] == dice
    run(clone, "dvc", "plots", "show", "--out", "plots")
    page = (clone / "plots" / "index.html").read_text()
    for words in ("test Dice per method", "learning curves, mnist48_simple", "translation/seed0"):
        assert words in page, words
    assert '"field": "run"' in page  # a line for each run

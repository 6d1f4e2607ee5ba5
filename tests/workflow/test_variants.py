"""Presets with variants: every row is planned, in a path of its own, by the real rules."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.plans import snakemake

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory, copy_project):
    """Dry runs leave it as it is."""
    return copy_project(tmp_path_factory.mktemp("variants") / "project")


def plan(project, *arguments):
    """What a dry run prints: each job with its files and its command."""
    answer = snakemake(sys.executable, project, "--dry-run", "-p", *arguments)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout + answer.stderr


def outputs(text):
    lines = re.findall(r"^    output: (.*)$", text, re.MULTILINE)
    return {path for line in lines for path in line.split(", ")}


def test_every_term_left_out_is_a_row(project):
    text = plan(project, "--configfile", "config/ablations/terms.yaml")
    names = yaml.safe_load((ROOT / "config/ablations/terms.yaml").read_text())["variants"]
    folder = "results/ablation-terms/mnist48_hard/translation-{}/seed{}"
    expected = {f"{folder.format(name, seed)}/run.json" for name in names for seed in (0, 1, 2)}
    found = outputs(text)
    assert {path for path in found if path.endswith("/run.json")} == expected
    assert not [path for path in found if path.endswith("labels.png")]
    trainings = [line for line in text.splitlines() if "segtrans train" in line]
    assert len(trainings) == len(expected)
    for name in names:
        (first, *_) = (line for line in trainings if f"{folder.format(name, 0)} " in line)
        assert f"--variant {name} " in first
        assert f"--checkpoints {folder.format(name, 0).replace('results', 'checkpoints')} " in first
        assert ('"lambda_cyc": 0.0' in first) == (name == "without_cycle")
        assert ('"segment_absent": true' in first) == (name == "segment_absent")


def test_presets_with_several_labelled_fractions_get_their_picture(project):
    text = plan(project, "--configfile", "config/ablations/labels.yaml")
    found = outputs(text)
    assert "results/ablation-labels/figures/mnist48_hard/labels.png" in found
    runs = {path for path in found if path.endswith("/metrics.json")}
    assert len(runs) == 3 * 6 * 2  # methods, fractions, seeds
    assert (
        "results/ablation-labels/mnist48_hard/autoencoder-half_percent/seed1/metrics.json" in runs
    )


def test_without_variants_paths_and_commands_have_none(project):
    text = plan(project)
    assert "results/laptop/mnist48_simple/translation/seed0/run.json" in outputs(text)
    assert "--variant" not in text
    assert "labels.png" not in text


def test_variants_on_the_command_line(project):
    variants = "variants={few: {labels: {fraction: 0.005}}, many: {labels: {fraction: 0.05}}}"
    chosen = ("preset=mine", "tasks=[mnist48_simple]", "methods=[autoencoder]", "init_seeds=[0]")
    found = outputs(plan(project, "--config", *chosen, variants))
    assert "results/mine/mnist48_simple/autoencoder-few/seed0/run.json" in found
    assert "results/mine/figures/mnist48_simple/labels.png" in found

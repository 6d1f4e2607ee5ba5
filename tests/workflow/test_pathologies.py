"""Phantoms with tumour and white-matter lesions through the whole pipeline, from one command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from segtrans.config.runs import read_run
from segtrans.data.feed.folds import iterate_fold
from segtrans.data.pathologies import read_knowledge
from segtrans.data.store import FOLDS, Store
from segtrans.methods.weights import load_method

TINY = {
    "preset": "tiny",
    "methods": ["segmentation_only", "pathologies"],
    "init_seeds": [0],
    "brats": {"n_patients": 3, "n_jobs": 2},
    "variants": {},
    "overrides": {
        "phantoms_two": {
            "networks": {"width": 0.015625},
            "training": {"iterations": 4, "batch_size": 2, "validate_every": 2},
            "labels": {"fraction": 0.15, "per_batch": 1},
        }
    },
}

pytestmark = pytest.mark.slow


def test_tumour_and_lesions_are_prepared_trained_scored_and_drawn(tmp_path, copy_project):
    """One phantom in each fold; K = 2 with r = 1 beside a method that takes both for one."""
    folder = copy_project(tmp_path / "project")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile"]
    answer = subprocess.run(
        [*command, "config/pathologies_phantoms.yaml", "tiny.yaml"],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    logs = "\n".join(path.read_text() for path in sorted(folder.glob("logs/**/*.log")))
    assert answer.returncode == 0, answer.stderr + logs

    store = Store(folder / "data/tiny/phantoms_two.h5")
    assert store.header.pathologies == ("tumour", "lesions")
    assert store.header.parameters["phantoms"] is True
    t = np.concatenate([read_knowledge(store, fold).t for fold in FOLDS])
    shown = {tuple(row) for row in t.tolist()}
    assert {(1, 1), (1, 0), (0, 1)} <= shown
    assert (folder / "data/tiny/phantoms_two_report/half_slices.png").stat().st_size > 1000

    results = folder / "results/tiny"
    run_folder = results / "phantoms_two/pathologies/seed0"
    check_scores(run_folder, store)
    with Image.open(run_folder / "panel.png") as panel:
        several = panel.size
    with Image.open(results / "phantoms_two/segmentation_only/seed0/panel.png") as panel:
        assert several[1] > 2 * panel.size[1]
    table = pd.read_csv(results / "table.csv").set_index("method")
    column = "dice_soft_pooled_of_lesions_test_best_mean"
    assert 0 <= table.loc["pathologies", column] <= 1
    assert np.isnan(table.loc["segmentation_only", column])
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "BraTS, tumour and lesions on phantoms" in page


def check_scores(run_folder: Path, store: Store) -> None:
    """Dice of each pathology, and of patients, against what the method makes of the store."""
    run = read_run(run_folder)
    assert (run.config.neighbours, run.config.maps) == (1, ("tumour", "lesions"))
    method = load_method(run, which="best")
    with torch.no_grad():
        blocks = [
            (method.segment(x).numpy(), y.numpy())
            for x, y in iterate_fold(store, "test", "present", neighbours=1)
        ]
    p, y = (np.concatenate(of) for of in zip(*blocks, strict=True))
    scores = json.loads((run_folder / "metrics.json").read_text())["best"]["test"]
    for k, name in enumerate(run.config.maps):
        own = (y >> k) & 1
        pooled = 2 * (p[:, k].astype(np.float64) * own).sum() / (p[:, k].sum() + own.sum())
        assert scores[f"dice_soft_pooled_of_{name}"] == pytest.approx(pooled, rel=1e-4)
        assert scores[f"n_images_of_{name}"] == own.any(axis=(1, 2)).sum() > 0
    assert scores["n_patients"] == 1
    patients = pd.read_csv(run_folder / "per_patient.csv").set_index("fold")
    assert patients.loc["test", "lesion_voxels"] == (y > 0).sum()

"""Every run of the paper's size at full width, from data to table, two iterations long."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from segtrans.config.params import load_params

FREE_BYTES = 14 * 2**30  # weights and checkpoints of 19 trainings


@pytest.mark.slow
def test_every_configuration_of_the_paper_runs(tmp_path, copy_project):
    if shutil.disk_usage(tmp_path).free < FREE_BYTES:
        pytest.skip("needs 14 GiB of disk")
    folder = copy_project(tmp_path / "project")
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    files = ["config/paper.yaml", "config/paper_check.yaml"]
    answer = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", *files],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    logs = "\n".join(path.read_text() for path in sorted(folder.glob("logs/**/*.log")))
    assert answer.returncode == 0, answer.stderr[-5000:] + logs[-20000:]
    table = pd.read_csv(folder / "results/paper-check/table.csv")
    paper = load_params(folder / "params.yaml", folder / "config/paper.yaml")
    rows = [(task, method) for task in paper.tasks for method, _ in paper.methods_of(task)]
    assert list(zip(table["task"], table["method"], strict=True)) == rows
    assert table["dice_soft_pooled_test_best_mean"].between(0, 1).all()
    for file in folder.glob("results/paper-check/*/*/seed0/weights.safetensors"):
        assert file.stat().st_size > 10**7, file  # full width
    shutil.rmtree(folder)

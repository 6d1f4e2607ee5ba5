"""Pictures of the user's own through the workflow: what is made again, and all of it for real."""

import os
import signal
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from segtrans.config.runs import read_labelled_ids, read_run
from segtrans.data.store import Store
from tests.sources.image_folder.folders import (
    PATHOLOGIES,
    write_folder,
    write_folder_of_two,
)
from tests.workflow.plans import planned, snakemake

SEGTRANS = Path(sysconfig.get_path("scripts")) / "segtrans"
OWN = """\
preset: own
tasks: [discs]
methods: [translation]
init_seeds: [0]
data_sets: {discs: {kind: image_folder, directory: pictures}}
"""


@pytest.mark.slow
def test_another_picture_makes_everything_again_and_a_second_run_nothing(
    tmp_path, copy_project, interpreter
):
    folder = copy_project(tmp_path / "project")
    write_folder(folder / "pictures")
    (folder / "own.yaml").write_text(OWN)
    arguments = ("--configfile", "own.yaml")
    answer = snakemake(interpreter, folder, *arguments)
    assert answer.returncode == 0, answer.stderr
    assert planned(interpreter, folder, *arguments) == {}
    picture = folder / "pictures" / "absent" / "a00.png"
    picture.rename(picture.with_name("another.png"))
    jobs = planned(interpreter, folder, *arguments)
    assert jobs["image_folder"] == jobs["train"] == 1
    (folder / "pictures" / "absent" / "A01.png").write_bytes(b"")
    answer = snakemake(interpreter, folder, *arguments, "--dry-run")
    assert answer.returncode == 1
    assert "segtrans: error: " in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.slow
def test_a_folder_of_pictures_becomes_a_table_a_page_and_weights(tmp_path):
    pictures = write_folder(tmp_path / "discs", n_channels=3, shape=(40, 48))
    (pictures / "dataset.yaml").write_text(
        "{title: Discs & more, height: 40, width: 48, architecture: mnist48}\n"
    )
    fit = [SEGTRANS, "fit", pictures, "--output", tmp_path / "run", "--iterations", "2"]
    fit += ["--cores", "2", "--methods", "segmentation_only,autoencoder,translation"]
    first = subprocess.run(fit, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "train: translation" in first.stdout
    assert "\n  networks see 40 x 48 pixels (height and width in dataset.yaml): " in first.stdout
    results = tmp_path / "run" / "results" / "fit"
    assert len(pd.read_csv(results / "table.csv")) == 3
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "Discs &amp; more" in page
    assert "reproduction" not in page
    assert "diamonds" not in page
    # As on the page of a smoke run: five of all methods, three panels, one progress.
    assert page.count("<img ") == 5 + 3 + 1
    run = read_run(results / "discs" / "translation" / "seed0")
    assert run.record.labelled.unit == "image"
    data = Store(tmp_path / "run" / "data" / "fit" / "discs.h5")
    assert data.images("train", "present").dtype == np.uint8
    noted = data.provenance("train", "present")
    assert set(read_labelled_ids(run).ids) == set(noted["name"][noted["has_mask"] > 0])
    rows = pd.read_csv(run.folder / "per_image.csv")
    assert {"name", "group"} <= set(rows.columns)
    assert (run.folder / "panel.png").read_bytes().startswith(b"\x89PNG")
    times = {path: path.stat().st_mtime_ns for path in results.rglob("*.*")}
    second = subprocess.run(fit, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert "train" not in second.stdout.split("|")[0]
    assert times == {path: path.stat().st_mtime_ns for path in results.rglob("*.*")}


@pytest.mark.slow
def test_a_folder_of_several_pathologies_becomes_scores_and_panels_of_each(tmp_path):
    pictures = write_folder_of_two(tmp_path / "walls")
    fit = [SEGTRANS, "fit", pictures, "--output", tmp_path / "run", "--iterations", "2"]
    fit += ["--cores", "2", "--methods", "pathologies,translation"]
    answer = subprocess.run(fit, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    results = tmp_path / "run" / "results" / "fit"
    table = pd.read_csv(results / "table.csv").set_index("method")
    for name in PATHOLOGIES:
        dice = table[f"dice_soft_pooled_of_{name}_test_best_mean"]
        assert 0 <= dice["pathologies"] <= 1
        assert np.isnan(dice["translation"])
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "Dice, crack" in page
    assert "each pathology removed in turn" in page
    run = read_run(results / "walls" / "pathologies" / "seed0")
    assert run.config.maps == PATHOLOGIES
    out = tmp_path / "out"
    command = [SEGTRANS, "predict", "--weights", run.folder, "--input", pictures, "--output", out]
    subprocess.run([*command, "--save", "mask,residual"], check=True, capture_output=True)
    # Masks of the folder are passed over.
    n_pictures = sum(1 for top in ("present", "absent") for _ in (pictures / top).rglob("*.png"))
    for name in PATHOLOGIES:
        assert sum(1 for _ in (out / "mask" / name).rglob("*.png")) == n_pictures
        assert sum(1 for _ in (out / "residual" / name).rglob("*.tif")) == n_pictures


@pytest.mark.slow
def test_a_fit_that_was_killed_goes_on_once_what_it_started_has_ended(tmp_path):
    """Killed alone, it leaves a Snakemake; killed with it, Snakemake's lock."""
    pictures = write_folder(tmp_path / "discs", shape=(40, 48))
    run = tmp_path / "run"
    fit = [SEGTRANS, "fit", pictures, "--output", run, "--iterations", "100", "--cores", "1"]
    fit += ["--methods", "segmentation_only"]
    with subprocess.Popen(
        fit, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as first:
        assert any(line.startswith("train") for line in first.stdout)
        first.kill()
    second = subprocess.run(fit, cwd=tmp_path, capture_output=True, text=True, check=False)
    left = int((run / "fit.lock").read_text())
    assert second.returncode == 1
    assert second.stderr.startswith(f"segtrans: error: {run}: another `segtrans fit` is at work")
    assert f"(process {left})" in second.stderr
    os.killpg(left, signal.SIGKILL)  # Snakemake, which leads a group, and the training
    third = subprocess.run(fit, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert third.returncode == 0, third.stderr
    assert (run / "results" / "fit" / "table.csv").exists()

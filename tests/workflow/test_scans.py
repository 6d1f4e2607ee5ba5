"""Scans of the user's own through the workflow, for real: from a folder to a table and a page."""

import subprocess
import sysconfig
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from segtrans.config.runs import read_labelled_ids, read_run
from segtrans.data.store import Store
from tests.sources.scan_folder.folders import SHAPE, write_scans

SEGTRANS = Path(sysconfig.get_path("scripts")) / "segtrans"


@pytest.mark.slow
def test_a_folder_of_scans_becomes_a_table_a_page_and_masks(tmp_path):
    scans = write_scans(tmp_path / "balls")
    (scans / "dataset.yaml").write_text("{height: 44, width: 40, architecture: mnist48}\n")
    fit = [SEGTRANS, "fit", scans, "--output", tmp_path / "run", "--iterations", "2"]
    fit += ["--cores", "2", "--methods", "segmentation_only,translation"]
    first = subprocess.run(fit, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "read the scans\n" in first.stdout
    results = tmp_path / "run" / "results" / "fit"
    assert len(pd.read_csv(results / "table.csv")) == 2
    assert "3D per patient: slices of P and A put back" in (results / "table.md").read_text()
    assert "One slice of each patient, its worst." in (results / "report.html").read_text()
    run = read_run(results / "balls" / "translation" / "seed0")
    assert (run.has_scans, run.has_pictures, run.record.labelled.unit) == (True, False, "volume")
    data = Store(tmp_path / "run" / "data" / "fit" / "balls.h5")
    noted = data.provenance("train", "present")
    assert set(read_labelled_ids(run).ids) == set(noted["case_id"][noted["has_mask"] > 0])
    rows = pd.read_csv(run.folder / "per_patient.csv")
    assert rows["dice_hard_3d"].between(0, 1).all()
    assert set(rows["case_id"]) == {
        name for fold in ("valid", "test") for of in ("present", "absent")
        for name in data.provenance(fold, of)["case_id"].tolist()
    }  # fmt: skip
    report = tmp_path / "run" / "data" / "fit" / "balls_report"
    assert len(pd.read_csv(report / "cases.csv")) == 12
    predict = [SEGTRANS, "predict", "--weights", run.folder, "--input", scans / "present"]
    answer = subprocess.run(
        [*predict, "--output", tmp_path / "masks"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    mask = nib.load(tmp_path / "masks" / "mask" / "p00.nii.gz")
    own = nib.load(scans / "present" / "p00.nii.gz")
    assert mask.shape == SHAPE
    np.testing.assert_array_equal(mask.affine, own.affine)
    second = subprocess.run(fit, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert "read the scans" not in second.stdout

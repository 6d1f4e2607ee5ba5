"""A task of scans in the parameters: what its folder says, and what is refused."""

from pathlib import Path

import pytest
import yaml

from segtrans.config.run_config import resolve_config
from segtrans.errors import UserError
from segtrans.pipeline.fit import write_project
from segtrans.pipeline.preflight import check_sources
from segtrans.sources.parameters import read_params
from tests.sources.scan_folder.folders import task, write_scans

ROOT = Path(__file__).parents[3]


def read(tmp_path, folder, **entry):
    entry = {"kind": "scan_folder", "directory": str(folder)} | entry
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({"tasks": ["mine"], "data_sets": {"mine": entry}}))
    return read_params(ROOT / "params.yaml", own)


def test_what_an_entry_leaves_out_is_what_its_folder_says(tmp_path):
    folder = write_scans(tmp_path / "Balls", channels=("t1", "flair"))
    (folder / "dataset.yaml").write_text("{kind: scan_folder, axis: coronal, height: 44}\n")
    params = read(tmp_path, folder, width=40)
    found = params.known_tasks["mine"]
    assert (found.title, found.axis, found.height, found.width) == ("Balls", "coronal", 44, 40)
    assert found.channels == ("flair", "t1")
    check_sources(params)
    (folder / "masks" / "p01.nii.gz").rename(folder / "masks" / "other.nii.gz")
    with pytest.raises(UserError, match=r"masks/other.nii.gz: a mask without a scan"):
        check_sources(read(tmp_path, folder))


def test_a_run_of_it_keeps_what_networks_see(tmp_path):
    folder = write_scans(tmp_path / "balls")
    params = read(tmp_path, folder, halves=True, spacing_mm=[1, 1, 3], title="Balls")
    config = resolve_config(params, task="mine", method="translation", init_seed=0)
    assert (config.definition.halves, config.definition.spacing_mm) == (True, None)
    assert (config.definition.title, config.definition.image_name) == ("mine", "half-slice")
    assert (config.labels.fraction, config.labels.unit) == (1.0, None)
    assert config.augmentation is not None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"halves": True, "axis": "sagittal"}, "sagittal slices have no left and right"),
        ({"spacing_mm": (1.0, 0.0, 1.0)}, "greater than or equal to 0.01"),
        ({"intensity": {"mode": "window", "low": 5.0}}, "needs low and high above it"),
        ({"intensity": {"mode": "dtype"}}, "'percentile', 'zscore' or 'window'"),
        ({"ignore": 1}, "ignore = 1: is a class"),
        ({"valid_fraction": 0.6, "test_fraction": 0.5}, "leaves nothing to train on"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        task(**values)


def test_fit_knows_scans_by_their_files(tmp_path):
    folder, run = write_scans(tmp_path / "Scans of 2024"), tmp_path / "run"
    write_project(run, folder, methods=["translation"], iterations=3)
    params = read_params(run / "params.yaml")
    assert params.data_sets["scans_of_2024"].kind == "scan_folder"

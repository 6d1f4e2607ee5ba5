"""Training on half-volumes: phantoms, cut, trained, stopped, scored, drawn, predicted."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from segtrans.config.params import load_params
from segtrans.config.run_config import read_config, resolve_config
from segtrans.config.runs import read_run
from segtrans.data.feed.folds import iterate_fold
from segtrans.data.store import DOMAINS, FOLDS, Store
from segtrans.figures.of_task import write_figures
from segtrans.figures.panels import write_panel
from segtrans.figures.progress import write_progress
from segtrans.methods.inference import lesion_probability
from segtrans.methods.weights import load_method
from segtrans.predict.export import export_run
from segtrans.predict.network_of_cases import predict
from segtrans.predict.scans import predict_cases
from segtrans.score.evaluate import score_run
from segtrans.sources.brats.data_set import write_split
from segtrans.sources.brats.volume_set import write_half_volumes
from segtrans.sources.phantom.patients import write_phantoms
from segtrans.sources.scans.cases import find_case
from segtrans.sources.scans.volumes import read_case
from segtrans.tasks.half_volumes import HalfVolumes
from segtrans.tasks.parameters import HalfSliceRules
from tests.train.training import train

ROOT = Path(__file__).parents[2]
GRID = {"depth": 30, "height": 36, "width": 29}
OWN = {"kind": "half_volumes", "title": "Volumes", **GRID}


def config_of(method="translation"):
    overlay = {
        "tasks": ["volumes"],
        "data_sets": {"volumes": OWN},
        "methods": [method],
        "networks": {"width": 1 / 128},
        "labels": {"fraction": 0.4, "per_batch": 1},
        "training": {"batch_size": 1, "iterations": 3, "validate_every": 2, "precision": "bf16"},
    }
    params = load_params(ROOT / "params.yaml", overlay=overlay)
    return resolve_config(params, task="volumes", method=method, init_seed=0)


@pytest.fixture(autouse=True)
def own_world(own_store):
    """Tracking and locks inside the test's folder."""


def make_data():
    """Three phantoms, one for each fold."""
    write_phantoms(Path("phantoms"), first=0, last=3, n_patients=3, data_seed=0)
    split, data = Path("split.json"), Path("volumes.h5")
    fractions = {"valid_fraction": 0.1, "test_fraction": 0.1}
    write_split([Path("phantoms")], split, **fractions, rotation=0, data_seed=0)
    write_half_volumes(
        [Path("phantoms")],
        split,
        data,
        rules=HalfSliceRules(),
        task=HalfVolumes(**OWN),
        name="volumes",
    )
    return data


def check_data(store):
    """Each half is where its mask belongs; the lesion has the volume that the scan has."""
    assert store.image_shape == (4, *GRID.values())
    halves = {
        (case_id, side)
        for fold in FOLDS
        for domain in DOMAINS
        for case_id, side in zip(
            *(store.provenance(fold, domain)[name] for name in ("case_id", "side")), strict=True
        )
    }
    assert len(halves) == sum(store.n(fold, domain) for fold in FOLDS for domain in DOMAINS)
    voxel_mm3 = 240 * 240 * 155 / 2 / np.prod(list(GRID.values()))
    for fold in FOLDS:
        masks = store.masks(fold)
        noted = store.provenance(fold, "present")
        for mask, case_id, side in zip(masks, noted["case_id"], noted["side"], strict=True):
            (path,) = Path("phantoms").rglob(f"{case_id}_seg.nii.gz")
            whole = nib.load(path).get_fdata() > 0
            half = whole[:120] if side == "right" else whole[120:]  # stored in LPS orientation
            assert mask.sum() * voxel_mm3 == pytest.approx(half.sum(), rel=0.15)


def check_prediction(data, store):
    """In the scan's geometry; and there as on the grid, of the same half-volume in the store."""
    (case_id, *_) = np.unique(store.provenance("test", "present")["case_id"]).tolist()
    (folder,) = Path("phantoms").rglob(case_id)
    files = list(predict_cases(Path("translation"), [folder], Path("predicted"), threshold=0.5))
    scan = nib.load(next(folder.glob("*_t1.nii.gz")))
    assert len([file for file in files if file.suffix == ".gz"]) == 10
    for file in files[:-1]:
        written = nib.load(file)
        assert written.shape == scan.shape
        np.testing.assert_array_equal(written.affine, scan.affine)
        assert np.isfinite(written.get_fdata()).all()
    method = load_method(read_run(Path("translation")), which="best")
    case = read_case(find_case(folder), with_mask=False)
    made = predict(
        method, case, grid=tuple(GRID.values()), normalisation="per_sequence", mirror_right=False
    )
    x, _ = next(iterate_fold(store, "test", "present"))
    on_grid = lesion_probability(method, x)[0].numpy()
    is_right = store.provenance("test", "present")["side"][0] == "right"
    half = slice(None, 120) if is_right else slice(120, None)
    found = made.probabilities[""][half].transpose(2, 1, 0)
    # Centres of the scan's voxels, counted in those of the grid.
    at = [
        np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
        for n, m in zip(found.shape, on_grid.shape, strict=True)
    ]
    expected = ndimage.map_coordinates(on_grid, np.meshgrid(*at, indexing="ij"), order=1)
    is_brain = found > 0
    assert is_brain.any()
    np.testing.assert_allclose(found[is_brain], expected[is_brain], atol=1e-4)


@pytest.mark.slow
def test_a_training_on_half_volumes_from_phantoms_to_a_prediction():
    data = make_data()
    store = Store(data)
    check_data(store)
    assert read_config(config_of().to_json()) == config_of()
    for method in ("translation", "autoencoder", "segmentation_only"):
        train(config_of(method), data, method)
        score_run(Path(method), data, threshold=0.5)
        write_panel(Path(method), data)
        write_progress(Path(method))
        scores = json.loads(Path(method, "metrics.json").read_text())["best"]["test"]
        assert scores["n_images_P"] == store.n("test", "present")
        assert 0 <= scores["dice_soft_pooled"] <= 1
        assert scores["dice_hard_patient_3d"] is None
        lines = Path(method, "history.jsonl").read_text().splitlines()
        assert [json.loads(line)["iteration"] for line in lines] == [0, 2, 3]
    assert Path("translation/progress.png").exists()
    said = export_run(Path("segmentation_only"), Path("run.onnx"), pixels="uint8")
    assert "(4, 30, 36, 29)" in said
    write_figures([Path("translation"), Path("autoencoder")], data, Path("figures"))
    check_prediction(data, store)
    again = Path("again")
    train(config_of(), data, again)
    for name in ("weights.safetensors", "weights_last.safetensors", "history.jsonl"):
        assert (again / name).read_bytes() == Path("translation", name).read_bytes(), name

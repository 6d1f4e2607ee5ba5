"""Training on slices with their neighbours: phantoms, trained, stopped, scored, predicted."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml

from segtrans.config.params import parse_params
from segtrans.config.run_config import read_config, resolve_config
from segtrans.config.runs import read_run
from segtrans.data.feed import augment
from segtrans.data.feed.folds import iterate_fold
from segtrans.data.store import DOMAINS, Store
from segtrans.errors import UserError
from segtrans.figures.failures import failures_figure, find_failures
from segtrans.figures.panels import write_panel
from segtrans.methods.inference import lesion_probability
from segtrans.methods.weights import load_method
from segtrans.predict.export import export_run
from segtrans.predict.network_of_cases import predict
from segtrans.predict.scans import predict_cases
from segtrans.score.evaluate import score_run
from segtrans.sources.brats.data_set import write_half_slices
from segtrans.sources.phantom.patients import write_phantoms
from segtrans.sources.scans.cases import find_case
from segtrans.sources.scans.volumes import read_case
from segtrans.tasks.parameters import HalfSliceRules
from segtrans.train import loop
from tests.train.training import train

ROOT = Path(__file__).parents[2]


def config_of(method="translation", *, r=1, networks=None):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content |= {"overrides": {}, "tasks": ["brats"]}
    content["networks"] |= {"width": 1 / 128} | (networks or {})
    content["brats"]["neighbours"] = r
    content["labels"] |= {"fraction": 0.4, "per_batch": 1}
    content["training"] |= {"batch_size": 2, "iterations": 4, "validate_every": 2}
    return resolve_config(
        parse_params(content, origin="test"), task="brats", method=method, init_seed=0
    )


@pytest.fixture(autouse=True)
def own_world(own_store):
    """Tracking and locks inside the test's folder."""


def test_neighbours_are_of_the_runs_identity_and_none_of_them_changes_nothing():
    without, with_one = config_of(r=0), config_of(r=1)
    assert (without.neighbours, without.n_input_channels) == (0, 4)
    assert (with_one.neighbours, with_one.n_input_channels) == (1, 12)
    assert with_one.identity != without.identity
    assert "neighbours" not in without.to_json()
    assert read_config(with_one.to_json()) == with_one
    assert read_config(without.to_json()) == without
    # Data that have neighbours, and a row that does not see them.
    assert config_of(r=1, networks={"neighbours": 0}).identity == without.identity
    with pytest.raises(UserError, match=r"networks.neighbours = 2: .* have 1; raise brats.neigh"):
        config_of(r=1, networks={"neighbours": 2})


def test_digits_have_no_neighbours():
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["networks"]["neighbours"] = 1
    with pytest.raises(UserError, match="task mnist48_simple have 0, since its images are no sl"):
        parse_params(content, origin="test")
    digits = json.loads(
        resolve_config(
            parse_params(
                content | {"networks": {"width": 0.1, "unique_fraction": 0.25}}, origin=""
            ),
            task="mnist48_simple",
            method="translation",
            init_seed=0,
        ).to_json()
    )
    digits["networks"]["neighbours"] = 1
    with pytest.raises(UserError, match="images of task mnist48_simple are no slices of scans"):
        read_config(json.dumps(digits))


@pytest.mark.slow
def test_a_phantom_is_segmented_as_it_was_trained_on(tmp_path, monkeypatch):
    """End to end with r = 1, stopped on the way; and in the case's volume as from the store."""
    write_phantoms(Path("phantoms"), first=0, last=3, n_patients=3, data_seed=0)
    data, copy = Path("brats.h5"), Path("split.json")
    rules = HalfSliceRules(neighbours=1)
    write_half_slices(Path("phantoms"), data, rules=rules, split=None, split_copy=copy, data_seed=0)
    calls = []

    def broken_off(batch, ranges, **how):
        calls.append(batch.x_P.shape)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return augment.augment_batch(batch, ranges, **how)

    monkeypatch.setattr(loop, "augment_batch", broken_off)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(), data, "run")
    train(config_of(), data, "run")
    assert set(calls) == {(2, 12, 240, 120)}
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    train(config_of(), data, "whole")
    for name in ("weights.safetensors", "weights_last.safetensors", "history.jsonl"):
        assert Path("run", name).read_bytes() == Path("whole", name).read_bytes(), name

    score_run(Path("run"), data, threshold=0.5)
    assert json.loads(Path("run/metrics.json").read_text())["best"]["test"]["n_patients"] == 1
    write_panel(Path("run"), data)
    run, store = read_run(Path("run")), Store(data)
    failures_figure([run], store, find_failures([run], store), Path("failures.png"))
    assert "(12, 240, 120)" in export_run(Path("run"), Path("run.onnx"), pixels="uint8")

    (case_id,) = np.unique(store.provenance("test", "present")["case_id"]).tolist()
    (folder,) = Path("phantoms").rglob(case_id)
    list(predict_cases(Path("run"), [folder], Path("predicted"), threshold=0.5))
    segmented = nib.load(Path("predicted", f"{case_id}_seg.nii.gz"))
    assert segmented.shape == (240, 240, 155)
    method = load_method(run, which="best")
    case = read_case(find_case(folder), with_mask=False)
    found = predict(
        method, case, normalisation="per_sequence", mirror_right=False, neighbours=1
    ).probability
    for domain in DOMAINS:
        noted = store.provenance("test", domain)
        maps = torch.cat(
            [
                lesion_probability(method, x)
                for x, _ in iterate_fold(store, "test", domain, neighbours=1)
            ]
        ).numpy()
        for row in (0, len(maps) // 2, len(maps) - 1):
            half = slice(0, 120) if noted["side"][row] == "right" else slice(120, 240)
            there = found[half, :, noted["slice_index"][row]].T
            is_brain = there > 0
            assert is_brain.any()
            np.testing.assert_allclose(there[is_brain], maps[row][is_brain], atol=1e-5)

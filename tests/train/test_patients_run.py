"""Training on half-slices of patients: labelled volumes, augmentation, and the resumed run."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.data.feed import augment
from segtrans.data.store import DOMAINS, FOLDS, StoreHeader, write_store
from segtrans.errors import UserError
from segtrans.score.evaluate import score_run
from segtrans.sources.brats.merge import LABELS
from segtrans.train import loop
from tests.train.training import train

ROOT = Path(__file__).parents[2]
PATIENTS = {"train": ["a", "a", "b", "b"], "valid": ["c", "c"], "test": ["d", "d"]}


@pytest.fixture(autouse=True)
def own_world(own_store):
    """Tracking and locks inside the test's folder."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two half-slices a patient in each domain, of the real size; lesions are bright squares."""
    path = tmp_path_factory.mktemp("data") / "brats.h5"
    parameters = {
        "volume_shape": [240, 240, 9],
        "spacing_mm": [1.0, 1.0, 1.0],
        "normalisation": "per_sequence",
        "mirror_right": False,
    }
    names = ("t1", "t2", "t1c", "flair")
    header = StoreHeader("brats", names, parameters, "made up.", "0" * 64, 0, LABELS)
    rng = np.random.default_rng(0)
    with write_store(path, header) as writer:
        for fold in FOLDS:
            for domain in DOMAINS:
                cases = PATIENTS[fold]
                image = np.zeros((len(cases), 4, 240, 120), np.float16)
                image[:, :, 40:200, 10:] = rng.normal(size=(len(cases), 4, 160, 110))
                arrays = {
                    "image": image,
                    "case_id": np.array(cases, dtype="S1"),
                    "side": np.full(len(cases), "left", dtype="S5"),
                    "slice_index": np.arange(len(cases)) + (0 if domain == "present" else 4),
                }
                if domain == "present":
                    mask = np.zeros((len(cases), 240, 120), np.uint8)
                    mask[:, 90:120, 40:70] = 2
                    image[:, 3] += 3 * mask
                    arrays["mask"] = mask
                for name, values in arrays.items():
                    scale = 0.2 if name == "image" else None
                    writer.add(
                        fold, domain, name, shape=values.shape, dtype=values.dtype, scale=scale
                    ).append(values)
    return path


def config_of(method="translation"):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["overrides"] = {}
    content["networks"]["width"] = 1 / 128
    content["labels"] |= {"fraction": 0.4, "per_batch": 1}
    content["training"] |= {"batch_size": 2, "iterations": 4, "validate_every": 2}
    return resolve_config(
        parse_params(content, origin="test"), task="brats", method=method, init_seed=0
    )


@pytest.mark.slow
def test_a_run_that_broke_off_ends_with_the_bytes_of_an_undisturbed_one(data, monkeypatch):
    drawn = []

    def counted(batch, ranges, *, generator, neighbours):
        drawn.append(generator.initial_seed())
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return augment.augment_batch(batch, ranges, generator=generator, neighbours=neighbours)

    monkeypatch.setattr(loop, "augment_batch", counted)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(), data, "broken")
    train(config_of(), data, "broken")
    # From iteration 2 on again, each with the seed that it had before.
    assert len(drawn) == 6
    assert drawn[4:] == drawn[2:4]
    drawn += [0]
    train(config_of(), data, "whole")
    assert drawn[7:] == [*drawn[:2], *drawn[4:6]]
    for name in ("weights.safetensors", "weights_last.safetensors", "history.jsonl", "frames.npz"):
        assert Path("broken", name).read_bytes() == Path("whole", name).read_bytes(), name


def test_whole_patients_are_labelled_and_scored(data):
    train(config_of("segmentation_only"), data)
    labelled = json.loads(Path("run/labelled_ids.json").read_text())
    assert labelled["unit"] == "volume"
    assert labelled["ids"] in (["a"], ["b"])
    facts = json.loads(Path("run/run.json").read_text())
    assert facts["labelled"] == {"unit": "volume", "n_units": 1, "n_images": 2}
    assert facts["data"]["parameters"]["normalisation"] == "per_sequence"
    score_run(Path("run"), data, threshold=0.5)
    scores = json.loads(Path("run/metrics.json").read_text())["best"]["test"]
    assert scores["n_patients"] == 1
    assert 0 <= scores["dice_hard_patient_3d"] <= 1
    assert scores["hd95_mm_patient"] >= 0
    lines = Path("run/per_patient.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["valid", "c"], ["test", "d"]]


def drop(*names):
    def change(file):
        facts = json.loads(file.attrs["parameters"])
        kept = {name: value for name, value in facts.items() if name not in names}
        file.attrs["parameters"] = json.dumps(kept)

    return change


def put(place, values):
    def change(file):
        file[place][...] = values

    return change


def rename(file):
    file.attrs["channels"] = json.dumps(["t1", "t1c", "t2", "flair"])


def shorten(file):
    values = file["valid/absent/side"][:1]
    del file["valid/absent/side"]
    file["valid/absent/side"] = values


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            drop("volume_shape", "spacing_mm", "mirror_right"),
            "parameters: volume_shape: missing; spacing_mm: missing; mirror_right: missing; .*docs",
        ),
        (lambda file: file["test/absent"].pop("side"), "/test/absent: has no side; .*docs"),
        (shorten, r"/valid/absent/side is \(1,\), expected \(2,\)"),
        (put("valid/present/side", b"Left"), "/valid/present/side: holds 'Left'; expected right"),
        (put("valid/absent/slice_index", 9), "/valid/absent/slice_index: .* 0 to 8"),
        (put("test/absent/slice_index", [0, 4]), "/test has the left half-slice 0 of case d twice"),
        (put("test/present/case_id", b"a"), "case a is in train and in test"),
        (rename, "channels are t1, t1c, t2, flair; those of brats are t1, t2, t1c, flair"),
    ],
)
def test_what_scoring_needs_is_checked_before_training(data, tmp_path, change, words):
    path = tmp_path / "own.h5"
    path.write_bytes(data.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(UserError, match=words) as caught:
        train(config_of(), path)
    assert str(caught.value).startswith(str(path))
    assert not Path("run").exists()

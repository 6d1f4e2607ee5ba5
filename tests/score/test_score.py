import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from segtrans.config.runs import read_metrics, read_run
from segtrans.errors import UserError
from segtrans.methods.weights import WEIGHTS, build_method, save_weights
from segtrans.score import evaluate as score
from segtrans.score.evaluate import per_image, score_method, score_run
from segtrans.score.lesions import count_lesions
from segtrans.score.run_data import check_data


class Brightness(nn.Module):
    """The brighter a pixel, the likelier a lesion."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def segment(self, x):
        return x[:, :1] * self.gain


@pytest.fixture
def trained(write_run, make_store):
    """The folder of a real, untrained run, its method and its data."""

    def make():
        store = make_store()
        folder = write_run("segmentation_only", sha256=store.sha256())
        (folder / "metrics.json").unlink()
        config = read_run(folder).config
        method = build_method(config)
        for name in WEIGHTS.values():
            save_weights(folder / name, method.state_dict(), config)
        return folder, method.eval(), store

    return make


def test_a_perfect_method_is_perfect_and_soft_dice_is_that_of_all_pixels(make_store):
    store = make_store()
    sums = score_method(Brightness(), store, threshold=127.5 / 255, has_patients=False)
    assert list(sums) == ["valid", "test"]
    assert sums["test"].present.dice_hard().tolist() == [1.0] * 6
    assert sums["test"].absent.predicted_pixels.sum() == 0
    p, y = store.images("test", "present")[:, 0] / 255, store.masks("test")
    expected = 2 * (p * y).sum(axis=(1, 2)) / (p.sum(axis=(1, 2)) + y.sum(axis=(1, 2)))
    np.testing.assert_allclose(sums["test"].present.dice_soft(), expected, rtol=1e-6)


def test_segmented_absence_pixels_are_counted(make_store):
    store = make_store()
    sums = score_method(Brightness(), store, threshold=0.3, has_patients=False)
    expected = (store.images("valid", "absent") / 255 > 0.3).sum(axis=(1, 2, 3))
    assert sums["valid"].absent.predicted_pixels.tolist() == expected.tolist()


def test_images_are_listed_with_their_provenance(make_store):
    store = make_store()
    frame = per_image(store, score_method(Brightness(), store, threshold=0.5, has_patients=False))
    assert list(frame.columns) == [
        "fold", "domain", "index", "digit", "source_index",
        "dice_hard", "dice_soft", "soft_overlap", "soft_size", "lesion_pixels", "predicted_pixels",
        "lesions_found", "lesions_missed", "lesions_false",
    ]  # fmt: skip
    assert len(frame) == 2 * 2 * 6
    row = frame[(frame["fold"] == "test") & (frame["domain"] == "present")].iloc[1]
    assert (row["index"], row["digit"], row["source_index"]) == (1, 9, 101)
    mask, segmented = store.masks("test")[1] > 0, store.images("test", "present")[1, 0] > 127.5
    assert row["lesion_pixels"] == mask.sum()
    assert tuple(row["lesions_found":"lesions_false"]) == count_lesions(segmented, mask)
    absent = frame[frame["domain"] == "absent"]
    assert absent["dice_hard"].isna().all()
    assert absent["digit"].isna().all()
    assert (absent["lesion_pixels"] == 0).all()


def test_the_last_weights_are_scored_apart_unless_they_are_the_best(trained, monkeypatch):
    folder, _, store = trained()
    loaded = []
    load = score.load_method
    monkeypatch.setattr(
        score, "load_method", lambda run, *, which: loaded.append(which) or load(run, which=which)
    )
    score_run(folder, store.path, threshold=0.5)
    apart = json.loads((folder / "metrics.json").read_text())
    assert loaded == ["best", "last"]
    facts = json.loads((folder / "run.json").read_text())
    facts["best_iteration"] = facts["config"]["training"]["iterations"]
    (folder / "run.json").write_text(json.dumps(facts))
    score_run(folder, store.path, threshold=0.5)
    assert loaded == ["best", "last", "best"]
    assert json.loads((folder / "metrics.json").read_text()) == apart


def test_lesions_are_summed_over_the_images_of_a_group(make_store, monkeypatch):
    store = make_store()
    group = np.array(["a", "a", "b", "b", "b", "c"])
    monkeypatch.setattr(store, "provenance", lambda fold, domain: {"group": group})
    of = score_method(Brightness(), store, threshold=0.3, has_patients=False)["test"]
    false = of.lesions["present"].lesions_false + of.lesions["absent"].lesions_false
    assert of.groups["group"].tolist() == ["a", "b", "c"]
    assert of.groups["lesions_false"].tolist() == np.bincount([0, 0, 1, 1, 1, 2], false).tolist()


def test_data_without_provenance_can_be_scored(make_store):
    store = make_store(has_digits=False)
    frame = per_image(store, score_method(Brightness(), store, threshold=0.5, has_patients=False))
    assert "digit" not in frame.columns


def test_a_run_is_scored_with_both_weights_on_both_folds(trained):
    folder, method, store = trained()
    score_run(folder, store.path, threshold=0.4)
    metrics = read_metrics(read_run(folder))
    with torch.no_grad():
        x = torch.from_numpy(store.images("test", "present")).float() / 255
        p = method.segment(x)[:, 0].double().numpy()
    y = store.masks("test")
    expected = 2 * (p * y).sum() / (p.sum() + y.sum())
    for which in ("best", "last"):
        scores = getattr(metrics, which)
        assert set(scores) == {"valid", "test"}
        assert scores["test"]["dice_soft_pooled"] == pytest.approx(expected, rel=1e-5)
        assert scores["test"]["dice_hard_patient_3d"] is None
    assert metrics.threshold == 0.4
    assert "dice_hard_patient_3d" in metrics.notes
    frame = pd.read_csv(folder / "per_image.csv")
    assert frame["digit"].dropna().tolist() == [3, 9, 0, 3, 1, 9] * 2
    predicted = (p > 0.4).sum(axis=(1, 2))
    rows = frame[(frame["fold"] == "test") & (frame["domain"] == "present")]
    assert rows["predicted_pixels"].tolist() == predicted.tolist()
    overlap, size, lesion = rows[["soft_overlap", "soft_size", "lesion_pixels"]].sum()
    assert 2 * overlap / (size + lesion) == pytest.approx(expected, rel=1e-5)
    assert "3.0" not in (folder / "per_image.csv").read_text().splitlines()[1].split(",")


def test_scored_twice_the_bytes_are_the_same(trained):
    folder, _, store = trained()
    contents = []
    for _ in range(2):
        score_run(folder, store.path, threshold=0.5)
        contents.append(
            [(folder / name).read_bytes() for name in ("metrics.json", "per_image.csv")]
        )
    assert contents[0] == contents[1]


def test_last_weights_are_scored_too(trained):
    folder, method, store = trained()
    state = {name: tensor * 0 for name, tensor in method.state_dict().items()}
    save_weights(folder / WEIGHTS["last"], state, read_run(folder).config)
    score_run(folder, store.path, threshold=0.5)
    metrics = json.loads((folder / "metrics.json").read_text())
    n_pixels, n_lesion = 6 * 48 * 48, store.masks("test").sum()
    # All weights zero: every probability is one half.
    half = 2 * 0.5 * n_lesion / (0.5 * n_pixels + n_lesion)
    assert metrics["last"]["test"]["dice_soft_pooled"] == pytest.approx(half)
    assert metrics["best"]["test"]["dice_soft_pooled"] != pytest.approx(half)


def test_other_data_than_the_run_was_trained_on_are_refused(trained, make_store):
    folder, _, _ = trained()
    other = make_store(side=32, name="other.h5")
    with pytest.raises(UserError, match=r"other\.h5: not the data of"):
        check_data(read_run(folder), other)
    with pytest.raises(UserError, match=r"other\.h5: not the data of"):
        score_run(folder, other.path, threshold=0.5)
    assert not (folder / "metrics.json").exists()


def test_weights_that_are_not_numbers_are_named(trained):
    folder, method, store = trained()
    state = {name: tensor * math.nan for name, tensor in method.state_dict().items()}
    save_weights(folder / WEIGHTS["best"], state, read_run(folder).config)
    with pytest.raises(UserError, match=r"weights\.safetensors: .*not a number; train"):
        score_run(folder, store.path, threshold=0.5)
    assert not (folder / "metrics.json").exists()

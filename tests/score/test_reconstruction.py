"""Reconstructions that say no more than one grey value: measured against NumPy, and flagged."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from segtrans.config.runs import read_run, read_runs
from segtrans.errors import UserError
from segtrans.methods.inference import reconstruction_errors
from segtrans.methods.weights import WEIGHTS, build_method, save_weights
from segtrans.report.table import write_table
from segtrans.score.evaluate import score_method, score_run
from segtrans.score.reconstruction import flat_point, is_no_better_than_constant


class Reconstructor(nn.Module):
    """Segments nothing; gives back what `how` makes of an image."""

    def __init__(self, how):
        super().__init__()
        self.how, self.weight = how, nn.Parameter(torch.zeros(1))

    def segment(self, x):
        return x[:, :1] * 0

    def reconstruct(self, x):
        return self.how(x)


class Translator(nn.Module):
    """Takes a quarter away from P, and halves what it should leave as it is."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def segment(self, x):
        return x[:, :1] * 0

    def remove(self, x):
        return x / 2, x / 4

    def insert(self, x, u_prior):
        raise NotImplementedError

    def sample_u(self, x, generator):
        raise NotImplementedError


def images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 3, 9, 8)).astype(np.float32)


def test_errors_are_those_of_numpy_and_no_constant_is_better_than_the_median():
    x = images()
    errors = reconstruction_errors(Reconstructor(lambda x: x / 2), torch.from_numpy(x), "absent")
    np.testing.assert_allclose(errors[:, 0], np.abs(x / 2).mean(axis=(1, 2, 3)), rtol=1e-5)
    for value in np.linspace(-0.5, 0.5, 21):
        assert (errors[:, 1] <= np.abs(x - value).mean(axis=(1, 2, 3)) + 1e-6).all()
    median = np.median(x, axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(errors[:, 1], np.abs(x - median).mean(axis=(1, 2, 3)), rtol=1e-5)


def test_a_translation_reconstructs_p_with_its_residual_and_a_without():
    x = torch.from_numpy(images())
    size = x.abs().mean(dim=(1, 2, 3)).numpy()
    for domain, share in (("present", 1 / 4), ("absent", 1 / 2)):
        errors = reconstruction_errors(Translator(), x, domain)
        np.testing.assert_allclose(errors[:, 0], share * size, rtol=1e-5)


def test_a_reconstruction_that_is_no_number_is_refused():
    method = Reconstructor(lambda x: x * math.nan)
    with pytest.raises(ValueError, match="reconstruction is infinite or not a number"):
        reconstruction_errors(method, torch.ones(1, 1, 2, 2), "absent")


def test_both_domains_of_a_fold_are_measured(make_store):
    store = make_store()
    sums = score_method(Reconstructor(lambda x: x * 0), store, threshold=0.5, has_patients=False)[
        "test"
    ]
    x = np.concatenate([store.images("test", domain) for domain in ("present", "absent")]) / 255
    np.testing.assert_allclose(sums.reconstruction[:, 0], x.mean(axis=(1, 2, 3)), rtol=1e-5)


def test_metrics_hold_both_errors_or_say_why_not(write_run, make_store):
    store = make_store()
    for method in ("segmentation_only", "autoencoder", "translation"):
        folder = write_run(method, sha256=store.sha256())
        config = read_run(folder).config
        for name in WEIGHTS.values():
            save_weights(folder / name, build_method(config).state_dict(), config)
        score_run(folder, store.path, threshold=0.5)
        metrics = json.loads((folder / "metrics.json").read_text())
        test = metrics["best"]["test"]
        if method == "segmentation_only":
            assert test["reconstruction_l1"] is test["reconstruction_l1_constant"] is None
            assert metrics["notes"]["reconstruction_l1"] == "null: the method reconstructs nothing"
        else:
            assert test["reconstruction_l1"] > 0
            assert "reconstruction_l1" not in metrics["notes"]


@pytest.mark.parametrize(
    ("reconstruction", "is_flat"), [(0.1001, True), (0.096, True), (0.09, False), (None, False)]
)
def test_no_better_than_a_constant_is_95_percent_of_its_error(write_run, reconstruction, is_flat):
    run = read_run(write_run("autoencoder", reconstruction=reconstruction))  # the constant has 0.1
    assert is_no_better_than_constant(run) == is_flat


def test_such_a_row_has_a_mark_in_the_table_and_is_named_below_it(write_run, tmp_path):
    folders = [
        write_run("autoencoder", 0, reconstruction=0.1),
        write_run("autoencoder", 1, reconstruction=0.05),
        write_run("translation", reconstruction=0.05),
    ]
    write_table(
        folders,
        output_csv=tmp_path / "table.csv",
        output_md=tmp_path / "table.md",
        output_json=tmp_path / "dice.json",
    )
    text = (tmp_path / "table.md").read_text()
    assert "| AE baseline † |" in text
    assert "| Proposed  " in text
    named = "† Reconstruction no better than a constant: AE baseline (MNIST 48×48 simple), 1 of 2"
    assert named in text
    assert (tmp_path / "table.csv").read_text().splitlines()[1].split(",")[7] == "1"
    write_table(
        folders[1:],
        output_csv=tmp_path / "table.csv",
        output_md=tmp_path / "table.md",
        output_json=tmp_path / "dice.json",
    )
    assert "†" not in (tmp_path / "table.md").read_text()
    assert flat_point(read_runs(folders[1:])) == ""


def test_metrics_of_an_earlier_version_are_to_be_made_again(write_run):
    folder = write_run("autoencoder")
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["best"]["test"]["reconstruction_l1"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(
        UserError, match=r"metrics.json: .*reconstruction_l1: missing.*evaluate the run"
    ):
        is_no_better_than_constant(read_run(folder))

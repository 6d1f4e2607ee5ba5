import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.run_files import fold_scores, make_config, run_facts


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
    """The content of `run.json`."""
    source = "5,000 digits of MNIST"
    return run_facts(make_config(init_seed=3), preset="smoke", data={"source": source})


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
    figures = fold_scores(0.55, false_positives=12)
    facts = json.loads((folder / "run.json").read_text())
    metrics = {
        "best": {"valid": figures, "test": figures},
        "last": {"valid": figures, "test": figures},
        "threshold": 0.5,
        "config_identity": facts["config_identity"],
        "data_sha256": facts["data"]["sha256"],
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))

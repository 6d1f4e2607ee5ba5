"""A training run as it goes, mirrored to MLflow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from segtrans.config.catalogue import method_name
from segtrans.config.run_record import RunOrigin
from segtrans.tracking.mlflow_run import (
    CONFIG_TAG,
    DATA_TAG,
    FOLDER_TAG,
    VARIANT_TAG,
    MlflowRun,
    RunDescription,
    open_run,
)
from segtrans.tracking.store import connect, failures_warn

_CONSEQUENCE = "tracking is off for this run, training goes on; `segtrans track` completes it"


def describe_run(run_folder: Path, origin: RunOrigin) -> RunDescription:
    """How the run of `run_folder` is filed, the same while training and when replayed.

    Args:
        run_folder: tagged as an absolute path, so that two checkouts that share a server do not
            take each other's runs.
        origin: of `run.json`, or what will stand there.
    """
    config, data, variant = origin.config, origin.data, origin.variant
    tags = {
        CONFIG_TAG: origin.config_identity,
        DATA_TAG: data.sha256,
        FOLDER_TAG: str(run_folder.resolve()),
        VARIANT_TAG: variant,
        "segtrans.source": data.source,
        "segtrans.commit": origin.commit,
    }
    return {
        "experiment": f"segtrans/{origin.preset}/{config.task}",
        "name": f"{method_name(config.method, variant)}/seed{config.init_seed}",
        "params": {"preset": origin.preset, **_flatten(config.model_dump(mode="json"))},
        "tags": {key: str(value) for key, value in tags.items() if value is not None},
    }


class RunTracker:
    """Logs one training run and never raises: a failure warns once and switches it off.

    A run that is opened again gets no step twice: what it holds is read first.

    Attributes:
        run_id: MLflow's name of the run, to be kept in checkpoints; None when tracking is off.
    """

    def __init__(
        self,
        *,
        experiment: str,
        name: str,
        params: dict[str, str],
        tags: dict[str, str],
        run_id: str | None = None,
    ) -> None:
        self.run_id: str | None = None
        self._run: MlflowRun | None = None
        description: RunDescription = {
            "experiment": experiment,
            "name": name,
            "params": params,
            "tags": tags,
        }
        with failures_warn(_CONSEQUENCE):
            run = open_run(connect(), description, run_id, is_training=True)
            run.set_status("RUNNING")
            self._run, self.run_id = run, run.run_id

    def log(self, record: Mapping[str, Any]) -> None:
        """Log one history record, in one call, as "train/<term>" and "valid/<name>"."""
        # Off while the call lasts: it stays off when the call fails.
        run, self._run = self._run, None
        if run is not None:
            with failures_warn(_CONSEQUENCE):
                run.log_records([record])
                self._run = run

    def close(self, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED") -> None:
        """End the run; nothing can be logged afterwards."""
        run, self._run = self._run, None
        if run is not None:
            with failures_warn("the run stays RUNNING until it is tracked again"):
                run.set_status(status)


def _flatten(block: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in block.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(list(value) if isinstance(value, tuple) else value)
    return flat

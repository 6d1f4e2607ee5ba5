"""A finished run folder, brought to MLflow whole, whatever was tracked while it trained."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segtrans.errors import UserError
from segtrans.runs import read_facts, read_history, read_object
from segtrans.tracking.calls import attempt_all
from segtrans.tracking.mlflow_run import open_run
from segtrans.tracking.run import describe_run
from segtrans.tracking.store import connect, failures_warn

_ARTEFACTS = (
    "run.json",
    "history.jsonl",
    "labelled_ids.json",
    "metrics.json",
    "per_image.csv",
    "per_patient.csv",
    "weights.safetensors",
    "panel.png",
)


def track_runs(run_folders: Iterable[Path]) -> dict[str, str | None]:
    """MLflow's id of each run folder, brought to MLflow with `track_run`; None where that failed.

    Runs after one for which the server was waited for in vain are not tried.

    Raises:
        UserError: as `track_run`.
    """
    folders = list(run_folders)
    return dict(zip(map(str, folders), attempt_all(folders, track_run), strict=True))


def track_run(run_folder: Path) -> str | None:
    """Add to MLflow what it lacks of a finished run; a second call adds nothing.

    That is: history records as curves, the scores of `metrics.json` as "<fold>/<best or
    last>/<name>", and the files of the folder as artefacts; files that are not there are left out.

    Returns:
        MLflow's id of the run; None when MLflow failed, of which a line on stderr tells.

    Raises:
        UserError: `run.json` or `history.jsonl` is missing, or a file is damaged.
    """
    facts = read_facts(run_folder)
    history = read_history(run_folder)
    metrics = run_folder / "metrics.json"
    scores = _scores(read_object(metrics, hint="evaluate the run")) if metrics.exists() else {}
    try:
        description = describe_run(run_folder, facts)
    except (KeyError, TypeError) as error:
        raise UserError(f"{run_folder / 'run.json'}: lacks {error}; train the run again") from error
    with failures_warn(f"{run_folder} is not tracked; track it again later"):
        run_id = facts.get("mlflow_run_id")
        run = open_run(connect(), description, run_id, is_training=False)
        run.log_records(history)
        run.log_scores(scores)
        files = [run_folder / name for name in _ARTEFACTS]
        run.log_files([file for file in files if file.is_file()])
        run.set_status("FINISHED")
        return run.run_id
    return None


def _scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{fold}/{which}/{name}": value
        for which in ("best", "last")
        for fold, figures in metrics.get(which, {}).items()
        for name, value in _numbers(figures)
    }


def _numbers(block: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    # Figures may stand in groups; a figure that does not exist for a task is null, or says why.
    numbers: list[tuple[str, float]] = []
    for key, value in block.items():
        if isinstance(value, Mapping):
            numbers += _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and math.isfinite(value):
            numbers.append((f"{prefix}{key}", float(value)))
    return numbers

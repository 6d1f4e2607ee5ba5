"""A finished run folder, brought to MLflow whole, whatever was tracked while it trained."""

from collections.abc import Iterable
from pathlib import Path

from segtrans.config.run_record import Metrics, Scores
from segtrans.config.runs import read_history, read_metrics, read_run
from segtrans.tracking.calls import attempt_all
from segtrans.tracking.mlflow_run import open_run
from segtrans.tracking.store import connect, failures_warn
from segtrans.tracking.tracker import describe_run

_ARTEFACTS = (
    "run.json",
    "history.jsonl",
    "labelled_ids.json",
    "metrics.json",
    "per_image.csv",
    "per_patient.csv",
    "weights.safetensors",
    "panel.png",
    "progress.png",
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
    finished = read_run(run_folder)
    history = read_history(finished)
    is_evaluated = (run_folder / "metrics.json").exists()
    scores = _scores(read_metrics(finished)) if is_evaluated else {}
    description = describe_run(run_folder, finished.record)
    with failures_warn(f"{run_folder} is not tracked; track it again later"):
        run_id = finished.record.mlflow_run_id
        run = open_run(connect(), description, run_id, is_training=False)
        run.log_records([record.model_dump() for record in history])
        run.log_scores(scores)
        files = [run_folder / name for name in _ARTEFACTS]
        run.log_files([file for file in files if file.is_file()])
        run.set_status("FINISHED")
        return run.run_id
    return None


def _scores(metrics: Metrics) -> dict[str, float]:
    return {
        f"{fold}/{which}/{name}": value
        for which in ("best", "last")
        for fold, scores in getattr(metrics, which).items()
        for name, value in _numbers(scores).items()
    }


def _numbers(scores: Scores) -> dict[str, float]:
    # A figure that does not exist for a task is null.
    return {name: float(value) for name, value in scores.items() if value is not None}

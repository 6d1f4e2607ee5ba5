"""One run in the store: found or created, and given only what it does not hold yet.

Everything here may raise what MLflow raises; callers wrap it in `failures_warn`.
"""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from segtrans.digests import file_sha256
from segtrans.tracking.store import artifact_location, mlflow_command, patient_requests

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

CONFIG_TAG = "segtrans.run_config"
DATA_TAG = "segtrans.data_sha256"
FOLDER_TAG = "segtrans.run_folder"
VARIANT_TAG = "segtrans.variant"
_ARTEFACTS_TAG = "segtrans.artefacts"
_METRICS_PER_BATCH = 1000  # MLflow refuses more
_CURVES = ("train", "valid")
# Which of MLflow's views an experiment opens in: that of trainings.
_KIND = {"mlflow.experimentKind": "custom_model_development"}


class RunDescription(TypedDict):
    """How a run is filed; the keyword arguments of `RunTracker` but for `run_id`.

    Attributes:
        experiment: "segtrans/<preset>/<task>".
        name: "<method>/seed<k>".
        params: the run configuration, flattened ("training.batch_size").
        tags: identities of run configuration and data, run folder, variant, source, commit.
    """

    experiment: str
    name: str
    params: dict[str, str]
    tags: dict[str, str]


class MlflowRun:
    """A run that skips every parameter, point and artefact that it holds already.

    Attributes:
        run_id: MLflow's name of the run.
    """

    def __init__(self, client: "MlflowClient", run: "Run") -> None:
        self.run_id: str = run.info.run_id
        self._client = client
        self._run = run
        self._steps = {key: self._steps_of(key) for key in run.data.metrics if _is_curve(key)}

    def log_facts(self, description: RunDescription) -> None:
        """Log parameters that are missing and tags that differ."""
        from mlflow.entities import Param, RunTag

        params, tags = self._run.data.params, self._run.data.tags
        # A parameter cannot change in MLflow: one that is there stays.
        new_params = [Param(k, v) for k, v in description["params"].items() if k not in params]
        new_tags = [RunTag(k, v) for k, v in description["tags"].items() if tags.get(k) != v]
        if new_params or new_tags:
            self._client.log_batch(self.run_id, params=new_params, tags=new_tags, synchronous=True)

    def log_records(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Log the points of history records that are missing, up to 1,000 in a call."""
        points = [
            (key, value, record["iteration"])
            for record in records
            for key, value in _points(record)
            if record["iteration"] not in self._steps.get(key, ())
        ]
        for start in range(0, len(points), _METRICS_PER_BATCH):
            self._log_points(points[start : start + _METRICS_PER_BATCH])

    def log_scores(self, scores: Mapping[str, float]) -> None:
        """Log final figures whose present value differs; the newest value is the one shown."""
        held = self._run.data.metrics
        self._log_points([(k, v, 0) for k, v in scores.items() if held.get(k) != v])

    def log_files(self, files: Iterable[Path]) -> None:
        """Upload the files whose bytes are not there yet."""
        held = json.loads(self._run.data.tags.get(_ARTEFACTS_TAG, "{}"))
        hashes = {file.name: file_sha256(file) for file in files}
        changed = [file for file in files if held.get(file.name) != hashes[file.name]]
        if not changed:
            return
        for file in changed:
            with patient_requests(file.stat().st_size):
                self._client.log_artifact(self.run_id, str(file))
        # Written last: an upload that was broken off is made again.
        text = json.dumps(held | hashes, sort_keys=True)
        self._client.set_tag(self.run_id, _ARTEFACTS_TAG, text)

    def set_status(self, status: str) -> None:
        """Set RUNNING, FINISHED, FAILED or KILLED when the run has another status."""
        if self._run.info.status == status:
            return
        if status == "RUNNING":
            self._client.update_run(self.run_id, status=status)
        else:
            self._client.set_terminated(self.run_id, status=status)
        self._run = self._client.get_run(self.run_id)

    def _steps_of(self, key: str) -> set[int]:
        return {point.step for point in self._client.get_metric_history(self.run_id, key)}

    def _log_points(self, points: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        if not points:
            return
        now_ms = time.time_ns() // 1_000_000
        metrics = [Metric(key, value, now_ms, step) for key, value, step in points]
        self._client.log_batch(self.run_id, metrics=metrics, synchronous=True)
        for key, _, step in points:
            self._steps.setdefault(key, set()).add(step)


def open_run(
    client: "MlflowClient", description: RunDescription, run_id: str | None, *, is_training: bool
) -> MlflowRun:
    """Open the run `run_id`, else the one with the same identity tags, else a new one.

    A training adopts by tags only what a killed one left RUNNING: a finished run with the same
    tags is an earlier training. Any other RUNNING run of the same folder is left behind by a
    killed process and is marked KILLED.
    """
    experiment_id = _experiment_id(client, description["experiment"])
    same_folder = _runs_of_folder(client, experiment_id, description)
    running = [run for run in same_folder if run.info.status == "RUNNING"]
    run = _run_by_id(client, run_id)
    if run is None:
        candidates = running if is_training else same_folder
        run = next((run for run in candidates if _same_identity(run, description)), None)
    for other in running:
        if run is None or other.info.run_id != run.info.run_id:
            client.set_terminated(other.info.run_id, status="KILLED")
    if run is None:
        tags = dict(description["tags"])
        run = client.create_run(experiment_id, run_name=description["name"], tags=tags)
    opened = MlflowRun(client, run)
    opened.log_facts(description)
    return opened


def _experiment_id(client: "MlflowClient", name: str) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(
                client.create_experiment(name, artifact_location=artifact_location(), tags=_KIND)
            )
        except MlflowException:  # another process may have been faster
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    number = str(experiment.experiment_id)
    if experiment.lifecycle_stage != "active":
        restore = mlflow_command("experiments", "restore", "--experiment-id", number)
        raise RuntimeError(f"experiment {name} was deleted; to restore it: {restore}")
    return number


def _run_by_id(client: "MlflowClient", run_id: str | None) -> "Run | None":
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        # The id may come from another store; any other failure must not make a second run.
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def _runs_of_folder(
    client: "MlflowClient", experiment_id: str, description: RunDescription
) -> "list[Run]":
    # By name, then by tag here: a path may hold quotes that MLflow's filter cannot.
    runs = client.search_runs(
        [experiment_id],
        filter_string=f"attributes.run_name = '{description['name']}'",
        order_by=["attributes.start_time DESC"],
    )
    folder = description["tags"][FOLDER_TAG]
    return [run for run in runs if run.data.tags.get(FOLDER_TAG) == folder]


def _same_identity(run: "Run", description: RunDescription) -> bool:
    tags = description["tags"]
    return all(run.data.tags.get(key) == tags[key] for key in (CONFIG_TAG, DATA_TAG))


def _points(record: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for part in _CURVES:
        for name, value in record[part].items():
            yield f"{part}/{name}", float(value)


def _is_curve(key: str) -> bool:
    return key.partition("/")[0] in _CURVES

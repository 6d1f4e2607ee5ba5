import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segtrans.tracking import RunTracker, describe_run
from tests.run_files import origin_of, with_config

TRAIN_UNTIL_KILLED = """
import json, sys
from segtrans.tracking import RunTracker
asked = json.loads(sys.argv[1])
tracker = RunTracker(**asked["description"], run_id=asked["run_id"])
for record in asked["records"]:
    tracker.log(record)
print(tracker.run_id, flush=True)
sys.stdin.read()
"""


def _steps(client: Any, run_id: str, key: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run_id, key))


def _runs(client: Any) -> list[Any]:
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids))


def test_a_variant_is_named_and_tagged(facts: dict[str, Any]) -> None:
    description = describe_run(Path("results/x"), origin_of(facts | {"variant": "without_cycle"}))
    assert description["name"] == "translation-without_cycle/seed3"
    assert description["tags"]["segtrans.variant"] == "without_cycle"
    plain = describe_run(Path("results/x"), origin_of(facts | {"variant": None}))
    assert plain == describe_run(Path("results/x"), origin_of(facts))
    assert "segtrans.variant" not in plain["tags"]


def test_a_run_is_described_by_its_configuration_and_its_data(
    facts: dict[str, Any], tmp_path: Path
) -> None:
    description = describe_run(Path("results/x"), origin_of(facts))
    assert description["experiment"] == "segtrans/smoke/mnist48_simple"
    assert description["name"] == "translation/seed3"
    assert {
        "preset": "smoke",
        "task": "mnist48_simple",
        "method": "translation",
        "init_seed": "3",
        "data_seed": "0",
        "labels.fraction": "0.01",
        "labels.digits": "[9]",
        "labels.per_batch": "3",
        "weights.lambda_adv": "3.0",
        "weights.lambda_seg": "1.0",
        "training.batch_size": "8",
        "training.precision": "fp32",
    }.items() <= description["params"].items()
    assert description["tags"] == {
        "segtrans.run_config": facts["config_identity"],
        "segtrans.data_sha256": "ab" * 32,
        "segtrans.run_folder": str(tmp_path / "results/x"),
        "segtrans.source": "5,000 digits of MNIST",
        "segtrans.commit": "c0ffee",
    }
    unknown = origin_of({**facts, "commit": None})
    assert "segtrans.commit" not in describe_run(Path(), unknown)["tags"]


def test_parameters_tags_and_points_reach_the_store(
    client: Any, facts: dict[str, Any], records: list[dict[str, Any]]
) -> None:
    description = describe_run(Path("r"), origin_of(facts))
    tracker = RunTracker(**description)
    for record in records:
        tracker.log(record)
    tracker.close()
    run = client.get_run(tracker.run_id)
    assert run.data.params == description["params"]
    assert description["tags"].items() <= run.data.tags.items()
    assert run.info.run_name == "translation/seed3"
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "segtrans/smoke/mnist48_simple"
    assert _steps(client, tracker.run_id, "train/seg") == [(100, 0.9), (200, 0.4)]
    assert _steps(client, tracker.run_id, "valid/dice_soft_pooled") == [
        (0, 0.1),
        (100, 0.3),
        (200, 0.6),
    ]


def test_a_record_is_one_call(
    client: Any,
    facts: dict[str, Any],
    records: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.tracking import MlflowClient

    calls = []
    log_batch = MlflowClient.log_batch

    def count(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        return log_batch(self, *args, **kwargs)

    tracker = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    monkeypatch.setattr(MlflowClient, "log_batch", count)
    tracker.log(records[1])
    assert [len(call["metrics"]) for call in calls] == [3]


@pytest.mark.slow
@pytest.mark.parametrize("keeps_run_id", [True, False])
def test_killed_twice_is_one_run_and_no_step_twice(
    client: Any, facts: dict[str, Any], records: list[dict[str, Any]], keeps_run_id: bool
) -> None:
    # Without the id the process died before its first checkpoint.
    run_id, description = None, describe_run(Path("r"), origin_of(facts))
    for n_records in (1, 2):
        asked = {"description": description, "run_id": run_id, "records": records[:n_records]}
        killed = _train_and_kill(asked)
        assert client.get_run(killed).info.status == "RUNNING"
        run_id = killed if keeps_run_id else None
    tracker = RunTracker(**description, run_id=run_id)
    for record in records:
        tracker.log(record)
    tracker.close()
    (run,) = _runs(client)
    assert run.info.status == "FINISHED"
    assert _steps(client, tracker.run_id, "train/adv_A") == [(100, -0.5), (200, -0.7)]
    assert [step for step, _ in _steps(client, tracker.run_id, "valid/dice_soft_pooled")] == [
        0,
        100,
        200,
    ]


def _train_and_kill(asked: dict[str, Any]) -> str:
    import json

    with subprocess.Popen(
        [sys.executable, "-c", TRAIN_UNTIL_KILLED, json.dumps(asked)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        os.kill(process.pid, signal.SIGKILL)
    return run_id


def test_a_run_of_other_parameters_left_running_is_marked_killed(
    client: Any, facts: dict[str, Any]
) -> None:
    left = RunTracker(**describe_run(Path("r"), origin_of(with_config(facts, data_seed=9))))
    elsewhere = RunTracker(**describe_run(Path("elsewhere"), origin_of(facts)))
    tracker = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    assert client.get_run(left.run_id).info.status == "KILLED"
    assert client.get_run(elsewhere.run_id).info.status == "RUNNING"
    assert client.get_run(tracker.run_id).info.status == "RUNNING"
    assert len({left.run_id, elsewhere.run_id, tracker.run_id}) == 3


def test_a_finished_run_is_not_continued_by_a_new_training(
    client: Any, facts: dict[str, Any]
) -> None:
    first = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    first.close()
    second = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    assert second.run_id != first.run_id
    assert client.get_run(first.run_id).info.status == "FINISHED"


def test_a_run_id_of_another_store_makes_a_new_run(
    client: Any, facts: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = RunTracker(**describe_run(Path("r"), origin_of(facts)), run_id="f" * 32)
    assert tracker.run_id not in (None, "f" * 32)
    assert capsys.readouterr().err == ""


def test_a_deleted_run_is_not_continued(client: Any, facts: dict[str, Any]) -> None:
    first = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    assert first.run_id is not None
    client.delete_run(first.run_id)
    second = RunTracker(**describe_run(Path("r"), origin_of(facts)), run_id=first.run_id)
    assert second.run_id not in (None, first.run_id)


def test_a_run_closed_as_failed_runs_again_when_resumed(client: Any, facts: dict[str, Any]) -> None:
    first = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    first.close("FAILED")
    assert client.get_run(first.run_id).info.status == "FAILED"
    again = RunTracker(**describe_run(Path("r"), origin_of(facts)), run_id=first.run_id)
    assert again.run_id == first.run_id
    assert client.get_run(first.run_id).info.status == "RUNNING"


def test_a_parameter_that_changed_stops_nothing(
    client: Any, facts: dict[str, Any], records: list[dict[str, Any]]
) -> None:
    description = describe_run(Path("r"), origin_of(facts))
    first = RunTracker(**description)
    description["params"] |= {"training.batch_size": "16", "added": "1"}
    again = RunTracker(**description, run_id=first.run_id)
    again.log(records[0])
    run = client.get_run(first.run_id)
    assert run.data.params["training.batch_size"] == "8"
    assert run.data.params["added"] == "1"
    assert run.data.metrics == {"valid/dice_soft_pooled": 0.1}


def test_a_refused_connection_warns_once(
    facts: dict[str, Any],
    records: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    tracker = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    tracker.log(records[0])
    tracker.close()
    assert tracker.run_id is None
    out, error = capfd.readouterr()
    assert out == ""
    assert error.startswith("warning: MLflow at http://127.0.0.1:9: ")
    assert error.endswith("`segtrans track` completes it\n")
    assert error.count("\n") == 1


def test_a_server_that_never_answers_is_left_alone(
    facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        tracker = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    assert tracker.run_id is None
    assert capfd.readouterr().err.count("\n") == 1


def test_a_store_lost_in_the_middle_warns_once(
    client: Any,
    facts: dict[str, Any],
    records: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from mlflow.tracking import MlflowClient

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OSError("disk is full\nand more")

    tracker = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    run_id = tracker.run_id
    monkeypatch.setattr(MlflowClient, "log_batch", fail)
    for record in records:
        tracker.log(record)
    monkeypatch.undo()
    tracker.close()
    error = capsys.readouterr().err
    assert "disk is full; tracking is off" in error
    assert error.count("\n") == 1
    assert tracker.run_id == run_id  # a resumed training goes on with it


def test_mlflow_that_cannot_be_imported_stops_nothing(
    facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    assert RunTracker(**describe_run(Path("r"), origin_of(facts))).run_id is None
    assert capsys.readouterr().err.startswith("warning: ")

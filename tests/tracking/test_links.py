import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from segtrans.tracking import RunTracker, comparison_links, describe_run
from tests.run_files import origin_of, with_config

EXPERIMENT = "segtrans/smoke/mnist48_simple"


def _track(facts: dict[str, Any], seed: int, status: Any) -> str | None:
    origin = origin_of(with_config(facts, init_seed=seed))
    tracker = RunTracker(**describe_run(Path(f"r{seed}"), origin))
    tracker.close(status)
    return tracker.run_id


def test_the_links_compare_the_newest_finished_run_of_each_name(
    client: Any, store: str, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/mlflow")
    _track(facts, 0, "FINISHED")
    again = _track(facts, 0, "FINISHED")
    other = _track(facts, 1, "FINISHED")
    _track(facts, 2, "KILLED")
    number = client.get_experiment_by_name(EXPERIMENT).experiment_id
    start, scores, curves, compare = comparison_links([EXPERIMENT, "segtrans/smoke/not_there"])
    assert start.startswith(f"MLflow: mlflow ui --backend-store-uri {store} ")
    page = "http://127.0.0.1:5000"
    assert scores.endswith(
        f" {page}/#/experiments/{number}/runs?compareRunsMode=CHART&workflowType=machine_learning"
    )
    assert f"curves: {page}/#/metric?" in curves
    assert f" {page}/#/compare-runs?" in compare
    for link in (curves, compare):
        query = parse_qs(link.partition("?")[2])
        assert json.loads(query["runs"][0]) == [again, other]
        assert json.loads(query["experiments"][0]) == [number]
    assert json.loads(parse_qs(curves.partition("?")[2])["metric"][0]) == "valid/dice_soft_pooled"


def test_a_deleted_experiment_has_no_links(
    client: Any, store: str, facts: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    _track(facts, 0, "FINISHED")
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)
    assert len(comparison_links([EXPERIMENT])) == 1
    assert capfd.readouterr().err == ""


def test_the_command_works_without_the_environment_on_path(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    (start,) = comparison_links([])
    assert start.startswith(f"MLflow: {Path(sys.executable).with_name('mlflow')} ui ")


def test_a_server_is_named_by_its_own_address(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9/")
    assert comparison_links([EXPERIMENT]) == ["MLflow: http://127.0.0.1:9"]
    assert capfd.readouterr().err.endswith("no links to the comparison\n")


def test_the_password_of_a_database_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@127.0.0.1:9/runs")
    (start,) = comparison_links([EXPERIMENT])
    assert '--backend-store-uri "$MLFLOW_TRACKING_URI"' in start
    assert "secret" not in start + capfd.readouterr().err


def test_the_password_of_a_server_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    assert comparison_links([EXPERIMENT]) == ["MLflow: http://***@127.0.0.1:9"]
    assert "secret" not in capfd.readouterr().err

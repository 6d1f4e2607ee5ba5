"""A training whose MLflow server is killed on the way."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

from tests.limits import WAIT_S
from tests.train.training import n_records

pytestmark = pytest.mark.slow


@pytest.fixture
def serve(tmp_path):
    """A function that starts a real server, always on the same port and store."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started = []

    def serve():
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
        command += ["--artifacts-destination", str(tmp_path / "kept")]
        with (tmp_path / "server.log").open("a") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        started.append(process)
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                if requests.get(f"http://127.0.0.1:{port}/health", timeout=60).ok:
                    return process
            except requests.RequestException:
                time.sleep(0.5)
        raise AssertionError("the server did not start")

    serve.uri = f"http://127.0.0.1:{port}"
    yield serve
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_training_ends_well_and_the_missing_history_is_replayed(
    serve, tiny_data, make_config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")  # a busy machine is no dead server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", serve.uri)
    server = serve()
    config = make_config("autoencoder", iterations=600, validate_every=20)
    command = [*(sys.executable, "-m", "segtrans", "train", "--run-config", config.to_json())]
    command += ["--data", str(tiny_data), "--output", "run", "--checkpoints", "checkpoints"]
    training = subprocess.Popen(
        [*command, "--gpus", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while training.poll() is None and n_records("checkpoints") < 5:
        time.sleep(0.02)
    assert training.poll() is None
    os.killpg(server.pid, signal.SIGKILL)
    _, errors = training.communicate(timeout=WAIT_S)
    assert training.returncode == 0, errors
    assert "tracking is off for this run, training goes on" in errors
    serve()
    for _ in range(2):
        subprocess.run([sys.executable, "-m", "segtrans", "track", "run"], check=True)
    assert_whole(serve.uri)


def assert_whole(uri):
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (experiment,) = (e for e in client.search_experiments() if e.name.startswith("segtrans/"))
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "valid/dice_soft_pooled")
    assert sorted(point.step for point in points) == list(range(0, 601, 20))
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"weights.safetensors", "history.jsonl", "run.json"} <= names

"""Servers that are dead, silent or slow, of real sockets, and what is said of them."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from segtrans.tracking import RunTracker, describe_run, track_run, track_runs
from tests.run_files import origin_of, with_config


@pytest.fixture
def trickle(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """The connections to a server that answers each with an endless header, byte by byte."""
    connections: list[socket.socket] = []

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                connection.sendall(b"a")
                time.sleep(0.2)

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connections.append(connection)
                threading.Thread(target=drip, args=(connection,), daemon=True).start()

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield connections


@pytest.fixture
def three_runs(run_folder: Path) -> list[Path]:
    others = [run_folder.with_name(f"seed{seed}") for seed in (4, 5)]
    for other in others:
        shutil.copytree(run_folder, other)
        facts = json.loads((other / "run.json").read_text())
        facts = with_config(facts, init_seed=int(other.name[-1]))
        (other / "run.json").write_text(json.dumps(facts))
        metrics = json.loads((other / "metrics.json").read_text())
        metrics["config_identity"] = facts["config_identity"]
        (other / "metrics.json").write_text(json.dumps(metrics))
    return [run_folder, *others]


@pytest.mark.slow
def test_a_server_that_sends_a_byte_now_and_then_is_left_after_a_deadline(
    trickle: list[socket.socket], run_folder: Path
) -> None:
    code = "import sys; from segtrans.tracking import track_runs; from pathlib import Path; "
    code += "print(track_runs([Path(sys.argv[1])]))"
    command = [sys.executable, "-c", code, str(run_folder)]
    # The process ends too, with a call of it still open.
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == f"{{'{run_folder}': None}}\n"
    assert "no whole answer within 3 s" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_training_goes_on_beside_such_a_server(
    trickle: list[socket.socket],
    facts: dict[str, Any],
    records: list[Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    tracker = RunTracker(**describe_run(Path("r"), origin_of(facts)))
    tracker.log(records[0])
    tracker.close()
    assert tracker.run_id is None
    assert capfd.readouterr().err.endswith(
        "tracking is off for this run, training goes on; `segtrans track` completes it\n"
    )
    assert len(trickle) == 1


def test_a_server_that_was_waited_for_once_is_not_waited_for_again(
    trickle: list[socket.socket], three_runs: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert track_runs(three_runs) == dict.fromkeys(map(str, three_runs))
    assert len(trickle) == 1
    assert capfd.readouterr().err.count("\n") == 1


def test_one_run_that_fails_at_once_does_not_stop_the_others(
    client: Any, three_runs: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with (three_runs[0] / "history.jsonl").open("a") as file:
        file.write('{"iteration": 300, "train": {"?": 1.0}, "valid": {"dice_soft_pooled": 0.5}}\n')
    ids = track_runs(three_runs)
    assert "train/?" in capfd.readouterr().err
    assert [i is None for i in ids.values()] == [True, False, False]


@pytest.mark.slow
def test_a_deleted_experiment_names_the_command_that_restores_it(
    client: Any, run_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    first = track_run(run_folder)
    number = client.get_experiment_by_name("segtrans/smoke/mnist48_simple").experiment_id
    client.delete_experiment(number)
    assert track_run(run_folder) is None
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    command = error.partition("to restore it: ")[2].partition(";")[0]
    assert command.endswith(f"mlflow experiments restore --experiment-id {number}")
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["env", *shlex.split(command)],
        check=True,
        capture_output=True,
        env=os.environ | {"PATH": programs},
    )
    assert track_run(run_folder) == first

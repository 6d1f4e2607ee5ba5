import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from segtrans.tracking import tracking_uri
from segtrans.tracking.store import (
    artifact_location,
    connect,
    failures_warn,
    patient_requests,
    sqlite_file,
)

OPEN_AND_LOG = """
import sys
from pathlib import Path
from segtrans.tracking import RunTracker
seed = sys.argv[1]
tags = {"segtrans.run_config": seed, "segtrans.data_sha256": "d"}
tags["segtrans.run_folder"] = f"/r/{seed}"
tracker = RunTracker(experiment="segtrans/s/t", name=f"m/seed{seed}", params={}, tags=tags)
for i in range(20):
    tracker.log({"iteration": i, "train": {"seg": 0.5, "total": 1.0}, "valid": {"dice": i / 20}})
tracker.close()
"""


def test_the_default_is_an_absolute_sqlite_file_in_the_working_directory(tmp_path: Path) -> None:
    assert tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    assert artifact_location() == f"file://{tmp_path}/mlartifacts"


def test_the_environment_names_another_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org/mlflow")
    assert tracking_uri() == "https://example.org/mlflow"
    assert artifact_location() is None  # the server decides
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///sub/other.db?timeout=9")
    assert sqlite_file(tracking_uri()) == tmp_path / "sub/other.db"


def test_a_new_store_opens_in_write_ahead_mode_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a folder with 'quotes'" / "runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    connect()
    connect()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert connection.execute("select count(*) from experiments").fetchone() == (1,)
    assert not (tmp_path / "mlflow.db").exists()


def test_a_store_that_cannot_be_made_warns_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    with failures_warn("no store"):
        connect()
    error = capsys.readouterr().err
    assert error.startswith(f"warning: MLflow at sqlite:///{tmp_path}/file/mlflow.db: ")
    assert error.count("\n") == 1


def test_the_defaults_for_requests_yield_to_the_users(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "33")
    connect()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "33"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    with patient_requests(1):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "33"


def test_uploads_may_take_longer_than_other_requests(store: str) -> None:
    connect()
    with patient_requests(1):
        assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) >= 60
    assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 5


def test_failures_warn_lets_an_interrupt_through() -> None:
    with pytest.raises(KeyboardInterrupt), failures_warn("nothing"):
        raise KeyboardInterrupt


def test_a_failure_without_a_text_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with failures_warn("training goes on"):
        raise ZeroDivisionError
    assert capsys.readouterr().err.endswith("ZeroDivisionError; training goes on\n")


def test_the_package_imports_mlflow_only_when_it_is_used() -> None:
    code = "import sys, segtrans.tracking; print('mlflow' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def _open_at_once(folder: Path, n_processes: int) -> list[str]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_LOG, str(seed)],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(n_processes)
    ]
    return [process.communicate()[1] for process in processes]


@pytest.mark.slow
@pytest.mark.parametrize("n_processes", [4, 8])
def test_processes_that_open_a_new_store_at_once_lose_nothing(
    tmp_path: Path, n_processes: int
) -> None:
    assert _open_at_once(tmp_path, n_processes) == [""] * n_processes
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        points = connection.execute("select count(*) from metrics").fetchone()
        states = connection.execute("select status from runs").fetchall()
        experiments = connection.execute("select name from experiments order by 1").fetchall()
    assert points == (n_processes * 20 * 3,)
    assert states == [("FINISHED",)] * n_processes
    assert experiments == [("Default",), ("segtrans/s/t",)]


@pytest.mark.slow
def test_a_store_whose_creation_was_killed_is_made_again(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", OPEN_AND_LOG, "0"], cwd=tmp_path)
    while not any(file.stat().st_size for file in tmp_path.glob(".*.partial.mlflow.db")):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "mlflow.db").exists()
    assert _open_at_once(tmp_path, 1) == [""]
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        assert connection.execute("select status from runs").fetchall() == [("FINISHED",)]
    assert not list(tmp_path.glob(".*.partial.*"))


def test_a_lock_whose_holder_writes_nothing_ends_in_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("segtrans.tracking.store._STALLED_S", 0.2)
    with Path("mlflow.db.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with failures_warn("no store"):
            connect()
    assert "locked by another process" in capsys.readouterr().err
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_a_lock_whose_holder_goes_on_writing_is_waited_for(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segtrans.tracking.store._STALLED_S", 2.0)
    code = """
import fcntl, shutil, sys, time
from pathlib import Path
with open("mlflow.db.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    part = Path(".1.partial.mlflow.db")
    for i in range(60):  # three times as long as a silent holder is waited for
        part.write_bytes(bytes(i + 1))
        if i == 0:
            print("locked", flush=True)
        time.sleep(0.1)
    part.unlink()
    shutil.copy(sys.argv[1], "mlflow.db")
"""
    command = [sys.executable, "-c", code, str(empty_store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        assert connect().search_experiments()
        assert holder.wait() == 0


def test_a_store_that_is_there_is_opened_whoever_holds_the_lock_of_its_making(store: str) -> None:
    with Path("mlflow.db.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert [e.name for e in connect().search_experiments()] == ["Default"]


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    assert [e.name for e in connect().search_experiments()] == ["Default"]


@pytest.mark.slow
def test_a_file_that_others_have_locked_for_longer_than_mlflow_waits_is_waited_for(
    store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client = connect()
    with closing(sqlite3.connect(tmp_path / "mlflow.db", check_same_thread=False)) as other:
        other.execute("begin immediate")
        freed = threading.Timer(25, other.rollback)  # MLflow gives up after 20 s
        freed.start()
        number = client.create_experiment("segtrans/s/t")
        freed.join()
    assert client.get_experiment(number).name == "segtrans/s/t"
    assert capfd.readouterr() == ("", "")


def test_what_is_no_lock_is_raised_at_once(store: str) -> None:
    with pytest.raises(Exception, match="No Experiment with id=77"):
        connect().get_experiment("77")


def test_a_path_with_a_question_mark_holds_its_own_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the address of a SQLite store it would end the path: a file beside the folder.
    folder = tmp_path / "what?now #1 %20"
    folder.mkdir()
    monkeypatch.chdir(folder)
    database = make_url(tracking_uri()).database
    assert database is not None
    assert Path(database).absolute() == folder / "mlflow.db"
    assert sqlite_file(tracking_uri()) == folder / "mlflow.db"

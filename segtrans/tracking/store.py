"""Where runs are tracked: the address, the first creation of a SQLite store, the client."""

import fcntl
import os
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from segtrans.atomic import atomic_path, remove_leftovers

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_SQLITE = "sqlite:///"
_LOCK_WAIT_S = 120.0
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
# Defaults only: what the user has set stays. MLflow's own would wait minutes for a dead server
# (7 retries of 120 s) in the middle of a training, and print over the progress bar.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    _TIMEOUT: "4",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or the absolute URI of `mlflow.db` in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{Path.cwd() / 'mlflow.db'}"


def connect() -> "MlflowClient":
    """A client of the store at `tracking_uri()`, which is created first when it is SQLite.

    Raises:
        Exception: whatever MLflow, SQLite or the file system raise; see `failures_warn`.
    """
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    uri = tracking_uri()
    file = sqlite_file(uri)
    if file is None:
        return _client(uri)
    file.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file.with_name(f"{file.name}.lock")):
        # MLflow makes the tables when it first opens a store: two at once break each other, and a
        # file with a part of them could never be opened again.
        if not file.exists():
            remove_leftovers(file.with_name(f"{file.name}-journal"))  # SQLite's, of a killed one
            with atomic_path(file) as temporary:
                _client(f"{_SQLITE}{temporary}")
        client = _client(uri)
        _write_ahead(file)
    return client


def artifact_location() -> str | None:
    """URI of `mlartifacts` beside a SQLite store; None where the server decides."""
    file = sqlite_file(tracking_uri())
    return None if file is None else (file.parent / "mlartifacts").as_uri()


def sqlite_file(uri: str) -> Path | None:
    """The absolute path of a SQLite store's file; None for any other URI."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]).absolute()


@contextmanager
def failures_warn(consequence: str) -> Iterator[None]:
    """Turn any failure of the block into one line on stderr that ends with `consequence`."""
    try:
        yield
    except Exception as error:  # tracking must never cost a night of training, whatever fails
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        line = f"warning: MLflow at {tracking_uri()}: {reason:.300}; {consequence}"
        print(without_password(line), file=sys.stderr, flush=True)


def without_password(text: str) -> str:
    """The text with user and password of every URI in it masked; it may be kept in a log."""
    return re.sub(r"://[^\s@]*@", "://***@", text)


@contextmanager
def patient_requests() -> Iterator[None]:
    """Give a server two minutes per request: it may answer an upload only once it is stored."""
    before = os.environ[_TIMEOUT]
    if before == _ENVIRONMENT[_TIMEOUT]:
        os.environ[_TIMEOUT] = "120"
    try:
        yield
    finally:
        os.environ[_TIMEOUT] = before


def _client(uri: str) -> "MlflowClient":
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The lock file stays: unlinking it would let two processes hold "the" lock.
    with path.open("w") as file:
        _wait_for(file, deadline=time.monotonic() + _LOCK_WAIT_S)
        yield


def _wait_for(file: TextIO, *, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{file.name}: locked by another process") from None
            time.sleep(0.05)
        else:
            return


def _write_ahead(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        (mode,) = connection.execute("pragma journal_mode").fetchone()
        # The mode stays in the file. It only makes parallel writers wait less: a reader that
        # blocks the change, or a file system that does not know it, is no failure.
        if mode != "wal":
            with suppress(sqlite3.OperationalError):
                connection.execute("pragma journal_mode=wal")

"""Where runs are tracked: the address, the first creation of a SQLite store, the client."""

import fcntl
import glob
import logging
import os
import re
import shlex
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from segtrans.atomic import atomic_path, remove_leftovers
from segtrans.tracking.calls import (
    RETRIES,
    TIMEOUT,
    before_deadline,
    guarded,
    upload_of,
    while_locked,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_SQLITE = "sqlite:///"
_STALLED_S = 600.0  # how long a process may hold the lock of a new store and write nothing
# Defaults only: what the user has set stays. MLflow's own would wait minutes for a dead server
# (7 retries of 120 s) in the middle of a training, and print over the progress bar.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    RETRIES: "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    TIMEOUT: "4",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or the absolute URI of `mlflow.db` in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(Path.cwd() / "mlflow.db")


def connect() -> "MlflowClient":
    """A client of the store at `tracking_uri()`, which is created first when it is SQLite.

    Each call of it ends: after a deadline where a server is asked, after ten minutes where others
    have a SQLite file locked.

    Raises:
        Exception: whatever MLflow, SQLite or the file system raise; see `failures_warn`.
    """
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    uri = tracking_uri()
    file = sqlite_file(uri)
    # Imported outside of lock and deadline: on a busy machine that alone takes long.
    from mlflow.tracking import MlflowClient

    if file is None:
        return guarded(before_deadline(MlflowClient, uri), before_deadline)
    # MLflow shows what it raises as a traceback before it raises it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    if not _has_tables(file):
        _make(file)
    client = while_locked(MlflowClient, uri)
    _write_ahead(file)
    return guarded(client, while_locked)


def artifact_location() -> str | None:
    """URI of `mlartifacts` beside a SQLite store; None where the server decides."""
    file = sqlite_file(tracking_uri())
    return None if file is None else (file.parent / "mlartifacts").as_uri()


def sqlite_uri(file: Path) -> str:
    """The address of a SQLite store: in it a "?" would end the path."""
    return _SQLITE + (os.path.relpath(file) if "?" in str(file) else str(file))


def sqlite_file(uri: str) -> Path | None:
    """The absolute path of a SQLite store's file; None for any other URI."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]).absolute()


def mlflow_program() -> str:
    """What to call MLflow by in a terminal, also where the environment is not on PATH."""
    return "mlflow" if shutil.which("mlflow") else str(Path(sys.executable).with_name("mlflow"))


def mlflow_command(*arguments: str) -> str:
    """A line for the terminal that calls MLflow on the store at `tracking_uri()`."""
    # Where the variable is set, MLflow reads it too; it may hold a password.
    is_set = bool(os.environ.get("MLFLOW_TRACKING_URI"))
    store = "" if is_set else f"MLFLOW_TRACKING_URI={shlex.quote(tracking_uri())} "
    return store + shlex.join([mlflow_program(), *arguments])


@contextmanager
def failures_warn(consequence: str) -> Iterator[None]:
    """Turn any failure of the block into one line on stderr that ends with `consequence`."""
    try:
        yield
    except Exception as error:  # tracking must never cost a night of training, whatever fails
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        line = f"warning: MLflow at {tracking_uri()}: {reason:.500}; {consequence}"
        print(without_password(line), file=sys.stderr, flush=True)


def without_password(text: str) -> str:
    """The text with user and password of every URI in it masked; it may be kept in a log."""
    return re.sub(r"://[^\s@]*@", "://***@", text)


@contextmanager
def patient_requests(n_bytes: int) -> Iterator[None]:
    """Give a server two minutes per request: it may answer an upload only once it is stored."""
    before = os.environ[TIMEOUT]
    if before == _ENVIRONMENT[TIMEOUT]:
        os.environ[TIMEOUT] = "120"
    try:
        with upload_of(n_bytes):
            yield
    finally:
        os.environ[TIMEOUT] = before


def _make(file: Path) -> None:
    from mlflow.tracking import MlflowClient

    file.parent.mkdir(parents=True, exist_ok=True)
    # MLflow makes the tables when it first opens a store: two at once break each other, and a
    # file with a part of them could never be opened again. The lock file stays: unlinking it
    # would let two processes hold "the" lock.
    with file.with_name(f"{file.name}.lock").open("w") as lock:
        _wait_for(lock, file)
        if file.exists():
            MlflowClient(sqlite_uri(file))  # it may be empty
        else:
            remove_leftovers(file.with_name(f"{file.name}-journal"))  # SQLite's, of a killed one
            with atomic_path(file) as temporary:
                MlflowClient(sqlite_uri(temporary))


def _has_tables(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("select count(*) from alembic_version").fetchone()[0])
    except sqlite3.OperationalError:
        return False


def _wait_for(lock: TextIO, file: Path) -> None:
    # As long as the process that makes the store needs: it ends, or it goes on writing.
    seen, since = _half_made(file), time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = _half_made(file)
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > _STALLED_S:
                raise TimeoutError(f"{lock.name}: locked by another process") from None
            time.sleep(0.05)
        else:
            return


def _half_made(file: Path) -> set[tuple[str, int]]:
    found = set()
    for path in file.parent.glob(f".*.partial.{glob.escape(file.name)}*"):
        with suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_mtime_ns))
    return found


def _write_ahead(file: Path) -> None:
    # It only makes parallel writers wait less: a reader that blocks the change, or a file system
    # that does not know it, is no failure. The mode stays in the file.
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(file)) as connection:
        (mode,) = connection.execute("pragma journal_mode").fetchone()
        if mode != "wal":
            connection.execute("pragma journal_mode=wal")

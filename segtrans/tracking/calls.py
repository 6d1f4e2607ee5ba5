"""Calls of MLflow that end: a deadline for a server's, patience with others for those of a file."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Item = TypeVar("Item")
Answer = TypeVar("Answer")

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_LOCKED_S = 600.0  # how long others may hold a SQLite file; MLflow itself gives up after 20 s
_SLOW_S = 3.0  # what failed faster was refused, not waited for
_UPLOAD_BYTES_PER_S = 100_000
_upload_s: ContextVar[float] = ContextVar("upload_s", default=0.0)


class _GuardedClient:
    def __init__(self, client: "MlflowClient", guard: Callable[..., Any]) -> None:
        self._client, self._guard = client, guard

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        return partial(self._guard, attribute) if callable(attribute) else attribute


def guarded(client: "MlflowClient", guard: "Callable[..., Any]", /) -> "MlflowClient":
    """The client with every call of it made through `guard`, as `guard(method, ...)`."""
    return cast("MlflowClient", _GuardedClient(client, guard))


def before_deadline(function: Callable[..., Answer], /, *args: Any, **kwargs: Any) -> Answer:
    """Call a server, which gets as long as all tries of a request may take, but no longer.

    A time limit of a request is one of each wait for a byte: a server that sends one now and
    then would be listened to for ever.

    Raises:
        TimeoutError: there was no answer in time; the call is left alone.
    """
    outcome: Future[Answer] = Future()

    def call() -> None:
        try:
            outcome.set_result(function(*args, **kwargs))
        except BaseException as error:  # to the caller with it, whatever it is
            outcome.set_exception(error)

    # A daemon: the process may end while the call still hangs.
    Thread(target=call, daemon=True).start()
    deadline_s = _deadline_s()
    try:
        return outcome.result(deadline_s)
    except TimeoutError:
        if outcome.done():
            raise
        raise TimeoutError(f"no whole answer within {deadline_s:.0f} s") from None


def while_locked(function: Callable[..., Answer], /, *args: Any, **kwargs: Any) -> Answer:
    """Call MLflow on a SQLite file, again as long as another process has the file locked.

    Raises:
        Exception: whatever MLflow raises; "locked" only after ten minutes.
    """
    deadline = time.monotonic() + _LOCKED_S
    while True:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # MLflow wraps SQLite's in errors of several kinds
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def upload_of(n_bytes: int) -> Iterator[None]:
    """Give calls of the block the time that an upload takes over a slow link."""
    token = _upload_s.set(n_bytes / _UPLOAD_BYTES_PER_S)
    try:
        yield
    finally:
        _upload_s.reset(token)


def attempt_all(
    items: Iterable[Item], attempt: Callable[[Item], Answer | None]
) -> list[Answer | None]:
    """`attempt` of each item, where None says that it failed.

    After one that failed slowly the rest is None too: a server that was waited for in vain is not
    waited for again, item after item.
    """
    answers: list[Answer | None] = []
    is_answering = True
    for item in items:
        start = time.monotonic()
        answers.append(attempt(item) if is_answering else None)
        if answers[-1] is None and time.monotonic() - start > _SLOW_S:
            is_answering = False
    return answers


def _deadline_s() -> float:
    retries = int(os.environ[RETRIES])
    backoff_s = float(2 << retries)  # MLflow's: 2, 4, 8, ... seconds between tries
    return (1 + retries) * float(os.environ[TIMEOUT]) + backoff_s + _upload_s.get()

"""How to look at the comparison in MLflow's pages."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from segtrans.errors import UserError
from segtrans.tracking.store import (
    connect,
    failures_warn,
    sqlite_file,
    tracking_uri,
    without_password,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LOCAL_PORT = 5000  # where `mlflow ui` listens
_VIEW = "&workflowType=machine_learning"  # else MLflow shows its pages for language models


def comparison_links(experiments: Iterable[str]) -> list[str]:
    """Lines of text: how to open MLflow, then two links for each experiment that it holds.

    The links show the learning curves of all runs, and the newest finished run of each name side
    by side. A failure warns and leaves the links out.
    """
    is_server = tracking_uri().startswith(("http://", "https://"))
    page = _page(tracking_uri(), LOCAL_PORT)
    lines = [f"MLflow: {page}" if is_server else f"MLflow: {_ui_command()}"]
    with failures_warn("no links to the comparison"):
        client = connect()
        for name in experiments:
            lines += _links(client, name, page)
    return lines


def open_pages(port: int) -> None:
    """Print the links to the comparison of every tracked scale and task, and serve the pages.

    Serves on loopback until it is interrupted, in place of this process; does not return. When
    runs are tracked to a server, that server has the pages: only the links are printed.

    Raises:
        UserError: nothing has been tracked here yet.
    """
    uri = tracking_uri()
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        raise UserError(f"{file}: no runs are tracked here yet; run the pipeline first")
    page = _page(uri, port)
    with failures_warn("no links to the comparison"):
        client = connect()
        found = [e.name for e in client.search_experiments() if e.name.startswith("segtrans/")]
        for name in sorted(found):
            print(*_links(client, name, page), sep="\n", flush=True)
    if uri.startswith(("http://", "https://")):
        return
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    print(f"serving {page}; Ctrl-C ends it", flush=True)
    os.execv(sys.executable, command)


def _page(uri: str, port: int) -> str:
    is_server = uri.startswith(("http://", "https://"))
    return without_password(uri).rstrip("/") if is_server else f"http://127.0.0.1:{port}"


def _ui_command() -> str:
    # Also when the environment's programs are not on PATH, as after `make run`.
    beside_python = Path(sys.executable).with_name("mlflow")
    mlflow = "mlflow" if shutil.which("mlflow") else shlex.quote(str(beside_python))
    uri = tracking_uri()
    # The URI of another database may hold a password: it is not printed.
    shown = shlex.quote(uri) if sqlite_file(uri) else '"$MLFLOW_TRACKING_URI"'
    return f"{mlflow} ui --backend-store-uri {shown}   then open {_page(uri, LOCAL_PORT)}"


def _links(client: "MlflowClient", name: str, page: str) -> list[str]:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return []
    number = experiment.experiment_id
    runs = client.search_runs(
        [number],
        filter_string="attributes.status = 'FINISHED'",
        order_by=["attributes.start_time ASC"],
    )
    newest = {run.info.run_name: run.info.run_id for run in runs}
    ids = quote(json.dumps([newest[run] for run in sorted(newest)], separators=(",", ":")))
    experiments = quote(json.dumps([number])) + _VIEW
    return [
        f"  {name}, curves: {page}/#/experiments/{number}/runs?compareRunsMode=CHART{_VIEW}",
        f"  {name}, side by side: {page}/#/compare-runs?runs={ids}&experiments={experiments}",
    ]

"""How to look at the comparison in MLflow's pages."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from segtrans.tracking.store import (
    connect,
    failures_warn,
    sqlite_file,
    tracking_uri,
    without_password,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_LOCAL_PAGE = "http://127.0.0.1:5000"  # where `mlflow ui` listens


def comparison_links(experiments: Iterable[str]) -> list[str]:
    """Lines of text: how to open MLflow, then two links for each experiment that it holds.

    The links show the learning curves of all runs, and the newest finished run of each name side
    by side. A failure warns and leaves the links out.
    """
    is_server = tracking_uri().startswith(("http://", "https://"))
    page = without_password(tracking_uri()).rstrip("/") if is_server else _LOCAL_PAGE
    lines = [f"MLflow: {page}" if is_server else f"MLflow: {_ui_command()}"]
    with failures_warn("no links to the comparison"):
        client = connect()
        for name in experiments:
            lines += _links(client, name, page)
    return lines


def _ui_command() -> str:
    # Also when the environment's programs are not on PATH, as after `make run`.
    beside_python = Path(sys.executable).with_name("mlflow")
    mlflow = "mlflow" if shutil.which("mlflow") else shlex.quote(str(beside_python))
    uri = tracking_uri()
    # The URI of another database may hold a password: it is not printed.
    shown = shlex.quote(uri) if sqlite_file(uri) else '"$MLFLOW_TRACKING_URI"'
    return f"{mlflow} ui --backend-store-uri {shown}   then open {_LOCAL_PAGE}"


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
    experiments = quote(json.dumps([number]))
    return [
        f"  {name}, curves: {page}/#/experiments/{number}/runs?compareRunsMode=CHART",
        f"  {name}, side by side: {page}/#/compare-runs?runs={ids}&experiments={experiments}",
    ]

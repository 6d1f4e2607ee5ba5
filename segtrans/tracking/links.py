"""How to look at the comparison in MLflow's pages."""

import json
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from segtrans.errors import UserError
from segtrans.tracking.pages import check_free, serve_pages
from segtrans.tracking.store import (
    connect,
    failures_warn,
    mlflow_program,
    sqlite_file,
    tracking_uri,
    without_password,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_CURVE = "valid/dice_soft_pooled"
LOCAL_PORT = 5000  # where `mlflow ui` listens
_VIEW = "&workflowType=machine_learning"  # else MLflow shows its pages for language models


def comparison_links(experiments: Iterable[str]) -> list[str]:
    """Lines of text: how to open MLflow, then links for each experiment that it holds.

    The links show the scores of all runs, and the learning curves of the newest finished run of
    each name, then these runs side by side. A failure warns and leaves the links out.
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
    """Print the links to the comparison of every tracked preset and task, and serve the pages.

    Serves on loopback until it is interrupted. When runs are tracked to a server, that server has
    the pages: only the links are printed.

    Raises:
        UserError: nothing has been tracked here yet, the port is taken, or MLflow did not start.
    """
    uri = tracking_uri()
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        raise UserError(f"{file}: no runs are tracked here yet; run the pipeline first")
    is_server = uri.startswith(("http://", "https://"))
    if not is_server:
        check_free(port)
    page = _page(uri, port)
    with failures_warn("no links to the comparison"):
        client = connect()
        found = [e.name for e in client.search_experiments() if e.name.startswith("segtrans/")]
        for name in sorted(found):
            print(*_links(client, name, page), sep="\n", flush=True)
    if not is_server:
        serve_pages(uri, port, page)


def _page(uri: str, port: int) -> str:
    is_server = uri.startswith(("http://", "https://"))
    return without_password(uri).rstrip("/") if is_server else f"http://127.0.0.1:{port}"


def _ui_command() -> str:
    uri = tracking_uri()
    # The URI of another database may hold a password: it is not printed.
    shown = shlex.quote(uri) if sqlite_file(uri) else '"$MLFLOW_TRACKING_URI"'
    command = f"{shlex.quote(mlflow_program())} ui --backend-store-uri {shown}"
    return f"{command}   then open {_page(uri, LOCAL_PORT)}"


def _links(client: "MlflowClient", name: str, page: str) -> list[str]:
    experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        return []
    number = experiment.experiment_id
    scores = f"{page}/#/experiments/{number}/runs?compareRunsMode=CHART{_VIEW}"
    runs = client.search_runs(
        [number],
        filter_string="attributes.status = 'FINISHED'",
        order_by=["attributes.start_time ASC"],
    )
    newest = {run.info.run_name: run.info.run_id for run in runs}
    lines = [f"  {name}, scores: {scores}"]
    if newest:
        ids = _quoted([newest[run] for run in sorted(newest)])
        compared = f"runs={ids}&experiments={_quoted([number])}"
        curve = f"metric={_quoted(_CURVE)}&plot_metric_keys={_quoted([_CURVE])}&x_axis=step"
        lines += [
            f"  {name}, learning curves: {page}/#/metric?{compared}&{curve}{_VIEW}",
            f"  {name}, side by side: {page}/#/compare-runs?{compared}{_VIEW}",
        ]
    return lines


def _quoted(value: object) -> str:
    return quote(json.dumps(value, separators=(",", ":")))

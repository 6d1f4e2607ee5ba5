import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from segtrans.errors import UserError
from segtrans.tracking import (
    RunTracker,
    comparison_links,
    describe_run,
    open_pages,
    track_run,
)
from tests.limits import WAIT_S
from tests.run_files import origin_of

pytestmark = pytest.mark.slow


@pytest.fixture
def server(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real MLflow server on loopback that keeps artefacts itself."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")  # a busy machine is no dead server
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(tmp_path / "kept")]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_healthy(uri, process)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=WAIT_S)


def _wait_until_healthy(uri: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{uri}/health", timeout=60).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise AssertionError("the server did not start")


def test_a_server_holds_what_the_file_would(
    server: str,
    client: Any,
    tmp_path: Path,
    run_folder: Path,
    facts: dict[str, Any],
    records: list[dict[str, Any]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    tracker = RunTracker(**describe_run(run_folder, origin_of(facts)))
    tracker.log(records[0])
    resumed = RunTracker(**describe_run(run_folder, origin_of(facts)), run_id=tracker.run_id)
    resumed.log(records[0])
    resumed.log(records[1])
    resumed.close()
    assert track_run(run_folder) == tracker.run_id
    assert track_run(run_folder) == tracker.run_id
    points = client.get_metric_history(tracker.run_id, "valid/dice_soft_pooled")
    assert sorted((m.step, m.value) for m in points) == [(0, 0.1), (100, 0.3), (200, 0.6)]
    (weights,) = (tmp_path / "kept").rglob("weights.safetensors")
    assert weights.read_bytes() == b"weights"
    start, scores, curves, compare = comparison_links(["segtrans/smoke/mnist48_simple"])
    assert start == f"MLflow: {server}"
    assert f"{server}/#/" in scores
    assert f"{server}/#/metric?" in curves
    assert str(tracker.run_id) in compare
    assert capfd.readouterr() == ("", "")


def test_the_server_of_a_local_store_shows_its_artefacts(
    store: str, run_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run_id = track_run(run_folder)  # straight into the file, as the pipeline does by default
    uri = request.getfixturevalue("server")
    place = {"path": "weights.safetensors", "run_uuid": run_id}
    answer = requests.get(f"{uri}/get-artifact", params=place, timeout=WAIT_S)
    assert answer.content == b"weights"


@pytest.fixture
def pages(store: str, run_folder: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and output of `segtrans ui` on a store with one run, once it says that it serves."""
    track_run(run_folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    output = tmp_path / "ui.log"
    with output.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "segtrans", "ui", "--port", str(port)], stdout=log, stderr=log
        )
    page = f"http://127.0.0.1:{port}"
    try:
        while f"serving {page}" not in output.read_text():
            assert process.poll() is None, output.read_text()
            time.sleep(0.05)
        yield page, output
    finally:
        process.terminate()  # it alone: MLflow ends with it
        assert process.wait(timeout=WAIT_S) == 0
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_one_command_serves_the_pages_and_prints_links_to_the_comparison(
    pages: tuple[str, Path],
) -> None:
    page, output = pages
    assert requests.get(page, timeout=600).ok  # at once: it said so
    asked = {"experiment_ids": ["1"]}
    answer = requests.post(f"{page}/api/2.0/mlflow/runs/search", json=asked, timeout=WAIT_S)
    (run,) = answer.json()["runs"]
    shown = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert shown["test/best/dice_soft_pooled"] == 0.55
    printed = output.read_text()
    assert f"{page}/#/experiments/1/runs?compareRunsMode=CHART" in printed
    assert f"{page}/#/compare-runs?" in printed
    assert run["info"]["run_id"] in printed


@pytest.mark.parametrize("at", ["MLflow starts", "Ctrl-C ends it"])
def test_ctrl_c_in_a_terminal_ends_all_without_a_trace(store: str, at: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "segtrans", "ui", "--port", str(port)]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    shown, is_pressed = b"", False
    with suppress(OSError):  # the terminal is gone with its last process
        while read := os.read(terminal, 65536):
            shown += read
            if at.encode() in shown and not is_pressed:
                is_pressed = True
                os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_pressed
    assert b"Traceback" not in shown
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="no browser: apt-get install chromium chromium-driver",
)
def test_the_printed_links_show_dice_and_curves_of_every_run_in_a_browser(
    pages: tuple[str, Path],
) -> None:
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    printed = pages[1].read_text()
    (scores,) = re.findall(r"scores: (\S+)", printed)
    (curves,) = re.findall(r"curves: (\S+)", printed)
    options = webdriver.ChromeOptions()
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        "--window-size=1500,1100",
    ):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:

        def shows(text: str) -> bool:
            return text in browser.find_element("tag name", "body").text

        def draws_lines() -> bool:
            return bool(browser.find_elements("css selector", ".scatterlayer .js-line"))

        wait = WebDriverWait(browser, 600)
        browser.get(scores)
        for text in ("translation/seed3", "test/best", "dice_soft_pooled", "0.55"):
            wait.until(lambda _, text=text: shows(text), f"{text} is not shown")
        browser.get(curves)
        for text in ("translation/seed3", "valid/dice_soft_pooled"):
            wait.until(lambda _, text=text: shows(text), f"{text} is not shown")
        wait.until(lambda _: draws_lines(), "no curve is drawn")
    finally:
        browser.quit()


def test_a_port_in_use_is_said_before_anything_starts(
    store: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"port {port} .*choose another, such as `segtrans ui --port"
        ):
            open_pages(port)
    assert capfd.readouterr().out == ""

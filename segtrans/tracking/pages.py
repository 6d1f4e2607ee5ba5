"""MLflow's pages, served on loopback until they are interrupted."""

import socket
import subprocess
import sys
import time
from contextlib import suppress
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from segtrans.errors import UserError
from segtrans.interrupts import end_group, endings_interrupt

_HOST = "127.0.0.1"


def check_free(port: int) -> None:
    """Check that nothing listens at a port of loopback.

    Raises:
        UserError: something does, or the port may not be used.
    """
    try:
        with socket.create_server((_HOST, port)):
            pass
    except OSError as error:
        raise UserError(
            f"port {port} of {_HOST} cannot be used ({error.strerror}); choose another, such as "
            f"`segtrans ui --port {port + 10}`"
        ) from error


def serve_pages(uri: str, port: int, page: str) -> None:
    """Serve the store at `uri` until Ctrl-C or SIGTERM; say so once the pages answer.

    Raises:
        UserError: MLflow ended by itself.
    """
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--host", _HOST, "--port", str(port), "--workers", "1"]  # one person looks at them
    process = None
    with endings_interrupt():
        try:
            print("MLflow starts ...", flush=True)
            # In a group of its own: Ctrl-C reaches all of ours, and MLflow's that start print
            # traces.
            process = subprocess.Popen(command, process_group=0)
            while process.poll() is None and not _answers(page):
                time.sleep(0.2)
            if process.poll() is None:
                print(f"serving {page}; Ctrl-C ends it", flush=True)
            code = process.wait()
        except KeyboardInterrupt:
            if process is not None:
                end_group(process)
            return
    raise UserError(f"MLflow's pages ended with status {code}; what it printed says why")


def _answers(page: str) -> bool:
    # Loopback is asked without a proxy, whatever the environment says.
    with (
        suppress(URLError, OSError),
        build_opener(ProxyHandler({})).open(f"{page}/health", timeout=5) as answer,
    ):
        return bool(answer.status == 200)
    return False

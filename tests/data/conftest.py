"""For tests of downloads: real servers on loopback, and archives to serve."""

import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server:
    """Serves `files` by name, and keeps the Range header of each request.

    Attributes:
        ignores_range: answers any request with the whole file.
        breaks_after: bytes of an answer after which the connection breaks, once per entry.
        status: answered instead of the file, once per entry.
        announces: says how long its answer is.
    """

    def __init__(self, files, *, ignores_range=False, breaks_after=(), status=(), announces=True):
        self.files, self.ignores_range, self.announces = files, ignores_range, announces
        self.breaks_after, self.status = list(breaks_after), list(status)
        self.ranges = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, handler):
        self.ranges.append(handler.headers.get("Range"))
        content = self.files.get(handler.path[1:])
        if self.status or content is None:
            handler.send_error(self.status.pop(0) if self.status else 404)
            return
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        is_rest = bool(asked) and not self.ignores_range
        handler.send_response(206 if is_rest else 200)
        rest = content[start:] if is_rest else content
        if self.announces:
            handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest[: self.breaks_after.pop(0)] if self.breaks_after else rest)

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def serve(monkeypatch):
    """Starts servers, and stops them when the test is over."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    servers = []

    def start(files, **faults):
        servers.append(Server(files, **faults))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def waits():
    """Where a download that is tested notes its waits instead of waiting."""
    return []


@pytest.fixture(scope="session")
def pack():
    """Makes tar archives of (name, content) or, for other members, (name, facts of the header)."""

    def make(members):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, content in members:
                header = tarfile.TarInfo(name)
                if isinstance(content, bytes):
                    header.size = len(content)
                    tar.addfile(header, io.BytesIO(content))
                else:
                    for fact, value in content.items():
                        setattr(header, fact, value)
                    tar.addfile(header)
        return packed.getvalue()

    return make

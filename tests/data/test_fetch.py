"""Downloads from real servers on loopback: whole, broken off, ignorant of ranges, wrong, absent."""

import gzip
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from segtrans.data import fetch as fetch_module
from segtrans.data.fetch import MNIST_FILES, RemoteFile, fetch, fetch_mnist
from segtrans.errors import UserError

BLOCK = 2**16  # what the download writes at once
CONTENT = np.random.default_rng(0).bytes(300_000)


def remote(content=CONTENT, name="data.bin"):
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest())


class Server:
    """Serves `files` by name, and keeps the Range header of each request.

    Attributes:
        ignores_range: answers any request with the whole file.
        breaks_after: bytes of an answer after which the connection breaks, once per entry.
        status: answered instead of the file, once per entry.
    """

    def __init__(self, files, *, ignores_range=False, breaks_after=(), status=()):
        self.files, self.ignores_range = files, ignores_range
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
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest[: self.breaks_after.pop(0)] if self.breaks_after else rest)

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def serve(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    servers = []

    def start(files=None, **faults):
        servers.append(Server({"data.bin": CONTENT} if files is None else files, **faults))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def waits():
    return []


def get(folder, *servers, waits, file=None):
    mirrors = tuple(server if isinstance(server, str) else server.url for server in servers)
    return fetch(file or remote(), folder, mirrors=mirrors, sleep=waits.append)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once_and_kept(tmp_path, serve, waits):
    server = serve()
    path = get(tmp_path / "new", server, waits=waits)
    assert path.read_bytes() == CONTENT
    get(tmp_path / "new", server, waits=waits)
    assert server.ranges == [None]
    assert names(tmp_path / "new") == ["data.bin"]
    assert waits == []


def test_a_file_with_wrong_content_is_fetched_anew(tmp_path, serve, waits):
    (tmp_path / "data.bin").write_bytes(b"wrong")
    assert get(tmp_path, serve(), waits=waits).read_bytes() == CONTENT


def test_a_broken_download_is_resumed_where_it_broke(tmp_path, serve, waits):
    server = serve(breaks_after=[2 * BLOCK, BLOCK + 1])
    assert get(tmp_path, server, waits=waits).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={2 * BLOCK}-", f"bytes={3 * BLOCK}-"]
    assert names(tmp_path) == ["data.bin"]


def test_progress_is_never_given_up(tmp_path, serve, waits):
    server = serve(breaks_after=[BLOCK] * 4)
    assert get(tmp_path, server, waits=waits).read_bytes() == CONTENT
    assert len(server.ranges) == 5


def test_a_later_call_resumes_what_an_earlier_one_left(tmp_path, serve, waits):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:200_000])
    server = serve()
    assert get(tmp_path, server, waits=waits).read_bytes() == CONTENT
    assert server.ranges == ["bytes=200000-"]


def test_a_part_that_is_already_whole_needs_no_server(tmp_path, waits):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert get(tmp_path, "http://127.0.0.1:9/", waits=waits).read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * 300_000, b"x" * 300_001])
def test_a_wrong_part_is_thrown_away_and_the_file_fetched_from_its_start(
    tmp_path, serve, waits, part
):
    (tmp_path / "data.bin.part").write_bytes(part)
    server = serve()
    assert get(tmp_path, server, waits=waits).read_bytes() == CONTENT
    assert server.ranges[-1] is None


def test_a_server_that_ignores_ranges_starts_anew(tmp_path, serve, waits):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:200_000])
    server = serve(ignores_range=True)
    assert get(tmp_path, server, waits=waits).read_bytes() == CONTENT
    assert server.ranges == ["bytes=200000-"]


def test_the_next_mirror_takes_over_what_the_first_left(tmp_path, serve, waits):
    broken = serve(breaks_after=[BLOCK, 0, 0])
    whole = serve()
    assert get(tmp_path, broken, whole, waits=waits).read_bytes() == CONTENT
    assert whole.ranges == [f"bytes={BLOCK}-"]
    assert waits == [2.0, 4.0]


def test_wrong_bytes_are_not_kept_and_the_next_mirror_is_asked(tmp_path, serve, waits):
    wrong, right = serve({"data.bin": CONTENT[::-1]}), serve()
    assert get(tmp_path, wrong, right, waits=waits).read_bytes() == CONTENT
    assert (wrong.ranges, right.ranges) == ([None], [None])
    assert names(tmp_path) == ["data.bin"]


def test_a_file_longer_than_announced_is_wrong(tmp_path, serve, waits):
    with pytest.raises(UserError, match="wrong bytes"):
        get(tmp_path, serve({"data.bin": CONTENT + b"more"}), waits=waits)
    assert names(tmp_path) == []


def test_an_absent_file_is_asked_for_once_a_busy_server_again(tmp_path, serve, waits):
    absent, busy = serve({}), serve(status=[503, 429])
    assert get(tmp_path, absent, busy, waits=waits).read_bytes() == CONTENT
    assert (len(absent.ranges), len(busy.ranges)) == (1, 3)
    assert waits == [2.0, 4.0]


def test_when_all_fail_every_mirror_is_quoted_in_one_line(tmp_path, serve, waits):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    absent, wrong, busy = serve({}), serve({"data.bin": b"x" * 300_000}), serve(status=[500] * 3)
    with pytest.raises(UserError) as refusal:
        get(tmp_path, absent, nobody, busy, wrong, waits=waits)
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path / 'data.bin'}: cannot be downloaded: ")
    assert f"{absent.url}: HTTP 404" in message
    assert f"{busy.url}: HTTP 500" in message
    assert f"{wrong.url}: wrong bytes" in message
    assert f"{nobody}: " in message
    assert "\n" not in message
    assert names(tmp_path) == []


def test_what_a_broken_connection_brought_is_kept_for_the_next_run(tmp_path, serve, waits):
    server = serve(breaks_after=[BLOCK, 0, 0])
    with pytest.raises(UserError, match="it resumes"):
        get(tmp_path, server, waits=waits)
    assert (tmp_path / "data.bin.part").read_bytes() == CONTENT[:BLOCK]


def test_mnist_is_four_files_by_name(tmp_path, serve, monkeypatch):
    contents = {file.name: gzip.compress(file.name.encode()) for file in MNIST_FILES}
    assert set(contents) == {
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    }
    files = tuple(remote(content, name) for name, content in contents.items())
    monkeypatch.setattr(fetch_module, "MNIST_FILES", files)
    fetch_mnist(tmp_path, mirrors=(serve(contents).url,))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents


def test_the_facts_of_mnist():
    facts = {file.name: (file.n_bytes, file.sha256[:8]) for file in MNIST_FILES}
    assert facts == {
        "train-images-idx3-ubyte.gz": (9_912_422, "440fcabf"),
        "train-labels-idx1-ubyte.gz": (28_881, "3552534a"),
        "t10k-images-idx3-ubyte.gz": (1_648_877, "8d422c7b"),
        "t10k-labels-idx1-ubyte.gz": (4_542, "f7ae60f9"),
    }
    assert {len(file.sha256) for file in MNIST_FILES} == {64}

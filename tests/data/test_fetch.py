"""Downloads from real servers on loopback: whole, broken off, ignorant of ranges, wrong, absent."""

import gzip
import hashlib
import socket
from types import SimpleNamespace

import numpy as np
import pytest

from segtrans.data.download import fetch as fetch_module
from segtrans.data.download.fetch import RemoteFile, check_space, fetch
from segtrans.errors import UserError
from segtrans.sources.cluttered_mnist import mnist_files
from segtrans.sources.cluttered_mnist.mnist_files import MNIST_FILES, fetch_mnist

BLOCK = 2**16  # what the download writes at once
CONTENT = np.random.default_rng(0).bytes(300_000)


def remote(content=CONTENT, name="data.bin", algorithm="sha256"):
    digest = getattr(hashlib, algorithm)(content).hexdigest()
    return RemoteFile(name, len(content), algorithm, digest)


@pytest.fixture
def serve(serve):
    def start(files=None, **faults):
        return serve({"data.bin": CONTENT} if files is None else files, **faults)

    return start


def get(folder, *servers, waits, file=None):
    mirrors = tuple(server if isinstance(server, str) else server.url for server in servers)
    return fetch(file or remote(), folder, mirrors=mirrors, sleep=waits.append)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_file_is_fetched_once_and_kept(tmp_path, serve, waits, algorithm):
    server, file = serve(), remote(algorithm=algorithm)
    path = get(tmp_path / "new", server, waits=waits, file=file)
    assert path.read_bytes() == CONTENT
    get(tmp_path / "new", server, waits=waits, file=file)
    assert server.ranges == [None]
    assert names(tmp_path / "new") == ["data.bin"]
    assert waits == []


@pytest.mark.parametrize("content", [b"wrong", CONTENT[::-1]])
def test_a_file_with_wrong_content_is_fetched_anew(tmp_path, serve, waits, content):
    (tmp_path / "data.bin").write_bytes(content)
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


def test_a_part_that_is_already_whole_needs_no_server_and_no_space(tmp_path, waits, monkeypatch):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
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


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_wrong_bytes_are_told_by_the_hash_that_is_known(tmp_path, serve, waits, algorithm):
    server = serve({"data.bin": CONTENT[::-1]})
    with pytest.raises(UserError, match=rf"wrong bytes \(the {algorithm} differs\)"):
        get(tmp_path, server, waits=waits, file=remote(algorithm=algorithm))


def test_what_has_another_size_is_not_hashed(tmp_path, serve, waits, monkeypatch):
    (tmp_path / "data.bin").write_bytes(CONTENT[:-1])
    monkeypatch.setattr(fetch_module.hashlib, "new", None)
    with pytest.raises(UserError, match="HTTP 404"):
        get(tmp_path, serve({}), waits=waits)
    assert names(tmp_path) == ["data.bin"]


def test_hashing_shows_how_far_it_is(tmp_path, waits, monkeypatch):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    shown = set()

    class Bar(fetch_module.tqdm):
        def close(self):
            shown.add((self.desc, self.n, self.total))

    monkeypatch.setattr(fetch_module, "tqdm", lambda **facts: Bar(**facts | {"disable": False}))
    get(tmp_path, waits=waits, file=remote(algorithm="md5"))
    assert shown == {("md5 of data.bin", 300_000, 300_000)}


@pytest.mark.parametrize("content", [CONTENT + b"more", CONTENT[:-1], b"<html>log in</html>"])
@pytest.mark.parametrize("part", [b"", CONTENT[:BLOCK]])
def test_a_file_announced_with_another_size_is_not_even_begun(
    tmp_path, serve, waits, content, part
):
    (tmp_path / "data.bin.part").write_bytes(part)
    other = serve({"data.bin": content}, ignores_range=True)
    with pytest.raises(UserError, match=f"announces {len(content)} of them, not 300000"):
        get(tmp_path, other, waits=waits)
    assert (tmp_path / "data.bin.part").read_bytes() == part
    assert (len(other.ranges), waits) == (1, [])


def test_a_server_that_does_not_say_how_much_it_sends_is_believed(tmp_path, serve, waits):
    server = serve(announces=False, breaks_after=[2 * BLOCK])
    assert get(tmp_path, server, waits=waits).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={2 * BLOCK}-"]


def test_a_file_that_does_not_end_is_given_up(tmp_path, serve, waits, monkeypatch):
    server = serve({"data.bin": CONTENT * 100}, announces=False)
    sizes = []

    def is_whole(path, file):
        sizes.append(path.stat().st_size if path.exists() else None)
        return False

    monkeypatch.setattr(fetch_module, "_is_whole", is_whole)
    with pytest.raises(UserError, match="wrong bytes"):
        get(tmp_path, server, waits=waits)
    assert sizes == [None, 5 * BLOCK]  # the first whole block beyond the 300,000 bytes
    assert names(tmp_path) == []


def test_a_disk_too_small_is_told_before_the_download(tmp_path, serve, waits, monkeypatch):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:100_000])
    server, spare = serve(), 2**26
    free = SimpleNamespace(free=spare + 199_999)
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda _: free)
    with pytest.raises(UserError, match=r"data.bin needs 0.07 GB of disk, 0.07 GB are free"):
        get(tmp_path, server, waits=waits)
    assert server.ranges == []
    free.free += 1
    assert get(tmp_path, server, waits=waits).read_bytes() == CONTENT


def test_space_is_asked_of_the_disk_that_will_hold_the_folder(tmp_path, monkeypatch):
    asked = []

    def usage(path):
        asked.append(path)
        return SimpleNamespace(free=10**9)

    monkeypatch.setattr(fetch_module.shutil, "disk_usage", usage)
    check_space(tmp_path / "not" / "yet", 900_000_000, what="it")
    with pytest.raises(UserError) as refusal:
        check_space(tmp_path / "not" / "yet", 7_000_000_000, what="it")
    assert asked == [tmp_path, tmp_path]
    assert str(refusal.value) == (
        f"{tmp_path / 'not' / 'yet'}: it needs 7.07 GB of disk, 1.00 GB are free; free some "
        "there, or choose another folder"
    )


def test_a_full_disk_is_one_line(tmp_path, serve, waits):
    (tmp_path / "data.bin.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"data\.bin: .*No space left on device") as refusal:
        get(tmp_path, serve(), waits=waits)
    assert "\n" not in str(refusal.value)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, serve, waits):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Not a directory"):
        get(tmp_path / "file" / "folder", serve(), waits=waits)


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
    monkeypatch.setattr(mnist_files, "MNIST_FILES", files)
    fetch_mnist(tmp_path, mirrors=(serve(contents).url,))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents


def test_the_facts_of_mnist():
    facts = {file.name: (file.n_bytes, file.digest[:8]) for file in MNIST_FILES}
    assert facts == {
        "train-images-idx3-ubyte.gz": (9_912_422, "440fcabf"),
        "train-labels-idx1-ubyte.gz": (28_881, "3552534a"),
        "t10k-images-idx3-ubyte.gz": (1_648_877, "8d422c7b"),
        "t10k-labels-idx1-ubyte.gz": (4_542, "f7ae60f9"),
    }
    assert {(file.algorithm, len(file.digest)) for file in MNIST_FILES} == {("sha256", 64)}

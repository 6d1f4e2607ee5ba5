"""Files appear whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segtrans import atomic
from segtrans.atomic import atomic_path, temporary_path, write_json, write_text


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def break_off():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_what_a_killed_process_left_of_the_same_target_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    of = {name: tmp_path / name for name in ("a.txt", "b.txt", "folder")}
    temporary_path(of["a.txt"], ended.pid).write_text("half")
    temporary_path(of["folder"], ended.pid).mkdir()
    others = [temporary_path(of["b.txt"], ended.pid), temporary_path(of["a.txt"], os.getppid())]
    for other in others:
        other.write_text("of another file, or still being written")
    write_text(of["a.txt"], "whole")
    with atomic_path(of["folder"]) as temporary:
        temporary.mkdir()
    assert sorted(names(tmp_path)) == sorted(["a.txt", "folder", *(path.name for path in others)])


def test_what_a_process_of_another_machine_writes_is_left_alone(tmp_path, monkeypatch):
    """Its number may be that of nobody here."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_node", lambda: "fedcba98")
        theirs = temporary_path(tmp_path / "a.txt", ended.pid)
    theirs.write_text("being written")
    write_text(tmp_path / "a.txt", "whole")
    assert theirs.read_text() == "being written"
    week = 7 * 24 * 3600
    os.utime(theirs, (time.time() - week - 60,) * 2)
    write_text(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch, number):
    """CIFS and shares of virtual machines."""
    fail_to_sync(monkeypatch, stat.S_ISDIR, number)
    write_text(tmp_path / "a.txt", "whole")
    with atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
    assert sorted(names(tmp_path)) == ["a.txt", "folder"]


@pytest.mark.parametrize(
    ("is_asked", "number"),
    [(stat.S_ISDIR, errno.EIO), (stat.S_ISREG, errno.EIO), (stat.S_ISREG, errno.EINVAL)],
)
def test_a_failing_disk_is_a_failure(tmp_path, monkeypatch, is_asked, number):
    fail_to_sync(monkeypatch, is_asked, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        write_text(tmp_path / "a.txt", "whole")


def fail_to_sync(monkeypatch, is_asked, number):
    real = os.fsync

    def fsync(descriptor):
        if is_asked(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_folder_is_made_and_the_name_keeps_its_suffix(tmp_path):
    with atomic_path(tmp_path / "new" / "x.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path / "new"
        temporary.write_bytes(b"1")
    assert names(tmp_path / "new") == ["x.png"]


def test_json_is_sorted_and_refuses_nan(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5]})
    assert (tmp_path / "a.json").read_text().index('"a"') < 5
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_a_full_disk_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def fill_up():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            Path("/dev/full").write_text("x")

    with pytest.raises(OSError, match="No space left"):
        fill_up()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]

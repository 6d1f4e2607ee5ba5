"""Files appear whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segtrans.atomic import atomic_path, write_json, write_text


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
    (tmp_path / f".{ended.pid}.partial.a.txt").write_text("half")
    (tmp_path / f".{ended.pid}.partial.folder").mkdir()
    (tmp_path / f".{ended.pid}.partial.b.txt").write_text("of another file")
    (tmp_path / f".{os.getppid()}.partial.a.txt").write_text("still being written")
    write_text(tmp_path / "a.txt", "whole")
    with atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
    assert sorted(names(tmp_path)) == sorted(
        ["a.txt", "folder", f".{ended.pid}.partial.b.txt", f".{os.getppid()}.partial.a.txt"]
    )


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

"""Files appear whole or not at all."""

import os

import pytest

from segtrans.atomic import atomic_path, write_json, write_text


def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_is_made_and_the_name_keeps_its_suffix(tmp_path):
    with atomic_path(tmp_path / "new" / "x.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path / "new"
        temporary.write_bytes(b"1")
    assert os.listdir(tmp_path / "new") == ["x.png"]


def test_json_is_sorted_and_refuses_nan(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5]})
    assert (tmp_path / "a.json").read_text().index('"a"') < 5
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_a_full_disk_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(OSError, match="No space left"), atomic_path(target) as temporary:
        with open("/dev/full", "w") as full:
            full.write("x")
            full.flush()
        temporary.touch()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]

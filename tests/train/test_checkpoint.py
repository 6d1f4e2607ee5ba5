"""Checkpoints: whole, of this run on this data, and never worse than the one before."""

import builtins
import errno
import io
import os
import random
from pathlib import Path

import pytest
import torch

from segtrans.errors import UserError
from segtrans.train.checkpoint import Checkpoint, CheckpointFolder


def checkpoint(iteration, **changes):
    values = {
        "identity": "run",
        "data_sha256": "data",
        "iteration": iteration,
        "method": {"weight": torch.full((2, 2), float(iteration))},
        "optimisers": {"networks": {"state": {0: {"step": torch.tensor(1.0)}}}},
        "average": {},
        "sums": {"names": ["seg"], "counts": {"seg": 1}, "sums": torch.zeros(1)},
        "records": [{"iteration": 0, "train": {}, "valid": {"dice_soft_pooled": 0.25}}],
        "best_iteration": 0,
        "best_dice": 0.25,
        "best_method": {"weight": torch.zeros(2, 2)},
        "seconds": 1.0,
        "sessions": [],
        "mlflow_run_id": None,
    }
    return Checkpoint(**(values | changes))


def of(root, identity="run", data_sha256="data"):
    return CheckpointFolder(root, identity=identity, data_sha256=data_sha256)


@pytest.fixture
def folder(tmp_path):
    return of(tmp_path)


@pytest.fixture
def two(folder):
    """Checkpoints of iterations 3 and 4."""
    folder.save(checkpoint(3))
    folder.save(checkpoint(4))
    return folder


def names(folder):
    return sorted(path.name for path in folder.folder.iterdir())


def test_what_is_saved_comes_back(folder):
    assert folder.load() is None
    folder.save(checkpoint(3, mlflow_run_id="abc"))
    back = folder.load()
    assert (back.iteration, back.best_dice, back.mlflow_run_id) == (3, 0.25, "abc")
    assert back.records == checkpoint(3).records
    assert torch.equal(back.method["weight"], torch.full((2, 2), 3.0))


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_newest_checkpoint_is_set_aside_and_it_is_said(two, capsys, damage):
    whole = two.newest.read_bytes()
    content = whole[: len(whole) // 2] if damage is None else damage
    two.newest.write_bytes(content)
    assert two.load().iteration == 3
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{two.newest}: damaged checkpoint")
    assert first.endswith("set aside as checkpoint.damaged-1.pt")
    assert second == f"{two.previous}: used instead, of iteration 3"
    assert (two.folder / "checkpoint.damaged-1.pt").read_bytes() == content
    two.save(checkpoint(5))
    two.newest.unlink()  # a kill at the worst moment: the whole one before must be left
    assert two.load().iteration == 3


def test_two_damaged_checkpoints_are_both_kept_and_training_starts_anew(two, capsys):
    two.newest.write_bytes(b"1")
    two.previous.write_bytes(b"2")
    assert two.load() is None
    assert "no whole checkpoint is left; training starts anew" in capsys.readouterr().err
    assert names(two) == ["checkpoint.damaged-1.pt", "checkpoint.previous.damaged-1.pt"]
    two.save(checkpoint(5))
    two.newest.write_bytes(b"3")
    assert two.load() is None
    assert (two.folder / "checkpoint.damaged-2.pt").read_bytes() == b"3"


def test_a_flipped_bit_is_noticed_wherever_it_is(two):
    """Every tensor, every number, the seal itself."""
    whole = two.newest.read_bytes()
    for place in [*random.Random(5).sample(range(len(whole)), 200), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        two.newest.write_bytes(damaged)
        assert two.load().iteration == 3, place


class Failing(io.FileIO):
    """Opens, and then cannot be read, as on a failing disk."""

    def read(self, *_):
        raise OSError(errno.EIO, "Input/output error")


def denied(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("place", "replacement", "message"),
    [
        ((Path, "open"), lambda path, _: Failing(path), "Input/output error"),
        ((Path, "open"), denied, "Permission denied"),
        ((torch, "load"), lambda *_, **__: (_ for _ in ()).throw(MemoryError()), "MemoryError"),
        (
            (torch, "load"),
            lambda *_, **__: (_ for _ in ()).throw(RuntimeError("can't allocate memory: 9 bytes")),
            "can't allocate memory",
        ),
    ],
)
def test_what_is_not_damage_is_an_error_and_touches_no_file(
    two, monkeypatch, capsys, place, replacement, message
):
    before = {path.name: path.read_bytes() for path in two.folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(*place, replacement)
        with pytest.raises(UserError, match=message) as refusal:
            two.load()
    assert str(two.newest) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert capsys.readouterr().err == ""
    assert {path.name: path.read_bytes() for path in two.folder.iterdir()} == before
    assert two.load().iteration == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_another_user_is_an_error(two):
    two.newest.chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        two.load()


def test_a_later_versions_checkpoint_is_an_error_and_kept(two):
    two.save(checkpoint(5, format=4))
    with pytest.raises(UserError, match=r"checkpoint\.pt: of format 4, this version .* reads 3"):
        two.load()
    later = checkpoint(6)
    later.something_new = 1
    two.save(later)
    with pytest.raises(UserError, match="something_new"):
        two.load()
    assert names(two) == ["checkpoint.previous.pt", "checkpoint.pt"]


@pytest.mark.parametrize("other", [{"identity": "x"}, {"data_sha256": "x"}])
def test_a_checkpoint_of_other_parameters_or_data_is_kept_until_they_come_back(two, capsys, other):
    others = of(two.root, **other)
    assert others.load() is None
    others.say_others()
    assert "other parameters or data; they are kept" in capsys.readouterr().err
    for iteration in (1, 2):
        others.save(checkpoint(iteration, **other))
    others.say_others()
    assert capsys.readouterr().err == ""
    assert others.load().iteration == 2
    assert of(two.root).load().iteration == 4
    two.newest.unlink()
    assert of(two.root).load().iteration == 3


def test_a_pickled_object_is_never_executed(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (builtins.open, (str(tmp_path / "trapped"), "w"))

    folder.save(checkpoint(3, mlflow_run_id=Trap()))
    with pytest.raises(UserError, match="cannot be read"):
        folder.load()
    assert not (tmp_path / "trapped").exists()
    assert names(folder) == ["checkpoint.pt"]


def test_a_full_disk_keeps_the_files_before(folder, monkeypatch):
    folder.save(checkpoint(3))

    def full(content, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"checkpoint\.pt: cannot be written .*No space"):
        folder.save(checkpoint(4))
    assert folder.load().iteration == 3
    assert names(folder) == ["checkpoint.pt"]

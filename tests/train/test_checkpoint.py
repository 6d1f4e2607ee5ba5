"""Checkpoints: whole, of this cell on this data, and never worse than the one before."""

import pytest
import torch

from segtrans.errors import UserError
from segtrans.train.checkpoint import Checkpoint, CheckpointFolder


def checkpoint(iteration, **changes):
    values = {
        "identity": "cell",
        "data_sha256": "data",
        "iteration": iteration,
        "method": {"weight": torch.full((2, 2), float(iteration))},
        "optimisers": {"networks": {"state": {0: {"step": torch.tensor(1.0)}}}},
        "average": {},
        "sums": {"names": ["seg"], "counts": {"seg": 1}, "sums": torch.zeros(1)},
        "best_iteration": 0,
        "best_dice": 0.25,
        "best_method": {"weight": torch.zeros(2, 2)},
        "seconds": 1.0,
        "sessions": [],
        "mlflow_run_id": None,
    }
    return Checkpoint(**(values | changes))


def load(folder, identity="cell", data_sha256="data"):
    return folder.load(identity=identity, data_sha256=data_sha256)


def test_what_is_saved_comes_back(tmp_path):
    folder = CheckpointFolder(tmp_path)
    assert load(folder) is None
    folder.save(checkpoint(3, mlflow_run_id="abc"))
    back = load(folder)
    assert (back.iteration, back.best_dice, back.mlflow_run_id) == (3, 0.25, "abc")
    assert torch.equal(back.method["weight"], torch.full((2, 2), 3.0))


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_newest_checkpoint_is_passed_over_and_it_is_said(tmp_path, capsys, damage):
    folder = CheckpointFolder(tmp_path)
    folder.save(checkpoint(3))
    folder.save(checkpoint(4))
    whole = folder.newest.read_bytes()
    folder.newest.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert load(folder).iteration == 3
    assert "damaged checkpoint passed over" in capsys.readouterr().err
    folder.save(checkpoint(5))
    folder.newest.unlink()  # a kill at the worst moment: the whole one before must be left
    assert load(folder).iteration == 3


@pytest.mark.parametrize("other", [{"identity": "x"}, {"data_sha256": "x"}])
def test_a_checkpoint_of_other_parameters_or_data_is_not_used_and_it_is_said(
    tmp_path, capsys, other
):
    folder = CheckpointFolder(tmp_path)
    folder.save(checkpoint(3))
    assert load(folder, **other) is None
    assert "other parameters or data" in capsys.readouterr().err


def test_a_pickled_object_is_never_executed(tmp_path, capsys):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    folder = CheckpointFolder(tmp_path)
    torch.save({"format": 1, "trap": Trap()}, folder.newest)
    assert load(folder) is None
    assert not (tmp_path / "trapped").exists()
    assert "passed over" in capsys.readouterr().err


def test_a_full_disk_keeps_the_files_before(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    folder.save(checkpoint(3))

    def full(content, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"checkpoint\.pt: cannot be written .*No space"):
        folder.save(checkpoint(4))
    assert load(folder).iteration == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt"]

"""What a history is written as."""

import pytest

from segtrans.config.runs import read_history, read_run
from segtrans.train.history import write_history


def record(iteration):
    return {"iteration": iteration, "train": {}, "valid": {"dice_soft_pooled": 0.5}}


def test_a_history_comes_back(write_run):
    run = read_run(write_run())
    write_history(run.folder / "history.jsonl", [record(0), record(10)])
    read = [line.model_dump() for line in read_history(run)]
    assert read == [record(0), record(10)]


def test_a_history_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_history(tmp_path / "h.jsonl", [record(0) | {"train": {"seg": float("nan")}}])
    assert not list(tmp_path.iterdir())

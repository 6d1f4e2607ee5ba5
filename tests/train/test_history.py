"""The history survives a kill between a validation and its checkpoint."""

import pytest

from segtrans.runs import read_history
from segtrans.train.history import History


def record(iteration):
    return {"iteration": iteration, "train": {}, "valid": {"dice_soft_pooled": 0.5}}


def test_records_after_the_checkpoint_and_torn_lines_are_dropped(tmp_path):
    history = History(tmp_path / "history.jsonl")
    assert history.keep_until(-1) == []
    for iteration in (0, 10, 20):
        history.append(record(iteration))
    with history.path.open("a") as file:
        file.write('{"iteration": 30, "tr')
    assert history.keep_until(10) == [record(0), record(10)]
    history.append(record(20))
    assert read_history(tmp_path) == [record(0), record(10), record(20)]


def test_a_history_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        History(tmp_path / "h.jsonl").append(record(0) | {"train": {"seg": float("nan")}})

"""Checkpoints of format 2, whose history was a file beside them, are taken over."""

import json
from pathlib import Path

import pytest
import torch

from segtrans.data.store import Store
from segtrans.errors import UserError
from segtrans.methods.autoencoder import Autoencoder
from tests.train.training import kept, newest_checkpoint, train


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens


class Stopped(Exception):
    pass


@pytest.fixture
def paused(tiny_data, make_config, monkeypatch):
    """A training stopped after 15 of 20 iterations, its checkpoint of 10 as format 2 had it."""
    config = make_config("autoencoder", iterations=20)
    original, calls = Autoencoder.update, []

    def stop(self, *arguments, **keywords):
        calls.append(1)
        if len(calls) == 15:
            raise Stopped
        return original(self, *arguments, **keywords)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Autoencoder, "update", stop)
        train(config, tiny_data)
    content = kept()
    lines = [json.dumps(record, sort_keys=True) + "\n" for record in content.pop("records")]
    root = Path("checkpoints-run")
    for file in newest_checkpoint().parent.iterdir():
        file.unlink()
    torch.save(content | {"format": 2}, root / "checkpoint.pt")
    torch.save(content | {"format": 2, "iteration": 0}, root / "checkpoint.previous.pt")
    torn = '{"iteration": 20, "tr'  # of a validation whose checkpoint never came
    (root / "history.jsonl").write_text("".join(lines) + torn)
    return config, root, lines


def test_a_paused_training_goes_on_and_ends_as_if_never_stopped(paused, tiny_data, capfd):
    config, root, _ = paused
    train(config, tiny_data)
    assert "resumed at iteration 10" in capfd.readouterr().out
    train(config, tiny_data, "undisturbed")
    for name in ("history.jsonl", "weights.safetensors", "weights_last.safetensors"):
        assert Path("run", name).read_bytes() == Path("undisturbed", name).read_bytes(), name
    assert {path.name for path in root.iterdir() if path.is_file()} == {"lock"}


def test_those_of_other_parameters_wait_for_them(paused, tiny_data, make_config, capfd):
    config, root, _ = paused
    before = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    train(make_config("autoencoder", iterations=10), tiny_data)
    assert "of other parameters or data; they are kept" in capfd.readouterr().err
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == before
    train(config, tiny_data)
    assert "resumed at iteration 10" in capfd.readouterr().out


@pytest.mark.parametrize("content", [None, "", "no JSON\n", "second line only"])
def test_a_history_with_a_gap_is_an_error_and_nothing_is_lost(paused, tiny_data, content):
    config, root, lines = paused
    history = root / "history.jsonl"
    if content is None:
        history.unlink()
    else:
        history.write_text(lines[1] if content == "second line only" else content)
    with pytest.raises(UserError, match=r"history\.jsonl: missing .* lacks iteration 0"):
        train(config, tiny_data)
    history.write_text("".join(lines))
    train(config, tiny_data)
    sessions = json.loads(Path("run/run.json").read_text())["sessions"]
    assert [session["from_iteration"] for session in sessions] == [0, 10]
    assert Path("run/history.jsonl").read_text().startswith("".join(lines))


def test_a_damaged_one_is_set_aside_and_the_one_before_used(paused, tiny_data, capfd):
    config, root, _ = paused
    whole = (root / "checkpoint.pt").read_bytes()
    damaged = bytearray(whole)
    for place in range(len(whole) // 2, len(whole) // 2 + 4096):  # more than the gaps in between
        damaged[place] ^= 1
    (root / "checkpoint.pt").write_bytes(damaged)
    train(config, tiny_data)
    out, err = capfd.readouterr()
    assert "resumed at iteration 0" in out
    assert "set aside as checkpoint.damaged-1.pt" in err
    assert (root / "checkpoint.damaged-1.pt").read_bytes() == damaged
    assert Store(tiny_data).sha256()[:16] in newest_checkpoint().parent.name

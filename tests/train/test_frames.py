"""Frames of a training: which are kept, what they show, and that keeping them changes nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from segtrans.config.runs import read_run
from segtrans.data.images import read_images
from segtrans.data.store import Store
from segtrans.methods.frames import Frames, is_kept
from segtrans.methods.weights import load_method
from segtrans.train import loop
from tests.train.training import train


@pytest.fixture(autouse=True)
def own_world(own_store):
    """Tracking and locks inside the test's folder."""


def test_the_more_validations_the_farther_apart_are_the_frames():
    assert [n for n in range(70) if is_kept(n)] == [0, 1, 2, 4, 8, 16, 32, 64]


def test_frames_are_of_the_first_and_the_last_iteration_and_between(tiny_data, make_config):
    train(make_config("translation", iterations=12, validate_every=2), tiny_data)
    frames = Frames.read(Path("run/frames.npz"))
    assert frames.iterations.tolist() == [0, 2, 4, 8, 12]
    shown = [0, 3, 6, 9]  # of ten
    store = Store(tiny_data)
    assert frames.y.tolist() == store.masks("valid", np.array(shown)).tolist()
    x = read_images(store, "valid", "present", np.array(shown))
    np.testing.assert_allclose(frames.x / 127.5 - 1, x, atol=0.51 / 127.5)
    method = load_method(read_run(Path("run")), which="last")
    with torch.no_grad():
        x_PA, _ = method.remove(torch.from_numpy(x))
        y_seg = method.segment(torch.from_numpy(x))[:, 0]
    np.testing.assert_allclose(frames.x_PA[-1] / 127.5 - 1, x_PA, atol=0.51 / 127.5)
    np.testing.assert_allclose(frames.y_seg[-1] / 255, y_seg, atol=0.51 / 255)
    assert np.abs(frames.x_PA[0].astype(int) - frames.x_PA[-1]).max() > 10


def test_a_training_with_frames_is_that_without(tiny_data, make_config, monkeypatch):
    config = make_config("translation", iterations=10)
    train(config, tiny_data, "with")
    monkeypatch.setattr(loop, "make_frame", lambda *_: None)
    train(config, tiny_data, "without")
    for name in ("weights.safetensors", "weights_last.safetensors", "history.jsonl"):
        assert Path("with", name).read_bytes() == Path("without", name).read_bytes(), name


def test_a_method_that_cannot_translate_has_none_and_removes_others(tiny_data, make_config):
    config = make_config("segmentation_only", iterations=10)
    Path("run").mkdir()
    Path("run/frames.npz").write_bytes(b"of an earlier version")
    train(config, tiny_data)
    assert not Path("run/frames.npz").exists()

"""What reaches an update: two shapes of masks, the same objective, from memory or from the file."""

import shutil
from pathlib import Path

import h5py
import pytest
import torch

import segtrans.data.feed.batches as data_batches
from segtrans.batch import Batch
from segtrans.methods.autoencoder import Autoencoder
from segtrans.methods.base import plain_step
from segtrans.methods.self_training import SelfTraining
from segtrans.methods.weights import build_method
from segtrans.tasks.base import VOID
from tests.train.training import train


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens


@pytest.fixture
def paper_config(make_config):
    """Three of 60 images are labelled, in batches of 12 as the draw has it."""
    config = make_config("autoencoder", batch_size=12, iterations=30)
    return config.model_copy(update={"labels": config.labels.model_copy(update={"per_batch": 0})})


def test_a_training_sees_at_most_two_shapes(tiny_data, paper_config, monkeypatch):
    original, shapes, n_labelled = Autoencoder.update, [], []

    def watched(self, batch, step):
        shapes.append(batch.shapes)
        y = batch.y
        n_labelled.append(int((y != VOID).flatten(1).any(1).sum()) if len(y) else 0)
        return original(self, batch, step)

    monkeypatch.setattr(Autoencoder, "update", watched)
    train(paper_config, tiny_data, "run")
    assert len(set(n_labelled)) > 2
    assert {shape[2][0] for shape in shapes} == {0, max(n_labelled)}
    assert len(set(shapes)) == 2


def test_batches_that_teach_nothing_are_left_out(tiny_data, make_config, paper_config, monkeypatch):
    """Without a mask, in the first of three rounds: weight decay alone would move the weights."""
    original, updated = SelfTraining.update, []

    def watched(self, batch, step):
        updated.append((int(step.iteration), len(batch.y) > 0))
        return original(self, batch, step)

    monkeypatch.setattr(SelfTraining, "update", watched)
    config = make_config("self_training", batch_size=12, iterations=30)
    train(config.model_copy(update={"labels": paper_config.labels}), tiny_data, "run")
    first = [iteration for iteration, _ in updated if iteration < 10]
    assert 0 < len(first) < 10
    assert all(has_masks for iteration, has_masks in updated if iteration < 10)
    assert [iteration for iteration, _ in updated if iteration >= 10] == list(range(10, 30))
    assert not all(has_masks for _, has_masks in updated)


@pytest.mark.slow
def test_training_from_the_file_ends_with_the_same_bytes(tiny_data, paper_config, monkeypatch):
    train(paper_config, tiny_data, "memory")
    monkeypatch.setattr(data_batches, "_CPU_BYTES", 0)
    train(paper_config, tiny_data, "file", n_workers=1)
    for name in ("history.jsonl", "weights.safetensors", "weights_last.safetensors"):
        assert Path("memory", name).read_bytes() == Path("file", name).read_bytes(), name


def test_images_are_clipped_in_training_as_in_scoring(
    tiny_data, paper_config, tmp_path, monkeypatch
):
    """Not augmented, of intensities up to 3."""
    assert paper_config.augmentation is None
    bright = shutil.copyfile(tiny_data, tmp_path / "bright.h5")
    with h5py.File(bright, "a") as file:
        for fold in ("train", "valid"):
            for domain in ("present", "absent"):
                file[f"{fold}/{domain}/image"].attrs["scale"] = 3 / 255
    original, largest = Autoencoder.update, []

    def watched(self, batch, step):
        largest.append(max(float(batch.x_P.max()), float(batch.x_A.max())))
        return original(self, batch, step)

    monkeypatch.setattr(Autoencoder, "update", watched)
    train(paper_config, bright, "run")
    assert set(largest) == {1.0}


@pytest.mark.parametrize("name", ["segmentation_only", "autoencoder", "translation"])
def test_empty_slots_change_neither_losses_nor_gradients(make_config, name):
    generator = torch.Generator().manual_seed(0)
    x_P, x_A = (torch.rand(4, 1, 48, 48, generator=generator) for _ in range(2))
    exact = (x_P[:1, 0] > 0.7).to(torch.uint8)
    padded = torch.cat([exact, torch.full((2, 48, 48), VOID, dtype=torch.uint8)])
    config = make_config(name)
    outcomes = []
    for y in (exact, padded):
        method = build_method(config)
        method.prepare(config.training)
        step = plain_step(torch.Generator().manual_seed(1))
        terms = method.update(Batch.of(x_P, x_A, y), step)
        gradients = {key: p.grad for key, p in method.named_parameters() if p.grad is not None}
        outcomes.append((terms, gradients))
    (terms, gradients), (terms_padded, gradients_padded) = outcomes
    assert terms.keys() == terms_padded.keys() > {"seg"}
    assert gradients.keys() == gradients_padded.keys()
    torch.testing.assert_close(terms_padded, terms, rtol=1e-5, atol=1e-6)
    # Some gradients are zero but for rounding: biases before a normalisation.
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    torch.testing.assert_close(gradients_padded, gradients, rtol=1e-4, atol=1e-6 * largest)

"""Updates and trainings on a GPU; left out where there is none."""

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segtrans.batch import Batch
from segtrans.config.catalogue import METHODS
from segtrans.config.params import AugmentationParams
from segtrans.data.feed.augment import augment_batch
from segtrans.methods.base import PlainEngine, plain_step
from segtrans.methods.weights import build_method
from segtrans.train.hardware.updates import Updates
from segtrans.train.rates import Rates
from tests.train.training import n_records

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

ROOT = Path(__file__).parents[2]
N = 8
# What torch says when it is told to refuse waiting.
UNHEARD = pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")


@pytest.fixture(autouse=True)
def exact_convolutions():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def batches(n, *, dtype=torch.float32):
    """On the GPU; every third one has no labelled images."""
    generator = torch.Generator().manual_seed(0)
    for i in range(n):
        x_P, x_A = (2 * torch.rand(N, 1, 48, 48, generator=generator) - 1 for _ in range(2))
        y = (x_P[: 0 if i % 3 == 2 else 3, 0] > 0.5).to(torch.uint8)
        yield Batch.of(x_P.to(dtype), x_A.to(dtype), y).to(torch.device("cuda"))


def on_gpu(config, dtype=torch.float32):
    method = build_method(config).to("cuda", dtype)
    method.prepare(config.training)
    return method.train()


@pytest.mark.parametrize("name", ["segmentation_only", "autoencoder"])
def test_updates_are_those_of_the_processor(make_config, name):
    """The second one starts from the weights that the first one left."""
    config = make_config(name)
    ours, theirs = on_gpu(config, torch.float64), build_method(config).double()
    theirs.prepare(config.training)
    updates = Updates(ours, PlainEngine())
    for batch in batches(2, dtype=torch.float64):
        expected = theirs.update(batch.each(Tensor.cpu), plain_step(torch.Generator()))
        terms = updates(batch, 0)
        assert set(terms) == set(expected)
        for key, value in expected.items():
            torch.testing.assert_close(terms[key].cpu(), value, rtol=1e-8, atol=1e-8, msg=key)


def test_what_was_recorded_in_a_stage_is_replayed_in_that_alone(make_config):
    training = {"first_round": "translation", "iterations": 27, "validate_every": 27}
    config = make_config("self_training", learning_rate=1e-4, **training)
    launched = on_gpu(config, torch.float64)
    replayed = copy.deepcopy(launched)
    replayed.prepare(config.training)
    updates, generator = Updates(replayed, PlainEngine()), torch.Generator("cuda")
    for t, batch in enumerate(batches(27, dtype=torch.float64)):
        step = plain_step(generator.manual_seed(t), t, launched.stage(t))
        expected = launched.update(batch, step)
        updates.generator.manual_seed(t)
        terms = updates(batch, t)
        assert set(terms) == set(expected)
        for key, value in expected.items():
            torch.testing.assert_close(terms[key], value, rtol=1e-6, atol=1e-6, msg=f"{key} {t}")
        assert int(replayed.begun) == t - t % 9
    assert {stage for stage, _ in updates._captured} == {0, 9, 18}


@pytest.mark.parametrize("name", METHODS)
def test_replayed_updates_are_those_launched_one_by_one(make_config, name):
    """With other images, masks, sampled codes and rates each time, and without labelled ones.

    The terms of each update depend on the weights that those before left.
    """
    rates = {"learning_rate": 1e-4, "discriminator_learning_rate": 1e-4, "decay_from": 0.1}
    config = make_config(name, **rates)
    launched = on_gpu(config, torch.float64)
    replayed = copy.deepcopy(launched)
    replayed.prepare(config.training)
    falling = [Rates(method, config.training) for method in (launched, replayed)]
    updates, generator = Updates(replayed, PlainEngine()), torch.Generator("cuda")
    has_unlabelled = not METHODS[name].only_labelled
    n_replayed = 0
    for seed, batch in enumerate(batches(15, dtype=torch.float64)):
        if len(batch.y) == 0 and not has_unlabelled:
            continue
        for rates_of in falling:
            rates_of.set(seed)
        expected = launched.update(batch, plain_step(generator.manual_seed(seed), seed))
        updates.generator.manual_seed(seed)
        terms = updates(batch, seed)
        n_replayed += len(updates._captured) > has_unlabelled
        assert set(terms) == set(expected)
        for key, value in expected.items():
            torch.testing.assert_close(terms[key], value, rtol=1e-6, atol=1e-6, msg=f"{key} {seed}")
    assert n_replayed >= 3
    assert len(updates._captured) == 1 + has_unlabelled


@UNHEARD
@pytest.mark.parametrize("name", METHODS)
def test_an_update_never_waits_for_the_gpu(make_config, name):
    updates = Updates(on_gpu(make_config(name)), PlainEngine())
    first, *rest = (batch for batch in batches(9) if len(batch.y))
    updates(first, 0)
    try:
        torch.cuda.set_sync_debug_mode("error")
        updates(rest[0], 0)
        updates(rest[1], 0)
        torch.cuda.set_sync_debug_mode("default")
        updates(rest[2], 0)  # capturing waits, once
        torch.cuda.set_sync_debug_mode("error")
        updates(rest[3], 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@UNHEARD
def test_augmentation_never_waits_for_the_gpu():
    params = AugmentationParams(warp_sd=5, rotation_deg=3, zoom=0.1, intensity=0.1, flips=True)
    (batch,) = batches(1)
    generator = torch.Generator("cuda").manual_seed(0)
    augment_batch(batch, params, generator=generator)
    try:
        torch.cuda.set_sync_debug_mode("error")
        augmented = augment_batch(batch, params, generator=generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not torch.equal(augmented.x_P, batch.x_P)
    assert bool(augmented.x_P.isfinite().all())


def train(config, data, folder):
    command = [sys.executable, "-m", "segtrans", "train", "--run-config", config.to_json()]
    command += ["--data", str(data), "--output", folder, "--checkpoints", f"{folder}-checkpoints"]
    command += ["--preset", "test", "--gpus", "1"]
    python_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "0", "PYTHONPATH": python_path}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["segmentation_only", "autoencoder", "translation"])
def test_a_training_learns_on_the_gpu_and_goes_on_when_killed(
    make_config, tiny_data, tmp_path, monkeypatch, name, precision
):
    monkeypatch.chdir(tmp_path)
    config = make_config(
        name, precision=precision, iterations=2000, batch_size=4, validate_every=20
    )
    killed = train(config, tiny_data, "run")
    while n_records("run-checkpoints") < 4:
        assert killed.poll() is None
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    again = train(config, tiny_data, "run")
    assert "resumed at iteration" in again.communicate()[0]
    assert again.returncode == 0
    run = json.loads(Path("run/run.json").read_text())
    assert [session["device"] for session in run["sessions"]] == ["cuda:0", "cuda:0"]
    assert run["usage"]["gpu_peak_memory_mb"] > 0
    records = [json.loads(line) for line in Path("run/history.jsonl").read_text().splitlines()]
    assert [record["iteration"] for record in records] == list(range(0, 2001, 20))
    assert records[-1]["train"]["total"] < records[1]["train"]["total"]

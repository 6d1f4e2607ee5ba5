"""Memory against a known allocation, energy against counters that the test turns itself."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from segtrans.methods.autoencoder import Autoencoder
from segtrans.train.checkpoint import Checkpoint, CheckpointFolder
from segtrans.train.usage import UsageMeter, joint_usage
from tests.train.training import kept, train

CPU = torch.device("cpu")


@pytest.fixture
def powercap(tmp_path):
    """A function that sets the counter of a package, in joules; its folder."""

    def turn(package, joules):
        folder = tmp_path / f"intel-rapl:{package}"
        folder.mkdir(exist_ok=True)
        (folder / "name").write_text(f"package-{package}\n")
        (folder / "energy_uj").write_text(f"{joules * 10**6}\n")
        (folder / "max_energy_range_uj").write_text(f"{1000 * 10**6}\n")
        # What counts the package once more: a part of it, and the whole laptop.
        for other, name in ((f"intel-rapl:{package}:0", "core"), ("intel-rapl:9", "psys")):
            shutil.copytree(folder, tmp_path / other, dirs_exist_ok=True)
            (tmp_path / other / "name").write_text(f"{name}\n")

    return turn


@pytest.mark.slow
def test_the_peak_is_that_of_what_was_allocated():
    code = (
        "import json, numpy as np, torch\n"
        "from segtrans.train.usage import UsageMeter\n"
        "meter = UsageMeter(torch.device('cpu'))\n"
        "peaks = [meter.read()['peak_memory_mb']]\n"
        "block = np.ones(400_000_000, dtype=np.uint8)\n"
        "del block\n"
        "peaks.append(meter.read()['peak_memory_mb'])\n"
        "print(json.dumps(peaks))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    before, after = json.loads(answer.stdout)
    # What the process freed before may be used again.
    assert 300 < after - before < 410


@pytest.mark.parametrize("status", [None, "Name:\tpython\nVmSize:\t9 kB\nVmRSS:\t9 kB\n"])
def test_a_kernel_that_keeps_no_high_water_mark_has_a_peak_too(tmp_path, status):
    file = tmp_path / "status"
    if status is not None:
        file.write_text(status)
    peak = UsageMeter(CPU, status=file).read()["peak_memory_mb"]
    assert peak >= UsageMeter(CPU).read()["peak_memory_mb"] * 0.99
    assert peak < 20_000


def test_energy_is_that_of_all_packages(tmp_path, powercap):
    powercap(0, 100)
    powercap(1, 500)
    meter = UsageMeter(CPU, powercap=tmp_path)
    assert meter.read()["energy_wh"] == 0
    powercap(0, 460)
    powercap(1, 860)
    assert meter.read()["energy_wh"] == pytest.approx(0.2)  # 720 J
    assert meter.read()["energy_wh"] == pytest.approx(0.2)


def test_a_counter_that_starts_over_goes_on(tmp_path, powercap):
    powercap(0, 900)
    meter = UsageMeter(CPU, powercap=tmp_path)
    for joules in (100, 800, 80):  # +200, +700, +280
        powercap(0, joules)
        energy = meter.read()["energy_wh"]
    assert energy == pytest.approx(1180 / 3600, abs=1e-3)


@pytest.mark.parametrize("lost", ["energy_uj", "max_energy_range_uj"])
def test_a_counter_that_cannot_be_read_makes_the_energy_unknown(tmp_path, powercap, lost):
    powercap(0, 100)
    powercap(1, 100)
    meter = UsageMeter(CPU, powercap=tmp_path)
    (tmp_path / "intel-rapl:1" / lost).unlink()
    assert meter.read()["energy_wh"] is None


def test_without_counters_the_energy_is_unknown(tmp_path):
    assert UsageMeter(CPU, powercap=tmp_path / "none").read()["energy_wh"] is None


def test_of_several_processes_memory_is_the_largest_and_energy_the_sum():
    first = {"peak_memory_mb": 900.0, "gpu_peak_memory_mb": None, "energy_wh": 1.5}
    second = {"peak_memory_mb": 700.0, "gpu_peak_memory_mb": 80.0, "energy_wh": 2.0}
    assert joint_usage([first, second]) == {
        "peak_memory_mb": 900.0,
        "gpu_peak_memory_mb": 80.0,
        "energy_wh": 3.5,
    }
    unknown = {"peak_memory_mb": 800.0, "gpu_peak_memory_mb": None, "energy_wh": None}
    assert joint_usage([first, unknown])["energy_wh"] is None


def test_what_was_not_kept_leaves_the_energy_unknown():
    kept = {"peak_memory_mb": 900.0, "gpu_peak_memory_mb": None, "energy_wh": 1.5}
    assert joint_usage([None, kept]) == kept | {"energy_wh": None}
    assert joint_usage([None, None]) is None


class Stopped(Exception):
    pass


@pytest.fixture
def interrupted(own_store, monkeypatch, tiny_data, make_config):
    """A training stopped after its first checkpoint; a function that ends it: the run's facts.

    The function gets the sessions of the checkpoint, to change them first.
    """
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

    def end(change):
        content = kept()
        change(content["sessions"])
        of_config = {key: content[key] for key in ("identity", "data_sha256")}
        CheckpointFolder(Path("checkpoints-run"), **of_config).save(Checkpoint(**content))
        train(config, tiny_data)
        return json.loads(Path("run/run.json").read_text())

    return end


def test_a_resumed_training_keeps_what_was_used_before_it_was_stopped(interrupted):
    before = {"peak_memory_mb": 1e6, "gpu_peak_memory_mb": 70.0, "energy_wh": None}
    facts = interrupted(lambda sessions: sessions[0].update(usage=before))
    assert [session["from_iteration"] for session in facts["sessions"]] == [0, 10]
    assert facts["sessions"][0]["usage"] == facts["usage"] == before
    assert 100 < facts["sessions"][1]["usage"]["peak_memory_mb"] < 8000


def test_a_checkpoint_from_before_usage_was_counted_goes_on(interrupted):
    facts = interrupted(lambda sessions: sessions[0].pop("usage"))
    assert [session["from_iteration"] for session in facts["sessions"]] == [0, 10]
    assert facts["usage"] == facts["sessions"][1]["usage"] | {"energy_wh": None}
    # Trained to its end before: only written anew.
    facts = interrupted(lambda sessions: [session.pop("usage", None) for session in sessions])
    assert facts["usage"] is None

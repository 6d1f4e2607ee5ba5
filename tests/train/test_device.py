"""Device slots: exclusive, freed by death, and honest about the environment."""

import os
import signal
import subprocess
import sys
import time

import pytest

from segtrans.errors import UserError
from segtrans.train.device import claimed_device, claimed_folder, visible_devices

CLAIM = (
    "import sys, time; from segtrans.train.device import claimed_device\n"
    "with claimed_device(1) as name: print(name, flush=True); time.sleep(float(sys.argv[1]))"
)


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGTRANS_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SEGTRANS_GPUS", raising=False)


def claim(seconds):
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(seconds)], stdout=subprocess.PIPE, text=True
    )


def test_two_devices_are_both_used_never_shared_and_freed_by_death(monkeypatch):
    monkeypatch.setenv("SEGTRANS_GPUS", "0,1")
    first, second = claim(60), claim(60)
    names = {first.stdout.readline().strip(), second.stdout.readline().strip()}
    assert names == {"0", "1"}
    third = claim(0)
    time.sleep(1.5)
    assert third.poll() is None
    first.send_signal(signal.SIGKILL)
    assert third.stdout.readline().strip() in names
    assert third.wait(20) == 0
    second.kill()
    for process in (first, second, third):
        process.communicate()


@pytest.mark.parametrize(
    ("value", "expected"), [("3,5", ["3", "5"]), ("", []), ("-1", []), ("GPU-ab", ["GPU-ab"])]
)
def test_a_preset_cuda_visible_devices_is_the_pool(monkeypatch, value, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_devices() == expected


def test_without_a_device_or_a_request_the_cpu_is_used(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with claimed_device(1) as name:
        assert name is None
    monkeypatch.setenv("SEGTRANS_GPUS", "0")
    with claimed_device(0) as name:
        assert name is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_a_second_training_in_the_same_folder_is_refused(tmp_path):
    with (
        claimed_folder(tmp_path / "run"),
        pytest.raises(UserError, match="another training"),
        claimed_folder(tmp_path / "run"),
    ):
        pass
    with claimed_folder(tmp_path / "run"):
        pass

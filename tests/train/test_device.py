"""Device slots: exclusive, freed by death, and honest about the environment."""

import itertools
import os
import signal
import subprocess
import sys
import time

import pytest

from segtrans.errors import UserError
from segtrans.train.device import claimed_devices, claimed_folder, visible_devices

CLAIM = (
    "import sys, time; from segtrans.train.device import claimed_devices\n"
    "with claimed_devices(int(sys.argv[2])) as names:\n"
    "    print(*names, flush=True); time.sleep(float(sys.argv[1]))"
)


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGTRANS_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SEGTRANS_GPUS", raising=False)


def claim(seconds, n=1):
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(seconds), str(n)], stdout=subprocess.PIPE, text=True
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


def test_two_devices_at_once_wait_until_both_are_free_and_hold_none_meanwhile(monkeypatch):
    monkeypatch.setenv("SEGTRANS_GPUS", "0,1")
    first = claim(60)
    assert first.stdout.readline().strip() == "0"
    both = claim(60, 2)
    time.sleep(1.5)
    assert both.poll() is None
    second = claim(0)  # gets the other one, which waiting does not hold
    assert second.stdout.readline().strip() == "1"
    assert second.wait(20) == 0
    first.kill()
    assert both.stdout.readline().strip() == "0 1"
    both.kill()
    for process in (first, second, both):
        process.communicate()


def test_six_jobs_on_two_devices_never_share_one_and_use_both(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGTRANS_GPUS", "0,1")
    code = (
        "import sys, time; from segtrans.train.device import claimed_devices\n"
        "with claimed_devices(1, poll_s=0.05) as (name,):\n"
        "    begin = time.monotonic(); time.sleep(0.5)\n"
        "    print(name, begin, time.monotonic())"
    )
    jobs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    held = [job.communicate(timeout=60)[0].split() for job in jobs]
    assert {name for name, _, _ in held} == {"0", "1"}
    for device in ("0", "1"):
        times = sorted((float(begin), float(end)) for name, begin, end in held if name == device)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(times))


def test_more_devices_than_there_are_is_one_line(monkeypatch):
    monkeypatch.setenv("SEGTRANS_GPUS", "0")
    with pytest.raises(UserError, match="2 devices asked for, 1 visible"), claimed_devices(2):
        pass


@pytest.mark.parametrize(
    ("value", "expected"), [("3,5", ["3", "5"]), ("", []), ("-1", []), ("GPU-ab", ["GPU-ab"])]
)
def test_a_preset_cuda_visible_devices_is_the_pool(monkeypatch, value, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_devices() == expected


def test_without_a_device_or_a_request_the_cpu_is_used(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with claimed_devices(1) as names:
        assert names == []
    monkeypatch.setenv("SEGTRANS_GPUS", "0")
    with claimed_devices(0) as names:
        assert names == []
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

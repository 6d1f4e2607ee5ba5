"""Device slots: exclusive, freed by death, and honest about the environment."""

import errno
import fcntl
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segtrans.errors import UserError
from segtrans.train.hardware.device import claimed_devices, claimed_folder, visible_devices
from tests.limits import WAIT_S

CLAIM = (
    "import sys, time; from segtrans.train.hardware.device import claimed_devices\n"
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
        "import sys, time; from segtrans.train.hardware.device import claimed_devices\n"
        "with claimed_devices(1, poll_s=0.05) as (name,):\n"
        "    begin = time.monotonic(); time.sleep(0.5)\n"
        "    print(name, begin, time.monotonic())"
    )
    jobs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    held = [job.communicate(timeout=WAIT_S)[0].split() for job in jobs]
    assert {name for name, _, _ in held} == {"0", "1"}
    for device in ("0", "1"):
        times = sorted((float(begin), float(end)) for name, begin, end in held if name == device)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(times))


def test_more_devices_than_there_are_is_one_line(monkeypatch):
    monkeypatch.setenv("SEGTRANS_GPUS", "0")
    with pytest.raises(UserError, match="2 devices asked for, 1 visible"), claimed_devices(2):
        pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3,5", ["3", "5"]),
        ("", []),
        ("-1", []),
        ("GPU-ab", ["GPU-ab"]),
        ("MIG-GPU-ab/1/0", ["MIG-GPU-ab/1/0"]),
        # As CUDA has it: what stands before the first name that is none.
        ("NoDevFiles", []),
        ("none", []),
        ("1, 0,-1,2", ["1", "0"]),
    ],
)
def test_a_preset_cuda_visible_devices_is_the_pool(monkeypatch, value, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_devices() == expected


LISTING = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1g.5gb      Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-6d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a78)
"""
PARTS = ["MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb"]


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A driver that lists a card in two parts, and a whole one."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTING}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


def test_each_part_of_a_shared_card_is_a_device(driver, monkeypatch):
    assert visible_devices() == [*PARTS, "1"]
    with claimed_devices(1) as first:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")  # as another training sees it
        with claimed_devices(1) as second:
            assert [*first, *second] == PARTS


def test_a_training_on_several_parts_of_a_card_is_refused(driver):
    with pytest.raises(UserError, match=r"2 devices asked for, MIG-.* ask for one"):
        claimed_devices(2).__enter__()


def without_locks(monkeypatch, number, folder):
    """A file system without locks below `folder`."""
    real = fcntl.flock

    def flock(descriptor, operation):
        if Path(f"/proc/self/fd/{descriptor}").resolve().is_relative_to(folder):
            raise OSError(number, os.strerror(number))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_one_line_and_the_locks_may_lie_elsewhere(
    tmp_path, monkeypatch, number
):
    shared = tmp_path / "shared"
    without_locks(monkeypatch, number, shared)
    with (
        claimed_folder(shared / "run"),
        claimed_folder(shared / "other"),
        pytest.raises(UserError, match="another training"),
        claimed_folder(shared / "run"),
    ):
        pass
    monkeypatch.setenv("SEGTRANS_GPUS", "0")
    monkeypatch.setenv("SEGTRANS_LOCK_DIR", str(shared / "locks"))
    for claim_one in (lambda: claimed_devices(1), lambda: claimed_folder(shared / "run")):
        with pytest.raises(UserError, match=r"has no locks .* set SEGTRANS_LOCK_DIR"), claim_one():
            pass
    monkeypatch.delenv("SEGTRANS_LOCK_DIR")
    with (
        pytest.raises(UserError, match=r"has no locks .* set SEGTRANS_LOCK_DIR"),
        claimed_folder(shared / "run"),
    ):
        pass


def test_a_disk_that_fails_is_not_taken_for_one_without_locks(tmp_path, monkeypatch):
    without_locks(monkeypatch, errno.EIO, tmp_path / "shared")
    with (
        pytest.raises(UserError, match=r"lock: cannot be locked \(Input/output error\)"),
        claimed_folder(tmp_path / "shared"),
    ):
        pass


def test_a_folder_of_locks_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEGTRANS_LOCK_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("SEGTRANS_GPUS", "0")
    with pytest.raises(UserError, match=r"cannot be made .*SEGTRANS_LOCK_DIR"), claimed_devices(1):
        pass


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

"""One device for one training: locked, so that two jobs never share a card unasked; else the CPU.

A slot is a kernel file lock held by the process, so a death of any kind frees it. The lock files
are never removed: unlinking a locked file would let two processes hold "the same" lock.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segtrans.errors import UserError


def visible_devices() -> list[str]:
    """Names of the devices this process may use, without touching CUDA.

    SEGTRANS_GPUS wins, then CUDA_VISIBLE_DEVICES (a cluster's own assignment), then what the
    driver lists. An empty variable means: the CPU.
    """
    for variable in ("SEGTRANS_GPUS", "CUDA_VISIBLE_DEVICES"):
        value = os.environ.get(variable)
        if value is not None:
            return [name.strip() for name in value.split(",") if name.strip() not in ("", "-1")]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if listing.returncode != 0:
        return []
    cards = [line for line in listing.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(cards))]


@contextmanager
def claimed_device(n_gpus: int, *, poll_s: float = 0.5) -> Iterator[str | None]:
    """Hold one free device inside the block, the only one that this process sees.

    Enter it before torch starts CUDA. Waits while every device is taken.

    Args:
        n_gpus: 0 for the CPU, 1 for a device.
        poll_s: seconds between two looks at taken devices.

    Yields:
        The device's name, or None when training runs on the CPU.
    """
    devices = visible_devices() if n_gpus > 0 else []
    if not devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        yield None
        return
    folder = _lock_folder()
    is_said = False
    while True:
        for name in devices:
            descriptor = try_lock(folder / name.replace("/", "_"))
            if descriptor is None:
                continue
            os.environ["CUDA_VISIBLE_DEVICES"] = name
            try:
                yield name
            finally:
                os.close(descriptor)
            return
        if not is_said:
            print(f"waiting for one of the devices {', '.join(devices)}", file=sys.stderr)
            is_said = True
        time.sleep(poll_s)


@contextmanager
def claimed_folder(folder: Path) -> Iterator[None]:
    """Hold a checkpoint folder inside the block.

    Raises:
        UserError: another training works in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = try_lock(folder / "lock")
    if descriptor is None:
        raise UserError(
            f"{folder}: another training works in this folder; wait for it, or end it first "
            "(its lock goes with its process)"
        )
    try:
        yield
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """Take an exclusive kernel lock on `path`; its descriptor, or None when it is taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _lock_folder() -> Path:
    # Slurm numbers the devices of each job from 0: a job must not wait for another job's "0".
    job = os.environ.get("SLURM_JOB_ID")
    space = f"slurm-{job}" if job else "local"
    root = os.environ.get("SEGTRANS_LOCK_DIR")
    base = Path(root) if root else Path(tempfile.gettempdir()) / f"segtrans-gpu-{os.getuid()}"
    folder = base / space
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder}: belongs to another user; set SEGTRANS_LOCK_DIR to your own")
    return folder

"""Devices for one training: locked, so that two jobs never share a card unasked; else the CPU.

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
def claimed_devices(n_gpus: int, *, poll_s: float = 0.5) -> Iterator[list[str]]:
    """Hold free devices inside the block, the only ones that this process sees.

    Enter it before torch starts CUDA. Waits while too few devices are free, and holds none
    meanwhile.

    Args:
        n_gpus: 0 for the CPU, else the number of devices.
        poll_s: seconds between two looks at taken devices.

    Yields:
        The devices' names; none when training runs on the CPU.

    Raises:
        UserError: more devices are asked for than can be seen (but for none, which is the CPU).
    """
    devices = visible_devices() if n_gpus > 0 else []
    if not devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        yield []
        return
    if n_gpus > len(devices):
        raise UserError(
            f"{n_gpus} devices asked for, {len(devices)} visible ({', '.join(devices)}): ask for "
            "fewer, or make more visible by CUDA_VISIBLE_DEVICES"
        )
    folder = _lock_folder()
    is_said = False
    while True:
        held = _try_locks(folder, devices, n_gpus)
        if held:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(held)
            try:
                yield list(held)
            finally:
                for descriptor in held.values():
                    os.close(descriptor)
            return
        if not is_said:
            print(f"waiting for {n_gpus} of the devices {', '.join(devices)}", file=sys.stderr)
            is_said = True
        time.sleep(poll_s)


def _try_locks(folder: Path, devices: list[str], n: int) -> dict[str, int]:
    """Lock n devices, or none when too few are free; descriptors by name."""
    held: dict[str, int] = {}
    for name in devices:
        descriptor = try_lock(folder / name.replace("/", "_"))
        if descriptor is not None:
            held[name] = descriptor
        if len(held) == n:
            return held
    for descriptor in held.values():
        os.close(descriptor)
    return {}


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

"""Devices for one training: locked, so that two jobs never share a card unasked; else the CPU.

A slot is a kernel file lock held by the process, so a death of any kind frees it. The lock files
are never removed: unlinking a locked file would let two processes hold "the same" lock.
"""

import errno
import fcntl
import hashlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segtrans.errors import UserError

# What file systems answer that have no locks: Lustre, and some NFS.
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
# A number, or the name of a card or of a part of one (MIG), which may be shortened.
_DEVICE = re.compile(r"\d+|(GPU|MIG)-\S+")


def visible_devices() -> list[str]:
    """Names of the devices this process may use, without touching CUDA.

    SEGTRANS_GPUS wins, then CUDA_VISIBLE_DEVICES (a cluster's own assignment), then what the
    driver lists. An empty variable means: the CPU. As in CUDA, a list ends before the first name
    that is none, such as -1 or the NoDevFiles of some schedulers.
    """
    for variable in ("SEGTRANS_GPUS", "CUDA_VISIBLE_DEVICES"):
        value = os.environ.get(variable)
        if value is not None:
            names = (name.strip() for name in value.split(","))
            return list(itertools.takewhile(_DEVICE.fullmatch, names))
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return _listed(listing.stdout) if listing.returncode == 0 else []


def _listed(listing: str) -> list[str]:
    """Devices that `nvidia-smi -L` prints: cards by number, and the parts of one shared out (MIG).

    CUDA takes a shared card's number for its first part alone.
    """
    cards: list[list[str]] = []
    for line in listing.splitlines():
        if line.startswith("GPU "):
            cards.append([])
        elif part := re.search(r"^\s+MIG .*UUID: (MIG-[^)\s]+)", line):
            cards[-1].append(part[1])
    return [name for number, parts in enumerate(cards) for name in parts or [str(number)]]


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
        UserError: more devices are asked for than can be seen (but for none, which is the CPU), or
            than CUDA lets work together; the folder of locks cannot be used.
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
    if n_gpus > 1 and any(name.startswith("MIG-") for name in devices):
        raise UserError(
            f"{n_gpus} devices asked for, {', '.join(devices)} are parts of cards (MIG), of "
            "which CUDA gives a process one; ask for one"
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

    Its lock lies in it; on a file system without locks in SEGTRANS_LOCK_DIR, where that is set.

    Raises:
        UserError: another training works in it, or it cannot be locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = try_lock(folder / "lock")
    except NoLocksError:
        if "SEGTRANS_LOCK_DIR" not in os.environ:
            raise
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        descriptor = try_lock(_own_folder("checkpoints") / name)
    if descriptor is None:
        raise UserError(
            f"{folder}: another training works in this folder; wait for it, or end it first "
            "(its lock goes with its process)"
        )
    try:
        yield
    finally:
        os.close(descriptor)


class NoLocksError(UserError):
    """The file system has no locks."""


def try_lock(path: Path) -> int | None:
    """Take an exclusive kernel lock on `path`; its descriptor, or None when it is taken.

    Raises:
        NoLocksError: the file system has no locks.
        UserError: the file cannot be opened or locked for another reason.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened to lock it ({error.strerror})") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        if error.errno in _NO_LOCKS:
            raise NoLocksError(
                f"{path.parent}: its file system has no locks ({error.strerror}); set "
                "SEGTRANS_LOCK_DIR to a folder of yours on one that has, such as a local disk"
            ) from error
        raise UserError(f"{path}: cannot be locked ({error.strerror})") from error
    return descriptor


def _lock_folder() -> Path:
    # Slurm numbers the devices of each job from 0: a job must not wait for another job's "0".
    job = os.environ.get("SLURM_JOB_ID")
    return _own_folder(f"slurm-{job}" if job else "local")


def _own_folder(name: str) -> Path:
    """A folder of locks, made when absent.

    Raises:
        UserError: it cannot be made, or belongs to another user.
    """
    root = os.environ.get("SEGTRANS_LOCK_DIR")
    base = Path(root) if root else Path(tempfile.gettempdir()) / f"segtrans-gpu-{os.getuid()}"
    folder = base / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        owner = folder.stat().st_uid
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be made ({error.strerror}); set SEGTRANS_LOCK_DIR to your own"
        ) from error
    if owner != os.getuid():
        raise UserError(f"{folder}: belongs to another user; set SEGTRANS_LOCK_DIR to your own")
    return folder

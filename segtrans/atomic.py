"""Write a file whole or not at all: a temporary file beside it, sync, rename."""

import errno
import glob
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

# What file systems answer that cannot sync a folder: CIFS, WSL's and VirtualBox' shares, some FUSE.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP}
# A temporary file of another machine that nobody has written to for so long is a dead process's.
_ABANDONED_AFTER_S = 7 * 24 * 3600


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path in `target`'s folder and move it into place when the block ends well.

    The folder is made when absent. When the block raises, the temporary file (or folder) is
    removed and `target` stays as it was; what a killed process left of the same target is removed
    at the start. The temporary name keeps the suffix of `target`, since
    some writers choose their format by it.

    Raises:
        OSError: the folder cannot be made or written, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    temporary = temporary_path(target, os.getpid())
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    finally:
        _remove(temporary)


def temporary_path(target: Path, process: int) -> Path:
    """Where a process of this machine writes `target` before it is whole."""
    return target.with_name(f".{process}-{_node()}.partial.{target.name}")


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes left half-written of `target`: each may be as large as it.

    A process of this machine is asked for by its number; of another one, whose folder this is too,
    only the age of its file can tell.
    """
    for path in target.parent.glob(f".*.partial.{glob.escape(target.name)}"):
        process, _, node = path.name.split(".")[1].partition("-")
        if not process.isdecimal():
            continue
        is_ours = node == _node()
        if (is_ours and not _is_running(int(process))) or (not is_ours and _is_abandoned(path)):
            _remove(path)


def remove_partials(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder that nobody else writes to."""
    for path in folder.glob(".*.partial.*"):
        _remove(path)


def sync(path: Path) -> None:
    """Bring a file or a folder to the disk; a folder only where the file system can.

    Raises:
        OSError: the disk is full or fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, atomically; NaN is refused."""
    write_text(target, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


@cache
def _node() -> str:
    """Where numbers of processes mean the same: this machine, and in it this container."""
    namespace = ""
    with suppress(OSError):  # Linux alone has them
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]


def _is_abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S
    except FileNotFoundError:  # just moved into place
        return False


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

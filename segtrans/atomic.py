"""Write a file whole or not at all: a temporary file beside it, sync, rename."""

import glob
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
    temporary = target.with_name(f".{os.getpid()}.partial.{target.name}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
        _sync(target.parent)
    finally:
        _remove(temporary)


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes left half-written of `target`: each may be as large as it."""
    for path in target.parent.glob(f".*.partial.{glob.escape(target.name)}"):
        number = path.name.split(".")[1]
        if number.isdecimal() and not _is_running(int(number)):
            _remove(path)


def remove_partials(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder that nobody else writes to."""
    for path in folder.glob(".*.partial.*"):
        path.unlink()


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, atomically; NaN is refused."""
    write_text(target, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

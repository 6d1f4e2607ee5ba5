"""Which presets living Snakemakes work on in this directory, and which locks killed ones left.

Snakemake's own locks are files that outlive a kill; `snakemake --unlock` removes them by hand. A
kernel lock ends with its process, whatever ended it.
"""

import fcntl
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

FOLDER = Path(".snakemake")
_held: list[int] = []  # until this process ends


def claim_preset(preset: str, folders: Sequence[Path]) -> str | None:
    """Say that a Snakemake of this preset lives here; remove what a killed one left locked of it.

    Held until the process ends; jobs do not inherit it. Other presets are not looked at: each has
    folders of its own. Where there are no kernel locks, or where the lock that Snakemake itself
    holds on files of this preset is another machine's, that one stays as it is.

    Args:
        preset: the name.
        folders: where its files stand; no other preset has a file there.

    Returns:
        Why another one may be at work on these folders; None when none is.
    """
    file = _owner(preset)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # someone else's: a dry run is all that can be done
        return f"{file} cannot be written"
    _held.append(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A kernel lock that machines do not share says nothing on those of another one.
        if file.read_text(encoding="utf-8") == socket.gethostname():
            for lock in _locks(folders):
                lock.unlink(missing_ok=True)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except BlockingIOError:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return "another Snakemake is at work on it"
    except OSError:  # no kernel locks on this file system
        pass
    if left := next(_locks(folders), None):
        return f"{left} says that another Snakemake is at work on it"
    return None


def sign_lock(preset: str) -> None:
    """Note whose the lock is that Snakemake has just taken."""
    _owner(preset).write_text(socket.gethostname(), encoding="utf-8")


def _owner(preset: str) -> Path:
    return FOLDER / "owners" / preset


def _locks(folders: Sequence[Path]) -> Iterator[Path]:
    """Snakemake's locks on files of these folders: each lists the paths that it is on."""
    for lock in sorted((FOLDER / "locks").glob("*.lock")):
        with suppress(FileNotFoundError):  # a living one of another preset has just ended
            paths = map(Path, lock.read_text(encoding="utf-8").splitlines())
            if any(path.is_relative_to(folder) for path in paths for folder in folders):
                yield lock

"""Whose lock lies on the working directory: that of a living Snakemake, or of one that was killed.

Snakemake's own locks are files that outlive a kill; `snakemake --unlock` removes them by hand. A
kernel lock ends with its process, whatever ended it.
"""

import fcntl
import os
import shutil
import socket
from pathlib import Path

FOLDER = Path(".snakemake")
_held: list[int] = []  # until this process ends


def claim_directory() -> bool:
    """Say that a Snakemake lives here, and remove what a killed one of this machine left locked.

    Held until the process ends; jobs do not inherit it. Where there are no kernel locks, or where
    Snakemake's own is another machine's, that one stays as it is.

    Returns:
        Whether no other one can be at work here.
    """
    file, locks = FOLDER / "owner", FOLDER / "locks"
    try:
        FOLDER.mkdir(exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # someone else's: a dry run is all that can be done
        return False
    _held.append(descriptor)
    is_dead = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A kernel lock that machines do not share says nothing on those of another one.
        is_dead = file.read_text(encoding="utf-8") == socket.gethostname()
        if is_dead and locks.is_dir():
            shutil.rmtree(locks)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except BlockingIOError:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return False
    except OSError:  # no kernel locks on this file system
        pass
    return is_dead or not (locks.is_dir() and any(locks.iterdir()))


def sign_lock() -> None:
    """Note whose the lock is that Snakemake has just taken."""
    (FOLDER / "owner").write_text(socket.gethostname(), encoding="utf-8")

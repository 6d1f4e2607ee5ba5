"""What is made once in a test run, whichever of its processes asks first."""

import fcntl
import os


def made_once(tmp_path_factory, name, make):
    """A folder that `make(folder)` filled; the other processes wait for it.

    Args:
        tmp_path_factory: pytest's own.
        name: of the folder, and of nothing else in the test run.
        make: is given the new folder. Nobody changes what it makes there.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # a process has its own folder in that of the run
    folder, is_whole = root / name, root / f"{name}.is_whole"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_whole.exists():
            folder.mkdir()
            make(folder)
            is_whole.touch()
    return folder

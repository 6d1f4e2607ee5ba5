"""The commit that this process runs from."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

_PROJECT = Path(__file__).resolve().parents[2]


class Commit(NamedTuple):
    """Which sources a process runs.

    Attributes:
        name: 40 hexadecimal digits, with "-dirty" behind where tracked files differ from it; None
            when it is not known.
        unknown: why it is not known; None when it is.
    """

    name: str | None
    unknown: str | None = None


def checked_out_commit(project: Path = _PROJECT) -> Commit:
    """The checked-out commit of the package's own repository.

    Only of a repository whose top level is the project: sources that were unpacked or installed
    somewhere inside another one do not have its commit.
    """
    top = _git(project, "rev-parse", "--show-toplevel")
    if top.unknown is not None:
        return top
    if Path(top.name or "").resolve() != project:
        return Commit(None, f"{project} lies in the repository {top.name}, which is not its own")
    return _git(project, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(project: Path, *arguments: str) -> Commit:
    """What git answers, or why it does not, as a line."""
    # GIT_DIR and its like name another repository: set in hooks, and by some tools.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ["git", "-C", str(project), *arguments]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, env=environment
        )
    except OSError as error:
        return Commit(None, f"git cannot be run ({error.strerror})")
    if answer.returncode == 0:
        return Commit(answer.stdout.strip())
    reason = " ".join(answer.stderr.split()).removeprefix("fatal: ")
    if "not a git repository" in reason:
        reason = "not run from a repository"
    return Commit(None, reason[:300] or f"git ended with {answer.returncode}")

"""The commit that this process runs from."""

import subprocess
from pathlib import Path


def checked_out_commit() -> str | None:
    """The checked-out commit of the package's own repository, if it runs from one and git is there.

    "-dirty" follows it where tracked files differ from it.
    """
    folder = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None

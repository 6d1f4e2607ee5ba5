"""`tracked.json`: which runs of a task MLflow holds whole. Imports nothing heavy."""

import json
from collections.abc import Iterable
from pathlib import Path


def read_tracked(file: Path) -> dict[str, str | None]:
    """MLflow's id of each run folder; None where MLflow lacks something of the run, or its model.

    A missing or damaged file holds nothing: it is made again from the run folders.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {folder: i if isinstance(i, str) and i else None for folder, i in content.items()}


def is_whole(file: Path) -> bool:
    """Whether every run that the file names is tracked."""
    ids = read_tracked(file).values()
    return bool(ids) and None not in ids


def untracked_line(files: Iterable[Path]) -> str | None:
    """One line that says how many runs are not tracked, and what to do; None when all are."""
    ids = [i for file in files for i in read_tracked(file).values()]
    missing = ids.count(None)
    if not missing:
        return None
    return (
        f"{missing} of {len(ids)} runs are not tracked in MLflow, their results are whole: "
        "run the same command again, or `segtrans track RUN-FOLDER...`"
    )

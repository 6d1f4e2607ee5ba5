"""Parameters with what the user's own data say of themselves: read here by all that runs."""

from pathlib import Path
from typing import Any

from segtrans.config.params import Params, load_params
from segtrans.sources.folders import check_directory
from segtrans.sources.own_kinds import KINDS


def read_params(*files: Path, overlay: dict[str, Any] | None = None) -> Params:
    """As `load_params`; what an entry of `data_sets` leaves out is what its folder says.

    Raises:
        UserError: as `load_params`; or the folder of a chosen task is not there, or says something
            that is refused.
    """
    return load_params(*files, overlay=overlay, complete=complete_data_sets)


def complete_data_sets(content: dict[str, Any]) -> None:
    """Complete entries of folders in place; of a task that is not chosen, if its folder is there.

    Raises:
        UserError: as `read_params`.
    """
    entries, tasks = content.get("data_sets"), content.get("tasks")
    if not isinstance(entries, dict):
        return  # refused in a moment
    for name, entry in entries.items():
        kind = KINDS.get(str(entry.get("kind"))) if isinstance(entry, dict) else None
        if kind is None or not isinstance(folder := entry.get("directory"), str):
            continue
        if isinstance(tasks, list) and name in tasks:
            check_directory(f"data_sets.{name}.directory", folder, holds="pictures or scans")
        if Path(folder).is_dir():
            entries[name] = kind.complete(Path(folder), entry).model_dump(mode="json")

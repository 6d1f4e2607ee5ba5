"""What the scans of a folder are: as said, else as dataset.yaml says, else by the first case."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segtrans.config.refusals import validate
from segtrans.sources.own_folder.definition import DEFINITION, base_of, read_definition
from segtrans.sources.own_folder.kind import SCANS_KIND
from segtrans.sources.scan_folder.items import first_channels
from segtrans.tasks.scan_folder import ScanFolder

KIND = SCANS_KIND


def complete_definition(folder: Path, given: Mapping[str, Any]) -> ScanFolder:
    """The task of a folder.

    Args:
        folder: of the data set.
        given: values of an entry of `data_sets`; they win over dataset.yaml, which may have all of
            them but `directory`; both win over the defaults. Channels that nobody names are those
            of the first case.

    Raises:
        UserError: a value is refused, or there is no such folder to take channels from.
    """
    base, written = base_of(folder, KIND), read_definition(folder)
    validate(ScanFolder, base | written, origin=str(folder / DEFINITION))
    content = base | written | dict(given)
    task = validate(ScanFolder, content, origin=f"data set {folder}")
    if "channels" not in content and (channels := first_channels(folder, task)):
        content["channels"] = list(channels)
    return validate(ScanFolder, content, origin=f"data set {folder}")

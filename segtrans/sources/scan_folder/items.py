"""Which files of a folder are which cases: their domains, masks, slices, groups and folds.

By folders, or by a table in the folder, `dataset.csv`, which wins over them. Reads names and
tables, no scan.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segtrans.data.walk import walk_all
from segtrans.errors import UserErrors
from segtrans.sources.own_folder.definition import DEFINITION
from segtrans.sources.own_folder.folds import draw_folds, unscored
from segtrans.sources.own_folder.names import ABSENT, PRESENT
from segtrans.sources.own_folder.surveyed import Skipped, links_astray, split_groups
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.sources.scan_folder.layout import cases_by_folders
from segtrans.sources.scan_folder.slices import SLICES, faults_of_slices, with_slices
from segtrans.sources.scan_folder.table import TABLE, cases_by_table
from segtrans.sources.scans.case_names import patient_of
from segtrans.tasks.scan_folder import ScanFolder


@dataclass(frozen=True)
class Survey:
    """What a folder holds, and all that is wrong with its names, a line each."""

    items: list[ScanItem]
    skipped: Skipped
    faults: list[str]


def share_out(
    folder: Path, task: ScanFolder, *, data_seed: int
) -> tuple[list[ScanItem], dict[str, str]]:
    """All cases of a folder, in the order of their places, and the fold of each group.

    Raises:
        UserErrors: what is wrong with the names and the tables, and what folds lack, a line each.
        UserError: there is no such folder.
    """
    found = survey(folder, task)
    folds, lacking = draw_scan_folds(found.items, task, data_seed=data_seed)
    if faults := [*found.faults, *lacking]:
        raise UserErrors(faults)
    return found.items, folds


def survey(folder: Path, task: ScanFolder) -> Survey:
    """All cases of a folder, in the order of their places, what was passed over, what is wrong.

    Raises:
        UserError: there is no such folder.
    """
    return _survey(folder, task, task.channels)


def first_channels(folder: Path, task: ScanFolder) -> tuple[str, ...]:
    """Names of the channels of the first case, whatever the task's are; none without a case.

    Raises:
        UserError: there is no such folder.
    """
    items = _survey(folder, task, None).items
    return tuple(next((item.scan.channels for item in items if item.scan.channels), {}))


def draw_scan_folds(
    items: Sequence[ScanItem], task: ScanFolder, *, data_seed: int
) -> tuple[dict[str, str], list[str]]:
    """As `draw_folds`: scans with masks may give A images too."""
    gives_absent = task.absent_from_present != "never"
    return draw_folds(items, task, data_seed=data_seed, masks_give_absent=gives_absent)


def _survey(folder: Path, task: ScanFolder, channels: Sequence[str] | None) -> Survey:
    walked = walk_all(folder)
    faults = walked.faults + list(links_astray(folder, walked.files))
    files = [path for path in walked.files if path not in (folder / DEFINITION, folder / SLICES)]
    if folder / TABLE in files:
        found = cases_by_table(
            folder, files, channels, halves=task.halves, pathologies=task.pathologies
        )
    else:
        found = cases_by_folders(folder, files, channels, task.pathologies)
    items, faults = _with_ids(found.items), faults + found.faults
    if folder / SLICES in walked.files:
        items, of_slices = with_slices(items, folder / SLICES, halves=task.halves)
        faults += of_slices
    items, no_groups = _with_groups(items, task.group)
    faults += no_groups + list(split_groups(items)) + faults_of_slices(items)
    if items:
        faults += _missing_kinds(folder, items, task)
    return Survey(items, Skipped(tuple(walked.hidden), tuple(found.others)), faults)


def _with_ids(items: Sequence[ScanItem]) -> list[ScanItem]:
    """Cases by place, each with an id of its own: its name, or its place where two have one."""
    counts = Counter(item.scan.case_id.casefold() for item in items)
    return [
        replace(item, scan=replace(item.scan, case_id=item.place))
        if counts[item.scan.case_id.casefold()] > 1
        else item
        for item in sorted(items, key=lambda item: item.place)
    ]


def _with_groups(
    found: Sequence[ScanItem], pattern: str | None
) -> tuple[list[ScanItem], list[str]]:
    """Cases with their groups: the table's, else what the pattern finds, else the patient's."""
    items, faults = [], []
    for item in found:
        group = item.group
        if not group and pattern is not None:
            match = re.search(pattern, item.name)
            group = (match[1] or "") if match else ""
            if not group:
                faults.append(f"{item.place}: group = {pattern} finds none in {item.name}")
        items.append(replace(item, group=group or patient_of(item.name)))
    return items, faults


def _missing_kinds(folder: Path, items: Sequence[ScanItem], task: ScanFolder) -> Iterator[str]:
    to_train = [item for item in items if item.fold != "test"]
    present = [item for item in to_train if item.domain == PRESENT]
    gives_absent = task.absent_from_present != "never" and any(i.has_whole_mask for i in present)
    if not present:
        yield f"{folder}: has no present scans to train on; put some in {PRESENT}/"
    if len(present) == len(to_train) and not gives_absent:
        yield f"{folder}: has no absent scans to train on; put some in {ABSENT}/"
    if present and not any(item.has_mask for item in present):
        yield f"{folder}: has no mask to train on; put some in masks/, named as their scans"
    yield from unscored(items)

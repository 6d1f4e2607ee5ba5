"""Which files of a folder are which images: their domains, masks, groups and folds.

By folders, or by a table in the folder, `dataset.csv`, which wins over them. Reads names and the
table, no picture.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segtrans.data.walk import walk_all
from segtrans.errors import UserErrors
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.layout import items_by_folders
from segtrans.sources.image_folder.table import TABLE, items_by_table
from segtrans.sources.own_folder.definition import DEFINITION
from segtrans.sources.own_folder.folds import draw_folds, unscored
from segtrans.sources.own_folder.names import ABSENT, PRESENT
from segtrans.sources.own_folder.surveyed import Skipped, links_astray, split_groups
from segtrans.tasks.image_folder import ImageFolder

__all__ = ["DEFINITION", "Item", "Skipped", "Survey", "share_out", "survey", "survey_of"]


@dataclass(frozen=True)
class Survey:
    """What a folder holds, and all that is wrong with its names, a line each."""

    items: list[Item]
    skipped: Skipped
    faults: list[str]


def share_out(
    folder: Path, task: ImageFolder, *, data_seed: int
) -> tuple[list[Item], dict[str, str]]:
    """All images of a folder, in the order of their places, and the fold of each group.

    Raises:
        UserErrors: what is wrong with the names and the table, and what folds lack, a line each.
        UserError: there is no such folder.
    """
    found = survey_of(folder, task)
    folds, lacking = draw_folds(found.items, task, data_seed=data_seed)
    if faults := [*found.faults, *lacking]:
        raise UserErrors(faults)
    return found.items, folds


def survey_of(folder: Path, task: ImageFolder) -> Survey:
    """All images of a folder, in the order of their places, what was passed over, what is wrong.

    Raises:
        UserError: there is no such folder.
    """
    return survey(
        folder, n_channels=len(task.channels), group=task.group, pathologies=task.pathologies
    )


def survey(
    folder: Path, *, n_channels: int | None, group: str | None, pathologies: Sequence[str] = ()
) -> Survey:
    """As `survey_of`, of a task of which less is known.

    Args:
        folder: of the data set.
        n_channels: of an image; None when that is not known yet.
        group: regular expression on names, or None.
        pathologies: names of several.

    Raises:
        UserError: there is no such folder.
    """
    found = walk_all(folder)
    faults = found.faults + list(links_astray(folder, found.files))
    files = [path for path in found.files if path != folder / DEFINITION]
    find = items_by_table if folder / TABLE in files else items_by_folders
    by_names = find(folder, files, n_channels, pathologies)
    items, no_groups = _with_groups(by_names.items, group)
    faults += by_names.faults + no_groups + list(split_groups(items))
    if items:
        faults += _missing_kinds(folder, items)
    return Survey(items, Skipped(tuple(found.hidden), tuple(by_names.others)), faults)


def _with_groups(found: Sequence[Item], pattern: str | None) -> tuple[list[Item], list[str]]:
    """Images with their groups: the table's, else what the pattern finds, else each its own."""
    items, faults = [], []
    for item in sorted(found, key=lambda item: item.place):
        group = item.group
        if not group and pattern is not None:
            match = re.search(pattern, item.name)
            group = (match[1] or "") if match else ""
            if not group:
                faults.append(f"{item.place}: group = {pattern} finds none in {item.name}")
        items.append(replace(item, group=group or item.place))
    return items, faults


def _missing_kinds(folder: Path, items: Sequence[Item]) -> Iterator[str]:
    domains = {item.domain for item in items if item.fold != "test"}
    for domain, what in (
        (PRESENT, "that show the target"),
        (ABSENT, "known not to show the target"),
    ):
        if domain not in domains:
            yield f"{folder}: has no {domain} images to train on, {what}; put some in {domain}/"
    present = [item for item in items if item.domain == PRESENT]
    if present and not any(item.has_mask for item in present if item.fold != "test"):
        yield f"{folder}: has no mask to train on; put some in masks/, named as their images"
    yield from unscored(items)

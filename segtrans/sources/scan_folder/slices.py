"""Which slices show the target, as a user lists them: `12-30 41-44`, or by side `R12-30 L15`."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from segtrans.sources.own_folder.names import PRESENT
from segtrans.sources.own_folder.tables import read_table
from segtrans.sources.scan_folder.item import Listed, ScanItem

SLICES = "slices.csv"
_COLUMNS = ("case", "slices")
_RANGE = re.compile(r"([RL]?)(\d+)(?:-(\d+))?", re.IGNORECASE)
_SIDES = {"": None, "r": "right", "l": "left"}
_EXPECTED = "expected numbers from 1, such as 12-30 41-44"


def parse_slices(text: str, *, halves: bool) -> tuple[Listed, ...]:
    """Ranges of slices.

    Args:
        text: numbers and ranges with spaces, commas or semicolons between.
        halves: whether images are halves of slices, so that R and L before a number mean one.

    Raises:
        ValueError: says what is wrong with it.
    """
    found = []
    for part in re.split(r"[\s,;]+", text.strip()):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part or '(empty)'}: {_EXPECTED}")
        first, last = int(match[2]), int(match[3] or match[2])
        if not 1 <= first <= last:
            raise ValueError(f"{part}: {_EXPECTED}, the lower one first")
        if match[1] and not halves:
            raise ValueError(f"{part}: {match[1]} names a side, and images are whole slices")
        found.append(Listed(first, last, _SIDES[match[1].casefold()]))
    return tuple(found)


def with_slices(
    items: Sequence[ScanItem], table: Path, *, halves: bool
) -> tuple[list[ScanItem], list[str]]:
    """Cases with their slices by slices.csv, and what is wrong with it, a line each.

    Args:
        items: all cases.
        table: columns case (its name, or its path below the folder) and slices.
        halves: as `parse_slices`.
    """
    rows, fault = read_table(table, needed=_COLUMNS, more=())
    if fault:
        return list(items), [f"{SLICES}: {fault}"]
    by_place = {item.place: item for item in items}
    faults, said = [], set()
    for number, row in rows:
        named = [
            item.place
            for item in items
            if row["case"] == item.place or (item.domain == PRESENT and row["case"] == item.name)
        ]
        try:
            if len(named) != 1 or named[0] in said:
                many = "two such cases; give its path" if len(named) > 1 else "no such case"
                raise ValueError(f"case {row['case']}: {'twice' if len(named) == 1 else many}")
            said.add(named[0])
            slices = parse_slices(row["slices"], halves=halves)
            by_place[named[0]] = replace(by_place[named[0]], slices=slices)
        except ValueError as error:
            faults.append(f"{SLICES}: row {number}: {error}")
    return list(by_place.values()), faults


def faults_of_slices(items: Sequence[ScanItem]) -> list[str]:
    """Lists of slices where a mask, or the domain, says more."""
    return [
        f"{item.place}: has a list of slices and "
        + ("is absent" if item.domain != PRESENT else "a mask, which says it")
        + "; leave the list out"
        for item in items
        if item.slices is not None and (item.has_whole_mask or item.domain != PRESENT)
    ]

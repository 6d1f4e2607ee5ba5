"""A table of the user's that says which pictures show the target."""

import csv
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from segtrans.errors import UserError, UserErrors
from segtrans.sources.image_folder.imports.layout import Picture
from segtrans.sources.own_folder.names import ABSENT, PRESENT, role_of

_COLUMNS = ("image", "domain")


def read_presence(table: Path, pictures: Sequence[Picture]) -> dict[str, bool]:
    """Whether pictures show the target, by their names.

    Columns: image and domain (present or absent). An image is called by its path below the source
    or by the last part of that, with ending or without, or by its case. Of a case that is present
    nothing is known of any one of its slices.

    Raises:
        UserErrors: what is wrong with the rows, a line each.
        UserError: the table cannot be read.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = list(reader.fieldnames or ()), list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{table}: cannot be read ({error}); expected a CSV file") from error
    if lacking := [name for name in _COLUMNS if name not in columns]:
        raise UserError(f"{table}: has no column {lacking[0]}; expected {', '.join(_COLUMNS)}")
    by_name, by_case = _index(pictures)
    faults: list[str] = []
    said: dict[str, bool] = {}
    for number, row in enumerate(rows, start=2):
        image, domain = (
            unicodedata.normalize("NFC", (row[name] or "").strip()) for name in _COLUMNS
        )
        role = role_of(domain)
        names = _named(image, by_name)
        cases = () if names else _named(image, by_case)
        if role not in (PRESENT, ABSENT):
            faults.append(f"row {number}: domain = {domain}: expected {PRESENT} or {ABSENT}")
        elif len(names) > 1 or not (names or cases):
            what = f"one of {', '.join(sorted(names)[:3])}?" if names else "no such picture"
            faults.append(f"row {number}: image = {image}: {what}")
        elif names or role == ABSENT:
            shows = role == PRESENT
            if any(said.setdefault(name, shows) != shows for name in names or cases):
                faults.append(f"row {number}: image = {image}: said to be otherwise above")
    if faults:
        raise UserErrors([f"{table}: {fault}" for fault in faults])
    return said


def _index(
    pictures: Sequence[Picture],
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    by_name: dict[str, set[str]] = defaultdict(set)
    by_case: dict[str, set[str]] = defaultdict(set)
    for picture in pictures:
        folder = picture.name.rpartition("/")[0]
        files = [f"{folder}/{path.stem}".removeprefix("/") for path in picture.files]
        for name in (picture.name, *files):
            by_name[name].add(picture.name)
            by_name[name.rpartition("/")[2]].add(picture.name)
        if picture.case is not None:
            by_case[picture.case].add(picture.name)
            by_case[picture.case.rpartition("/")[2]].add(picture.name)
    return by_name, by_case


def _named(image: str, known: dict[str, set[str]]) -> set[str]:
    """Names of the pictures that a row may mean, by the whole of its text first."""
    text = image.replace("\\", "/").removeprefix("./").removesuffix(".gz")
    for name in (text, text.rpartition(".")[0]):
        if name in known:
            return known[name]
    return set()

"""Tables of the user's own: CSV files in UTF-8."""

import csv
import posixpath
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

Row = tuple[int, dict[str, str]]  # number of its line, and values by column


def read_table(
    table: Path, *, needed: Sequence[str], more: Sequence[str] | None
) -> tuple[list[Row], str | None]:
    """Rows of a table, values without spaces around them; or none, and what is wrong with it.

    Args:
        table: the file.
        needed: columns that it must have.
        more: others that it may have, empty where it has not; None: any.
    """
    expected = f"expected a CSV file in UTF-8 with the columns {', '.join(needed)}"
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        return [], f"cannot be read ({error}); {expected}"
    if any(name not in columns for name in needed):
        return [], f"has the columns {', '.join(columns) or 'of no name'}; {expected}, with commas"
    if twice := [name for name in columns if columns.count(name) > 1]:
        return [], f"has two columns {twice[0] or 'without a name'}; keep one"
    if more is not None and (unknown := [name for name in columns if name not in (*needed, *more)]):
        return [], f"unknown column {unknown[0]}; allowed: {', '.join((*needed, *more))}"
    if longer := [number for number, row in rows if None in row]:
        return [], f"row {longer[0]}: has more values than columns; put text with commas in quotes"
    empty = dict.fromkeys((*needed, *(more or ())), "")
    return [
        (number, empty | {name: (row[name] or "").strip() for name in columns})
        for number, row in rows
    ], None


def key_of(path: str) -> str:
    """A path of a table below its folder, spelt in one way only."""
    return posixpath.normpath(unicodedata.normalize("NFC", path))


def why_not_there(path: str, folder: Path) -> str:
    """What to say of a path that is none of a file below a table's folder.

    Args:
        path: as the table has it.
        folder: of the table.
    """
    expected = "expected a path below the folder"
    if not path:
        return f"(empty): {expected}"
    if Path(path).is_absolute() or PureWindowsPath(path).drive:
        inside = Path(path).is_relative_to(folder.absolute())
        example = f", here {Path(path).relative_to(folder.absolute()).as_posix()}" if inside else ""
        return f"{path}: an absolute path; {expected}{example}"
    if key_of(path).split("/")[0] == "..":
        return f"{path}: leads out of the folder; {expected}: put a copy of the file there"
    slashes = ", with / between names" if "\\" in path else ""
    return f"{path}: no such file in the folder; {expected}{slashes}"

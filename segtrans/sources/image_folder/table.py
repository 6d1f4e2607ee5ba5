"""A data set as a table: dataset.csv, a row an image."""

import csv
import posixpath
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from segtrans.sources.image_folder.item import Found, Item, shown
from segtrans.sources.image_folder.names import (
    LOSSLESS,
    PICTURES,
    TEST,
    channel_of,
    kind_of,
    name_of,
    role_of,
)

TABLE = "dataset.csv"
_NEEDED = ("image", "domain")
_MORE = ("mask", "group", "fold")
_FOLDS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": TEST}

_Row = tuple[int, Mapping[Any, Any]]  # number and values by column; None has those too many


def items_by_table(folder: Path, files: Sequence[Path], n_channels: int | None) -> Found:
    """Images, by the rows of dataset.csv; groups are open where the table leaves them so.

    Columns: image, domain (present or absent, or what folders may be called), and, where wanted,
    mask, group and fold (train, valid, test). Paths are below the folder. Of an image with a file
    for each channel, image is the first, `..._0000.png`.

    Args:
        folder: of the data set.
        files: all below it.
        n_channels: of an image; None when that is not known yet.
    """
    known = {_key(shown(path, folder)): path for path in files}
    table = known.pop(TABLE)
    rows, fault = _read(table)
    if fault:
        return Found(faults=[f"{TABLE}: {fault}"])
    found = Found()
    rows_of: dict[str, int] = {}
    listed = {_key((row.get("image") or "").strip()) for _, row in rows}
    used: set[Path] = set()
    for number, row in rows:
        values = {column: (row.get(column) or "").strip() for column in (*_NEEDED, *_MORE)}
        item, problem = _item(values, known, listed, n_channels)
        if item is None:
            found.faults.append(f"{TABLE}: row {number}: {problem}")
            continue
        used.update(item.files, [item.mask] if item.mask else [])
        first = rows_of.setdefault(item.place.casefold(), number)
        if first != number:
            found.faults.append(
                f"{TABLE}: row {number}: image {values['image']} is in row {first} too; one row an "
                "image, and names differ in more than ending and case"
            )
        else:
            found.items.append(item)
    if not rows:
        found.faults.append(f"{TABLE}: has no row; expected one for each image")
    found.others = [path for path in known.values() if path not in used]
    return found


def _read(table: Path) -> tuple[list[_Row], str | None]:
    """Rows with the numbers of their lines; or what is wrong with the table."""
    expected = f"expected a CSV file in UTF-8 with the columns {', '.join(_NEEDED)}"
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            rows: list[_Row] = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        return [], f"cannot be read ({error}); {expected}"
    if any(name not in columns for name in _NEEDED):
        return [], f"has the columns {', '.join(columns) or 'of no name'}; {expected}, with commas"
    if unknown := [name for name in columns if name not in (*_NEEDED, *_MORE)]:
        return [], f"unknown column {unknown[0]}; allowed: {', '.join((*_NEEDED, *_MORE))}"
    if longer := [number for number, row in rows if None in row]:
        return [], f"row {longer[0]}: has more values than columns; put text with commas in quotes"
    return rows, None


def _item(
    values: Mapping[str, str],
    known: Mapping[str, Path],
    listed: Collection[str],
    n_channels: int | None,
) -> tuple[Item | None, str]:
    """The image of a row; or None, and what is wrong."""
    domain, fold = role_of(values["domain"]), values["fold"].casefold()
    key = _key(values["image"])
    if domain not in ("present", "absent"):
        return None, f"domain = {values['domain'] or '(empty)'}: expected present or absent"
    if fold and fold not in _FOLDS:
        return None, f"fold = {values['fold']}: expected train, valid, test, or nothing"
    for column, kinds in (("image", PICTURES), ("mask", LOSSLESS)):
        if column == "mask" and not values["mask"]:
            continue
        if (path := known.get(_key(values[column]))) is None:
            return None, f"{column} = {values[column] or '(empty)'}: no such file in the folder"
        if kind_of(path) not in kinds:
            return None, f"{column} = {values[column]}: expected {', '.join(sorted(kinds))}"
    paths, name = _files(key, known, listed, n_channels)
    item = Item(
        name=name,
        domain=domain,
        files=paths,
        mask=known[_key(values["mask"])] if values["mask"] else None,
        group=values["group"],
        fold=_FOLDS.get(fold),
        place=name,
    )
    return item, ""


def _files(
    key: str, known: Mapping[str, Path], listed: Collection[str], n_channels: int | None
) -> tuple[tuple[Path, ...], str]:
    """Files of the image whose first is given, and the image's name.

    Frames of a video are numbered as channels are, but have rows of their own.
    """
    path = PurePosixPath(key)
    name = name_of(path)
    channel = channel_of(name)
    if channel is None or channel[1] != 0 or n_channels == 1:
        return (known[key],), name
    stem, paths = channel[0], [known[key]]
    while (more := f"{stem}_{len(paths):04d}{path.suffix}") in known and more not in listed:
        paths.append(known[more])
    return (tuple(paths), stem) if len(paths) > 1 else ((known[key],), name)


def _key(path: str) -> str:
    return posixpath.normpath(unicodedata.normalize("NFC", path))

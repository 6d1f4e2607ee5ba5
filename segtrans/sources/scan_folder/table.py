"""Scans as a table: dataset.csv, a row a case."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segtrans.errors import UserError
from segtrans.sources.own_folder.names import PRESENT, TEST, role_of
from segtrans.sources.own_folder.shows import MASK_COLUMN, by_row
from segtrans.sources.own_folder.surveyed import shown
from segtrans.sources.own_folder.tables import key_of, read_table, why_not_there
from segtrans.sources.scan_folder.channels import holds_dicom
from segtrans.sources.scan_folder.item import Found, ScanFiles, ScanItem
from segtrans.sources.scan_folder.slices import parse_slices
from segtrans.sources.scans.case_names import stem

TABLE = "dataset.csv"
_NEEDED = ("case", "domain")
_MORE = ("mask", "group", "fold", "slices")
_FOLDS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": TEST}
_EXPECTED = "a NIfTI file, or a folder with a DICOM series"


def cases_by_table(
    folder: Path,
    files: Sequence[Path],
    channels: Sequence[str] | None,
    *,
    halves: bool,
    pathologies: Sequence[str] = (),
) -> Found:
    """Cases, by the rows of dataset.csv; groups are open where the table leaves them so.

    Columns: case, domain (present or absent, or what folders may be called), one for each channel
    with a path below the folder, and, where wanted, mask, group, fold (train, valid, test) and
    slices. Of several pathologies there is a column for each, 1, 0 or nothing, and perhaps
    `mask_<name>`.

    Args:
        folder: of the data set.
        files: all below it.
        channels: names in stored order; None: those of the table, in its order.
        halves: whether images are halves of slices.
        pathologies: names of several.
    """
    known = {key_of(shown(path, folder)): path for path in files}
    table = known.pop(TABLE)
    rows, fault = read_table(table, needed=(*_NEEDED, *pathologies), more=None)
    others = (*_NEEDED, *_MORE, *pathologies, *(f"{MASK_COLUMN}{name}" for name in pathologies))
    there = [name for name in rows[0][1] if name not in others] if rows else []
    if not fault and not rows:
        fault = "has no row; expected one for each case"
    elif not fault:
        fault = _fault_of_channels(there, channels)
    if fault:
        return Found(faults=[f"{TABLE}: {fault}"])
    series = _by_folder(folder, files)
    found = Found()
    rows_of: dict[str, int] = {}
    used: set[Path] = set()
    for number, row in rows:
        try:
            item = _item(row, folder, known, series, tuple(channels or there), halves=halves)
            mask, *of_each = _masks_of(row, folder, known, pathologies)
            shows = _shows(row, item, pathologies)
            item = replace(item, mask=mask, masks=tuple(of_each), shows=shows)
            first = rows_of.setdefault(item.place.casefold(), number)
            if first != number:
                raise ValueError(f"case {item.place} is in row {first} too; one row a case")
        except (ValueError, UserError) as error:
            found.faults.append(f"{TABLE}: row {number}: {error}")
            continue
        found.items.append(item)
        used.update(item.scan.channels.values(), (path for _, path in item.layers))
    found.others = [p for p in known.values() if p not in used and p.parent not in used]
    return found


def _fault_of_channels(there: Sequence[str], channels: Sequence[str] | None) -> str | None:
    if not there:
        return "has no column of scans; expected one for each channel, named as it"
    if channels is not None and set(there) != set(channels):
        return (
            f"has the columns {', '.join(there)}; expected those of the channels, "
            f"{', '.join(channels)}, beside {', '.join((*_NEEDED, *_MORE))}"
        )
    return None


def scans_by_table(
    folder: Path, files: Sequence[Path], channels: Sequence[str]
) -> tuple[list[ScanFiles], list[str]]:
    """Scans by the rows of dataset.csv, and what is wrong with their paths, a line each.

    To predict them nothing else need be known of them, nor be in the table.

    Args:
        folder: of the data set.
        files: all below it.
        channels: names in stored order.
    """
    known = {key_of(shown(path, folder)): path for path in files}
    rows, fault = read_table(known.pop(TABLE), needed=("case", *channels), more=None)
    found, faults = [], [f"{TABLE}: {fault}"] if fault else []
    series = _by_folder(folder, files)
    for number, row in rows:
        try:
            name = unicodedata.normalize("NFC", row["case"])
            found.append(ScanFiles(name, _scans_of(row, folder, known, series, channels)))
        except ValueError as error:
            faults.append(f"{TABLE}: row {number}: {error}")
    return found, faults


def _by_folder(folder: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    series: dict[str, list[Path]] = {}
    for path in files:
        series.setdefault(key_of(shown(path.parent, folder)), []).append(path)
    return series


def _item(
    row: Mapping[str, str],
    folder: Path,
    known: Mapping[str, Path],
    series: Mapping[str, list[Path]],
    channels: Sequence[str],
    *,
    halves: bool,
) -> ScanItem:
    """The case of a row, without masks; raises ValueError with what is wrong."""
    domain, fold = role_of(row["domain"]), row.get("fold", "").casefold()
    if domain not in ("present", "absent"):
        raise ValueError(f"domain = {row['domain'] or '(empty)'}: expected present or absent")
    if fold and fold not in _FOLDS:
        raise ValueError(f"fold = {row['fold']}: expected train, valid, test, or nothing")
    scans = _scans_of(row, folder, known, series, channels)
    listed = row.get("slices", "")
    name = unicodedata.normalize("NFC", row["case"])
    return ScanItem(
        scan=ScanFiles(name, scans),
        domain=domain,
        mask=None,
        slices=parse_slices(listed, halves=halves) if listed else None,
        group=row.get("group", ""),
        fold=_FOLDS.get(fold),
        place=name,
    )


def _masks_of(
    row: Mapping[str, str], folder: Path, known: Mapping[str, Path], pathologies: Sequence[str]
) -> list[Path | None]:
    """A row's mask of all classes, and that of each pathology; raises ValueError as `_item`."""
    columns = ["mask", *(f"{MASK_COLUMN}{name}" for name in pathologies)]
    given = [column for column in columns if row.get(column)]
    if "mask" in given and len(given) > 1:
        raise ValueError(f"{given[1]} beside mask, which is of all classes; keep one kind")
    for column in given:
        path = known.get(key_of(row[column]))
        if path is None:
            raise ValueError(f"{column} = {why_not_there(row[column], folder)}")
        if stem(path) is None:
            raise ValueError(f"{column} = {row[column]}: no NIfTI file")
    return [known[key_of(row[column])] if column in given else None for column in columns]


def _scans_of(
    row: Mapping[str, str],
    folder: Path,
    known: Mapping[str, Path],
    series: Mapping[str, list[Path]],
    channels: Sequence[str],
) -> dict[str, Path]:
    """Files or folders of a row's scans by channel; raises ValueError with what is wrong."""
    if not row["case"]:
        raise ValueError("case = (empty): expected its name")
    scans = {}
    for channel in channels:
        key = key_of(row[channel])
        path = known.get(key) or (series[key][0].parent if key in series else None)
        if not row[channel] or path is None:
            why = why_not_there(row[channel], folder)
            raise ValueError(f"{channel} = {why} ({_EXPECTED})")
        is_scan = holds_dicom(series[key]) if path.is_dir() else stem(path) is not None
        if not is_scan:
            raise ValueError(f"{channel} = {row[channel]}: expected {_EXPECTED}")
        scans[channel] = path
    return scans


def _shows(row: Mapping[str, str], item: ScanItem, pathologies: Sequence[str]) -> tuple[int, ...]:
    shows = by_row(row, item.domain, pathologies)
    if shows and item.domain == PRESENT and not any(shows):
        raise ValueError(
            f"shows none of {', '.join(pathologies)}, and its domain is present; say absent"
        )
    return shows

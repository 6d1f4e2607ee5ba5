"""A data set as a table: dataset.csv, a row an image."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from segtrans.errors import UserError
from segtrans.sources.image_folder.item import Found, Item
from segtrans.sources.own_folder.names import (
    LOSSLESS,
    PICTURES,
    TEST,
    channel_of,
    kind_of,
    name_of,
    role_of,
)
from segtrans.sources.own_folder.shows import MASK_COLUMN, by_row
from segtrans.sources.own_folder.surveyed import shown
from segtrans.sources.own_folder.tables import key_of, read_table, why_not_there

TABLE = "dataset.csv"
_NEEDED = ("image", "domain")
_MORE = ("mask", "group", "fold")
_FOLDS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": TEST}


def items_by_table(
    folder: Path, files: Sequence[Path], n_channels: int | None, pathologies: Sequence[str] = ()
) -> Found:
    """Images, by the rows of dataset.csv; groups are open where the table leaves them so.

    Columns: image, domain (present or absent, or what folders may be called), and, where wanted,
    mask, group and fold (train, valid, test). Paths are below the folder. Of an image with a file
    for each channel, image is the first, `..._0000.png`. Of several pathologies there is a column
    for each, 1, 0 or nothing, and perhaps `mask_<name>`.

    Args:
        folder: of the data set.
        files: all below it.
        n_channels: of an image; None when that is not known yet.
        pathologies: names of several.
    """
    known = {key_of(shown(path, folder)): path for path in files}
    table = known.pop(TABLE)
    more = (*_MORE, *(f"{MASK_COLUMN}{name}" for name in pathologies))
    rows, fault = read_table(table, needed=(*_NEEDED, *pathologies), more=more)
    if fault:
        return Found(faults=[f"{TABLE}: {fault}"])
    found = Found()
    rows_of: dict[str, int] = {}
    listed = {key_of(row["image"]) for _, row in rows}
    used: set[Path] = set()
    for number, values in rows:
        item, problem = _item(values, folder, known, listed, n_channels, pathologies)
        if item is None:
            found.faults.append(f"{TABLE}: row {number}: {problem}")
            continue
        used.update(item.files, (path for _, path in item.layers))
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


def pictures_by_table(
    folder: Path, files: Sequence[Path], n_channels: int
) -> tuple[set[Path], list[str]]:
    """Files of the images of dataset.csv, and what is wrong with their paths, a line each.

    To predict them nothing else need be known of them, nor be in the table.

    Args:
        folder: of the data set.
        files: all below it.
        n_channels: of an image.
    """
    known = {key_of(shown(path, folder)): path for path in files}
    rows, fault = read_table(known.pop(TABLE), needed=("image",), more=None)
    faults = [f"{TABLE}: {fault}"] if fault else []
    listed = {key_of(row["image"]) for _, row in rows}
    used: set[Path] = set()
    for number, row in rows:
        if (key := key_of(row["image"])) in known:
            used.update(_files(key, known, listed, n_channels)[0])
        else:
            why = why_not_there(row["image"], folder)
            faults.append(f"{TABLE}: row {number}: image = {why}")
    return used, faults


def _item(
    values: Mapping[str, str],
    folder: Path,
    known: Mapping[str, Path],
    listed: Collection[str],
    n_channels: int | None,
    pathologies: Sequence[str],
) -> tuple[Item | None, str]:
    """The image of a row; or None, and what is wrong."""
    domain, fold = role_of(values["domain"]), values["fold"].casefold()
    key = key_of(values["image"])
    if domain not in ("present", "absent"):
        return None, f"domain = {values['domain'] or '(empty)'}: expected present or absent"
    if fold and fold not in _FOLDS:
        return None, f"fold = {values['fold']}: expected train, valid, test, or nothing"
    of_each = [f"{MASK_COLUMN}{name}" for name in pathologies]
    given = [column for column in ("mask", *of_each) if values[column]]
    if "mask" in given and len(given) > 1:
        return None, f"{given[1]} beside mask, which is of all classes; keep one kind"
    for column, kinds in (("image", PICTURES), *((column, LOSSLESS) for column in given)):
        if (path := known.get(key_of(values[column]))) is None:
            return None, f"{column} = {why_not_there(values[column], folder)}"
        if kind_of(path) not in kinds:
            return None, f"{column} = {values[column]}: expected {', '.join(sorted(kinds))}"
    try:
        shows = by_row(values, domain, pathologies)
    except UserError as error:
        return None, str(error)
    paths, name = _files(key, known, listed, n_channels)
    masks = {column: known[key_of(values[column])] for column in given}
    item = Item(
        name=name,
        domain=domain,
        files=paths,
        mask=masks.get("mask"),
        group=values["group"],
        fold=_FOLDS.get(fold),
        place=name,
        shows=shows,
        masks=tuple(map(masks.get, of_each)),
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

"""Which pictures there are to predict: all below a folder, or a single file."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from segtrans.data.walk import walk_all
from segtrans.errors import UserError, UserErrors
from segtrans.sources.image_folder.table import TABLE, pictures_by_table
from segtrans.sources.own_folder.names import (
    MASKS,
    PICTURES,
    UNREAD,
    are_channels,
    channel_of,
    kind_of,
    name_of,
    role_of,
)
from segtrans.sources.own_folder.surveyed import Skipped


@dataclass(frozen=True)
class PictureFiles:
    """A picture to predict.

    Attributes:
        name: its path below the folder without ending and, of several files, without `_0000`.
        image: the path below the folder of its first file.
        files: one, or one for each channel in turn.
    """

    name: str
    image: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Listed:
    """What a folder holds.

    Attributes:
        folder: absolute.
        pictures: in a fixed order.
        faults: files that are no pictures but should be, a line each.
        skipped: hidden files, and those that are no pictures.
    """

    folder: Path
    pictures: list[PictureFiles]
    faults: list[str]
    skipped: Skipped


def find_pictures(source: Path, *, n_channels: int) -> Listed:
    """List the pictures of a folder and its sub-folders, or of a single file.

    Folders of masks are passed over. A folder with dataset.csv has the images of its rows.

    Args:
        source: the folder or file.
        n_channels: of a picture; with several, `stem_0000`, `stem_0001`... are one picture's.

    Raises:
        UserErrors: the table is wrong, or two pictures would have one name but for the ending or
            the case of letters.
        UserError: there is no picture, or the folder cannot be read.
    """
    if source.is_file():
        folder, files = source.parent, _beside(source)
        faults: list[str] = []
        hidden: list[Path] = []
    else:
        folder, found = source, walk_all(source)
        files, faults = found.files, list(found.faults)
        hidden = found.hidden
    # A folder that was trained on has masks, too, which look like grey pictures.
    masks = _masks_of(source, files, n_channels) if source.is_dir() else set()
    pictures = [path for path in files if kind_of(path) in PICTURES and path not in masks]
    unread = [path for path in files if kind_of(path) in UNREAD and path not in masks]
    if not (pictures or unread or faults):
        raise UserError(
            f"{source}: holds no picture; expected PNG, JPEG, TIFF, BMP, WebP or NPY files"
        )
    faults += [
        f"{path}: a kind of file that is not read; save it as PNG or TIFF" for path in unread
    ]
    known = {*pictures, *unread}
    skipped = Skipped(tuple(hidden), tuple(path for path in files if path not in known))
    named = _by_name(folder, pictures)
    single = {
        name: PictureFiles(name, path.relative_to(folder).as_posix(), (path,))
        for name, path in named.items()
    }
    if n_channels > 1 and are_channels(named, (), n_channels):
        single = dict(_with_channels(folder, named, n_channels, faults))
    return Listed(folder.resolve(), list(single.values()), faults, skipped)


def _masks_of(folder: Path, files: Sequence[Path], n_channels: int) -> set[Path]:
    """Files that no row of dataset.csv calls an image; without it, those in folders of masks.

    Raises:
        UserErrors: what is wrong with the table, a line each.
    """
    if folder / TABLE in files:
        pictures, faults = pictures_by_table(folder, files, n_channels)
        if faults:
            raise UserErrors(faults)
        return set(files) - pictures
    return {
        path
        for path in files
        if MASKS in {role_of(part) for part in path.relative_to(folder).parent.parts}
    }


def _beside(file: Path) -> list[Path]:
    """A file and the other channels of its picture, by their names."""
    channel = channel_of(file.stem)
    if channel is None:
        return [file]
    numbered = ((path, channel_of(path.stem)) for path in sorted(file.parent.iterdir()))
    return [
        path
        for path, other in numbered
        if path == file or (other and other[0] == channel[0] and path.suffix == file.suffix)
    ]


def _by_name(folder: Path, files: Sequence[Path]) -> dict[str, Path]:
    """Files by their path below the folder without ending.

    Raises:
        UserErrors: two have one, as disks that do not know capitals from small letters see it.
    """
    named: dict[str, Path] = {}
    first: dict[str, Path] = {}
    faults = []
    for path in files:
        relative = path.relative_to(folder)
        named[name_of(PurePath(relative))] = path
        other = first.setdefault(name_of(PurePath(relative)).casefold(), relative)
        if other != relative:
            faults.append(
                f"{other} and {relative}: one name for both predictions; rename or remove one"
            )
    if faults:
        raise UserErrors(faults)
    return named


def _with_channels(
    folder: Path, named: Mapping[str, Path], n_channels: int, faults: list[str]
) -> Iterator[tuple[str, PictureFiles]]:
    """Files by picture, in the order of their channels; one that lacks some goes to the faults."""
    numbered: dict[str, dict[int, Path]] = defaultdict(dict)
    for name, path in named.items():
        channel = channel_of(name)
        if channel is None:  # it may hold all channels
            yield name, PictureFiles(name, path.relative_to(folder).as_posix(), (path,))
        else:
            numbered[channel[0]][channel[1]] = path
    for stem, of in numbered.items():
        files = tuple(of[number] for number in sorted(of))
        if stem in named:
            faults.append(f"{files[0]}: {named[stem].name} has its name; rename or remove one")
        elif sorted(of) == list(range(n_channels)):
            yield stem, PictureFiles(stem, files[0].relative_to(folder).as_posix(), files)
        else:
            lacking = [f"{PurePath(stem).name}_{k:04d}" for k in range(n_channels) if k not in of]
            what = f"has no file {', '.join(lacking)}" if lacking else f"has {len(of)} files"
            faults.append(f"{files[0]}: {what}; expected {n_channels}, a file for each channel")

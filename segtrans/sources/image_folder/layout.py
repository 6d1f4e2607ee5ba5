"""A data set as folders: present/, absent/, masks/, and the same below test/."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from segtrans.sources.image_folder.item import Found, Item
from segtrans.sources.own_folder.layout import (
    masks_beside,
    names_spoken_of,
    no_folders,
    role_and_rest,
)
from segtrans.sources.own_folder.names import (
    ABSENT,
    LOSSLESS,
    MASKS,
    PICTURES,
    PRESENT,
    TEST,
    UNREAD,
    are_channels,
    channel_of,
    kind_of,
    name_of,
    role_of,
)
from segtrans.sources.own_folder.pairing import known_of, pair_masks
from segtrans.sources.own_folder.shows import whose_mask
from segtrans.sources.own_folder.surveyed import shown

# Data sets of others, by a folder in them.
_OTHERS = {"imagesTr": "nnunet", "train": "mvtec", "annotations": "coco"}


@dataclass
class _Part:
    """The folder itself, or its test/: files by name, of each domain, and of masks."""

    prefix: str
    folders: dict[str, str] = field(default_factory=dict)  # by role, as they are called
    images: dict[str, dict[str, list[Path]]] = field(
        default_factory=lambda: {PRESENT: defaultdict(list), ABSENT: defaultdict(list)}
    )
    # By the pathology that they are of; None: masks of all classes.
    masks: dict[int | None, dict[str, list[Path]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    @property
    def names_of_masks(self) -> set[str]:
        """All names that masks speak of."""
        return {name for of in self.masks.values() for mask in of for name in names_spoken_of(mask)}


def items_by_folders(
    folder: Path, files: Sequence[Path], n_channels: int | None, pathologies: Sequence[str] = ()
) -> Found:
    """Images, by the folders that their files are in; groups are open.

    Args:
        folder: of the data set.
        files: all below it.
        n_channels: of an image; None when that is not known yet.
        pathologies: names of several.
    """
    found = Found()
    parts = {"": _Part(""), TEST: _Part(f"{TEST}/")}
    for path in files:
        _sort_in(path, PurePath(shown(path, folder)), parts, pathologies, found)
    if not parts[""].folders.keys() & {PRESENT, ABSENT}:
        return Found(faults=[no_folders(folder, _OTHERS)], others=found.others)
    for part in parts.values():
        _take_masks_beside(part)
    names = [n for p in parts.values() for of in p.images.values() for n in of]
    masks = {name for part in parts.values() for name in part.names_of_masks}
    has_channels = are_channels(names, masks, n_channels)
    for fold, part in parts.items():
        _pair(folder, part, fold or None, n_channels if has_channels else 0, pathologies, found)
    return found


def _sort_in(
    path: Path,
    relative: PurePath,
    parts: Mapping[str, _Part],
    pathologies: Sequence[str],
    found: Found,
) -> None:
    is_test, role, top, below = role_and_rest(relative)
    if role is None:
        found.others.append(path)
        return
    part = parts[TEST if is_test else ""]
    if part.folders.setdefault(role, top) != top:
        found.faults.append(
            f"{relative}: both {part.prefix}{part.folders[role]}/ and {part.prefix}{top}/ are for "
            f"{role} images; put them in one folder, with folders in it if you like"
        )
    elif kind_of(path) in PICTURES:
        name = name_of(below)
        if role == MASKS:
            k, name = whose_mask(name, pathologies)
            part.masks[k][name].append(path)
        else:
            part.images[role][name].append(path)
    elif kind_of(path) in UNREAD:
        found.faults.append(f"{relative}: a kind of file that is not read; save it as PNG or TIFF")
    else:
        found.others.append(path)


def _take_masks_beside(part: _Part) -> None:
    """Masks that lie beside their images, told by the ending of their names."""
    for images in part.images.values():
        for name in masks_beside(images):
            part.masks[None][name] += images.pop(name)


def _pair(
    folder: Path,
    part: _Part,
    fold: str | None,
    n_channels: int | None,
    pathologies: Sequence[str],
    found: Found,
) -> None:
    """Add a part's images with their masks.

    Args:
        folder: of the data set.
        part: its files.
        fold: that of all its images, or None.
        n_channels: files of an image; None when unknown, 0 when an image is one file.
        pathologies: names of several.
        found: takes images and faults.
    """
    files: dict[tuple[str, str], tuple[Path, ...]] = {}
    for domain, images in part.images.items():
        found.faults += _twice(folder, images)
        named = {name: paths[0] for name, paths in images.items()}
        grouped: dict[str, tuple[Path, ...]] = {name: (path,) for name, path in named.items()}
        if n_channels != 0:
            below = f"{part.prefix}{part.folders.get(domain, domain)}/"
            grouped = _by_channels(below, named, n_channels, found)
        files |= {(domain, name): paths for name, paths in grouped.items()}
    masks = [
        _masks_of(folder, part, k, files, pathologies, found)
        for k in (None, *range(len(pathologies)))
    ]
    for (domain, name), paths in files.items():
        place, key = f"{part.prefix}{part.folders[domain]}/{name}", (domain, name)
        known, faults = known_of(key, place, masks, pathologies, folder=folder, images="images")
        found.faults += faults
        found.items.append(
            Item(
                name=name,
                domain=domain,
                files=paths,
                mask=known.mask,
                group="",
                fold=fold,
                place=place,
                shows=known.shows,
                masks=known.masks,
            )
        )


def _by_channels(
    below: str, named: Mapping[str, Path], n_channels: int | None, found: Found
) -> dict[str, tuple[Path, ...]]:
    """Files by image, in the order of their channels."""
    numbered: dict[str, dict[int, Path]] = defaultdict(dict)
    for name, path in named.items():
        stem, number = channel_of(name) or (name, 0)
        if number in numbered[stem]:
            found.faults.append(f"{below}{name}: one name twice, with and without _0000")
        numbered[stem][number] = path
    n = n_channels or max((len(of) for of in numbered.values()), default=1)
    for stem, of in numbered.items():
        # A single file may have all channels.
        expected = range(len(of) if len(of) == 1 else n)
        if lacking := [f"_{number:04d}" for number in expected if number not in of]:
            found.faults.append(
                f"{below}{stem}: has no file {', '.join(lacking)}; expected one for each channel"
            )
    return {stem: tuple(of[k] for k in sorted(of)) for stem, of in sorted(numbered.items())}


def _masks_of(
    folder: Path,
    part: _Part,
    k: int | None,
    images: Collection[tuple[str, str]],
    pathologies: Sequence[str],
    found: Found,
) -> dict[tuple[str, str], Path]:
    """Masks by their images: of pathology k, or of all classes."""
    there = part.folders.get(PRESENT, PRESENT)
    found.faults += _twice(folder, part.masks[k])
    masks, faults = pair_masks(
        folder,
        {name: paths[:1] for name, paths in part.masks[k].items()},
        images,
        pathologies,
        may_be_of=_images_of,
        what="an image",
        expected=lambda name: f"{part.prefix}{there}/{name} with any ending of a picture",
    )
    found.faults += faults
    for path in masks.values():
        if kind_of(path) not in LOSSLESS:
            found.faults.append(
                f"{shown(path, folder)}: {kind_of(path)} changes the values of a mask; save it as "
                "PNG or TIFF"
            )
    return masks


def _images_of(mask: str) -> Iterator[tuple[str, str]]:
    """Images that a mask may be of; its path may begin with that of a domain."""
    for name in names_spoken_of(mask):
        top, _, below = name.partition("/")
        yield PRESENT, name
        yield ABSENT, name
        if below:
            yield from ((d, below) for d in (PRESENT, ABSENT) if role_of(top) == d)


def _twice(folder: Path, named: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """Files that have one name but for the ending, or for the case of letters."""
    by_case: dict[str, str] = {}
    for name, (first, *more) in sorted(named.items()):
        for path in more:
            yield (
                f"{shown(first, folder)} and {shown(path, folder)}: one name twice; "
                "rename or remove one"
            )
        other = by_case.setdefault(name.casefold(), name)
        if other != name:
            yield (
                f"{shown(named[other][0], folder)} and {shown(first, folder)}: names that differ "
                "in the case of letters alone, which not every disk can hold; rename one"
            )

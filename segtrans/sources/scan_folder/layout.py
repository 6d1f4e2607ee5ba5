"""Scans as folders: present/, absent/, masks/, and the same below test/."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path, PurePath

from segtrans.sources.own_folder.layout import (
    masks_beside,
    names_spoken_of,
    no_folders,
    role_and_rest,
)
from segtrans.sources.own_folder.names import (
    ABSENT,
    MASKS,
    PRESENT,
    TEST,
    UNREAD,
    kind_of,
    role_of,
)
from segtrans.sources.own_folder.pairing import Key, known_of, pair_masks
from segtrans.sources.own_folder.shows import said_of, whose_mask
from segtrans.sources.own_folder.surveyed import shown
from segtrans.sources.scan_folder.channels import (
    SINGLE,
    CaseFolder,
    match_channels,
    name_channels,
    normal,
    number_channels,
    read_case_folder,
)
from segtrans.sources.scan_folder.item import Found, ScanFiles, ScanItem
from segtrans.sources.scan_folder.numbers import have_numbers, numbered
from segtrans.sources.scans.case_names import stem
from segtrans.sources.scans.dicom import find_dicom

_OTHERS = {"imagesTr": "msd` or `segtrans import nnunet", "HGG": "brats"}
_DICOM = {".dcm", ".ima"}


@dataclass
class _Part:
    """The folder itself, or its test/: by domain its files and its folders of cases; masks."""

    prefix: str
    folders: dict[str, str] = field(default_factory=dict)  # by role, as they are called
    files: dict[str, dict[str, list[Path]]] = field(
        default_factory=lambda: {PRESENT: defaultdict(list), ABSENT: defaultdict(list)}
    )
    cases: dict[str, dict[str, list[Path]]] = field(
        default_factory=lambda: {PRESENT: defaultdict(list), ABSENT: defaultdict(list)}
    )
    # By the pathology that they are of; None: masks of all classes.
    masks: dict[int | None, dict[str, list[Path]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )


def cases_by_folders(
    folder: Path,
    files: Sequence[Path],
    channels: Sequence[str] | None,
    pathologies: Sequence[str] = (),
) -> Found:
    """Cases, by the folders that their files are in; groups and slices are open.

    Args:
        folder: of the data set.
        files: all below it.
        channels: names in stored order; None when they are not known yet.
        pathologies: names of several.
    """
    found = Found()
    parts = {"": _Part(""), TEST: _Part(f"{TEST}/")}
    for path in files:
        _sort_in(path, PurePath(shown(path, folder)), parts, pathologies, found)
    if not parts[""].folders.keys() & {PRESENT, ABSENT}:
        return Found(faults=[no_folders(folder, _OTHERS)], others=found.others)
    for fold, part in parts.items():
        _take_masks_beside(part)
        scans = _scans_of(folder, part, channels, found)
        _pair(folder, part, fold or None, scans, pathologies, found)
    return found


def _pair(
    folder: Path,
    part: _Part,
    fold: str | None,
    scans: Mapping[Key, dict[str, Path]],
    pathologies: Sequence[str],
    found: Found,
) -> None:
    """Add a part's cases with their masks, and with what their folders say of them."""
    masks = [
        _masks_of(folder, part, k, scans, pathologies, found)
        for k in (None, *range(len(pathologies)))
    ]
    for (domain, name), of_case in scans.items():
        place, key = f"{part.prefix}{part.folders[domain]}/{name}", (domain, name)
        known, faults = known_of(key, place, masks, pathologies, folder=folder, images="scans")
        found.faults += faults
        found.items.append(
            ScanItem(
                scan=ScanFiles(_own_name(name), of_case),
                domain=domain,
                mask=known.mask,
                slices=None,
                group="",
                fold=fold,
                place=place,
                shows=known.shows,
                masks=known.masks,
            )
        )


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
            f"{role} scans; put them in one folder"
        )
    elif role == MASKS and stem(path) is not None:
        name = normal((below.parent / str(stem(path))).as_posix())
        k, name = whose_mask(name, pathologies)
        part.masks[k][name].append(path)
    elif role != MASKS and len(below.parts) > (n := _n_said(below, pathologies)) + 1:
        part.cases[role][normal(PurePath(*below.parts[: n + 1]).as_posix())].append(path)
    elif role != MASKS and stem(path) is not None:
        part.files[role][normal((below.parent / str(stem(path))).as_posix())].append(path)
    elif kind_of(path) in _DICOM or (role != MASKS and find_dicom([path])):
        found.faults.append(
            f"{relative}: DICOM; "
            + ("a mask is a NIfTI file" if role == MASKS else "give each series a folder")
        )
    elif kind_of(path) in UNREAD:
        found.faults.append(f"{relative}: a kind of file that is not read; save it as .nii.gz")
    else:
        found.others.append(path)


def _n_said(below: PurePath, pathologies: Sequence[str]) -> int:
    """How many of the folders of a case, the outermost, say what it shows."""
    return sum(1 for _ in takewhile(lambda of: said_of(of, pathologies), below.parts[:-1]))


def _own_name(name: str) -> str:
    """What a case is called within the folders that say what it shows."""
    return name.rpartition("/")[2]


def _take_masks_beside(part: _Part) -> None:
    """Masks that lie beside their scans, told by the ending of their names."""
    for files in part.files.values():
        for name in masks_beside(files):
            part.masks[None][name] += files.pop(name)


def _scans_of(
    folder: Path, part: _Part, channels: Sequence[str] | None, found: Found
) -> dict[Key, dict[str, Path]]:
    """Files of each case by channel, by domain and name of the case."""
    scans: dict[Key, dict[str, Path]] = {}
    names = [name for files in part.files.values() for name in files]
    masks = {spoken for of in part.masks.values() for m in of for spoken in names_spoken_of(m)}
    has_numbers = have_numbers(names, masks, None if channels is None else len(channels))
    for domain in (PRESENT, ABSENT):
        for name, of_case in numbered(part.files[domain], has_numbers=has_numbers).items():
            place = f"{part.prefix}{part.folders[domain]}/{name}"
            if set(of_case) == {-1}:
                there, faults = _single(of_case[-1], channels)
            else:
                there, faults = number_channels(of_case, channels)
            found.faults += [f"{place}: {fault}" for fault in faults]
            scans[domain, name] = there
        for name, files in part.cases[domain].items():
            place = f"{part.prefix}{part.folders[domain]}/{name}"
            case = read_case_folder(_folder_of(folder, files, place), files)
            found.others += case.others
            if (domain, name) in scans:
                found.faults.append(f"{place}: a folder and a file of one name; keep one")
                continue
            there, faults = _of_folder(_own_name(name), case, channels)
            found.faults += [f"{place}: {fault}" for fault in faults]
            if case.masks:
                part.masks[None][f"{domain}/{name}"] += case.masks
            scans[domain, name] = there
    found.faults += _twice(part)
    return scans


def _folder_of(folder: Path, files: Sequence[Path], place: str) -> Path:
    """The folder of a case; its name may be written in another way than in messages."""
    depth = len(folder.parts) + len(PurePath(place).parts)
    return Path(*files[0].parts[:depth])


def _of_folder(
    name: str, case: CaseFolder, channels: Sequence[str] | None
) -> tuple[dict[str, Path], list[str]]:
    if not case.scans:
        some = ", ".join(path.name for path in case.others[:3]) or "masks alone"
        return {}, [
            f"holds {some}; expected a NIfTI file for each channel, a DICOM series, or a folder "
            "with one for each channel"
        ]
    if channels is None:
        return name_channels(name, case.scans), []
    return match_channels(case.scans, channels)


def _single(path: Path, channels: Sequence[str] | None) -> tuple[dict[str, Path], list[str]]:
    if channels is None:
        return {SINGLE: path}, []
    if len(channels) == 1:
        return {channels[0]: path}, []
    return {channels[0]: path}, [
        f"is one file; expected {len(channels)}, of the channels {', '.join(channels)}: a folder "
        "with one named for each, or files that end in _0000, _0001..."
    ]


def _masks_of(
    folder: Path,
    part: _Part,
    k: int | None,
    cases: Collection[Key],
    pathologies: Sequence[str],
    found: Found,
) -> dict[Key, Path]:
    """Masks by their cases: of pathology k, or of all classes."""
    there = part.folders.get(PRESENT, PRESENT)
    masks, faults = pair_masks(
        folder,
        part.masks[k],
        cases,
        pathologies,
        may_be_of=lambda name: _cases_of(name, pathologies),
        what="a scan",
        expected=lambda name: f"{part.prefix}{there}/{name}.nii.gz or a folder of that name",
    )
    found.faults += faults
    return masks


def _cases_of(mask: str, pathologies: Sequence[str]) -> Iterator[Key]:
    """Cases that a mask may be of; its path may begin with that of a domain, or be the case's.

    In the folder of a case one that is called as a pathology is not of all classes.
    """
    for name in names_spoken_of(mask):
        top, _, below = name.partition("/")
        if below and role_of(top) in (PRESENT, ABSENT):
            yield str(role_of(top)), below
        for case in (name,) if said_of(_own_name(name), pathologies) else (name, top):
            yield PRESENT, case
            yield ABSENT, case


def _twice(part: _Part) -> Iterator[str]:
    """Cases that have one name but for the ending, or for the case of letters."""
    for role in (PRESENT, ABSENT):
        by_case: dict[str, str] = {}
        below = f"{part.prefix}{part.folders.get(role, role)}"
        for _, paths in sorted(part.files[role].items()):
            if len(paths) > 1:
                named = " and ".join(f"{below}/{path.name}" for path in paths)
                yield f"{named}: one name twice; rename or remove one"
        for name in sorted({*part.files[role], *part.cases[role]}):
            other = by_case.setdefault(name.casefold(), name)
            if other != name:
                yield (
                    f"{below}/{other} and {below}/{name}: names that differ in the case of letters "
                    "alone, which not every disk can hold; rename one"
                )

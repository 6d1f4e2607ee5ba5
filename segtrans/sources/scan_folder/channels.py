"""Which files of a case are which of its channels, by their names."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from segtrans.sources.own_folder.names import FOLDERS, MASKS, unmasked
from segtrans.sources.scans.case_names import stem
from segtrans.sources.scans.dicom import find_dicom

SINGLE = "scan"  # a channel that nobody named
_LOOKED_AT = 3  # files of a folder, before it is none of DICOM
_NO_SERIES = {"dicomdir"}
_OTHER_MASKS = {"seg", "segm", "segmentation"}
_SEPARATOR = "[-_. ]"


@dataclass
class CaseFolder:
    """What lies in the folder of a case.

    Attributes:
        scans: NIfTI files and folders of DICOM series, by name; "" is the folder itself.
        masks: NIfTI files that are masks by their names.
        others: all that is neither.
    """

    scans: dict[str, Path] = field(default_factory=dict)
    masks: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def read_case_folder(folder: Path, files: Sequence[Path]) -> CaseFolder:
    """Sort the files of a case.

    Args:
        folder: of the case.
        files: all below it.
    """
    case = CaseFolder()
    by_folder: dict[Path, list[Path]] = {}
    for path in files:
        name = stem(path)
        if name is None or path.parent != folder:
            by_folder.setdefault(path.parent, []).append(path)
        elif is_mask(name):
            case.masks.append(path)
        else:
            case.scans[normal(name)] = path
    for place, within in by_folder.items():
        is_near = place == folder or place.parent == folder
        if is_near and holds_dicom(within) and not (place == folder and case.scans):
            case.scans["" if place == folder else normal(place.name)] = place
        else:
            case.others += within
    return case


def holds_dicom(files: Sequence[Path]) -> bool:
    """Whether files of one folder are a DICOM series, by the first of them."""
    series = [path for path in files if path.name.casefold() not in _NO_SERIES]
    return find_dicom(series[:_LOOKED_AT]) is not None


def is_mask(name: str) -> bool:
    """Whether the file of a case is a mask by its name, without ending."""
    known = {*FOLDERS[MASKS], *_OTHER_MASKS}
    return name.casefold() in known or unmasked(name) is not None


def normal(name: str) -> str:
    """Each letter in one way only (NFC)."""
    return unicodedata.normalize("NFC", name)


def match_channels(
    scans: Mapping[str, Path], channels: Sequence[str]
) -> tuple[dict[str, Path], list[str]]:
    """The file of each channel, and what is wrong, clauses after the case's name.

    A file is that of a channel whose name it has, or ends in behind one of `-_. `, in any case of
    letters. The only scan of a case is that of the only channel, whatever its name.

    Args:
        scans: of a case, by name.
        channels: in stored order.
    """
    if len(channels) == len(scans) == 1:
        return {channels[0]: next(iter(scans.values()))}, []
    found: dict[str, Path] = {}
    faults = []
    for channel in channels:
        exact = [name for name in scans if name.casefold() == channel.casefold()]
        ending = re.compile(f".*{_SEPARATOR}{re.escape(channel)}", re.IGNORECASE | re.DOTALL)
        named = exact or [name for name in scans if ending.fullmatch(name)]
        if len(named) > 1:
            faults.append(f"has two scans for channel {channel}: {', '.join(named)}; keep one")
        elif named:
            found[channel] = scans[named[0]]
        else:
            there = ", ".join(sorted(filter(None, scans))) or "one scan without a name"
            faults.append(
                f"has no scan for channel {channel} beside {there}; expected a file or folder that "
                "is named so or ends in it"
            )
    return found, faults


def name_channels(case: str, scans: Mapping[str, Path]) -> dict[str, Path]:
    """Scans of a case by what their names tell of the channel, in alphabetical order.

    That is what differs: `P7_t1` and `P7_flair` are t1 and flair.
    """
    if len(scans) < 2:
        return dict.fromkeys([SINGLE], next(iter(scans.values()))) if scans else {}
    names = sorted(scans)
    start = re.match(f"{re.escape(normal(case))}{_SEPARATOR}", names[0], re.IGNORECASE)
    prefix = start[0] if start else ""
    if not prefix or not all(name.startswith(prefix) for name in names):
        # The first and the last of sorted names have in common what all have.
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(names[0], names[-1], strict=False))
        shared = "".join(letter for letter, _ in pairs)
        prefix = shared[: len(shared) - len(re.split(_SEPARATOR, shared)[-1])]
    found = {name[len(prefix) :].casefold(): scans[name] for name in names}
    if len(found) < len(names) or not all(found):
        return {name: scans[name] for name in names}
    return dict(sorted(found.items()))


def number_channels(
    scans: Mapping[int, Path], channels: Sequence[str] | None
) -> tuple[dict[str, Path], list[str]]:
    """Scans by number (`_0000`, `_0001`...) as those of channels in turn; as `match_channels`."""
    n = len(channels) if channels is not None else max(scans) + 1
    names = channels if channels is not None else [f"channel_{number}" for number in range(n)]
    faults = list(_lacking(scans, n))
    if more := [f"_{number:04d}" for number in scans if number >= n]:
        faults.append(f"has {', '.join(more)}; expected {n} channels, {', '.join(names)}")
    found = {name: scans[number] for number, name in enumerate(names) if number in scans}
    return found, faults


def _lacking(scans: Mapping[int, Path], n: int) -> Iterator[str]:
    if lacking := [f"_{number:04d}" for number in range(n) if number not in scans]:
        yield f"has no file {', '.join(lacking)}; expected one for each channel"

"""Which mask is whose, by the names of files."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segtrans.errors import UserError
from segtrans.sources.own_folder.layout import names_spoken_of
from segtrans.sources.own_folder.names import ABSENT, PRESENT
from segtrans.sources.own_folder.shows import bare_name, by_folders
from segtrans.sources.own_folder.surveyed import shown
from segtrans.tasks.base import VOID

Key = tuple[str, str]  # domain, and name below its folder


def pair_masks(
    folder: Path,
    masks: Mapping[str, Sequence[Path]],
    owners: Collection[Key],
    pathologies: Sequence[str],
    *,
    may_be_of: Callable[[str], Iterable[Key]],
    what: str,
    expected: Callable[[str], str],
) -> tuple[dict[Key, Path], list[str]]:
    """Masks by what they are of, and what is wrong with their names, a line each.

    Args:
        folder: of the data set.
        masks: files by name below masks/, of one pathology or of all classes.
        owners: all images, or scans, that there are.
        pathologies: names of several; folders called as they may be left out of a mask's name.
        may_be_of: by its name, what a mask may be of, the likelier first.
        what: an image, or a scan, for messages.
        expected: what should be there for a mask of some name.
    """
    found: dict[Key, Path] = {}
    faults: list[str] = []
    bare: dict[str, list[Key]] = defaultdict(list)
    for domain, name in owners if pathologies else ():
        if domain == PRESENT:
            bare[bare_name(name, pathologies)].append((domain, name))
    for name, paths in masks.items():
        key = next((key for key in may_be_of(name) if key in owners), None)
        if key is None or key[0] == ABSENT:
            # What is present, in folders of pathologies, goes before what is absent of that name.
            several = [of for spoken in names_spoken_of(name) for of in bare[spoken]]
            key = several[0] if several else key
            if len(several) > 1:
                where, named = shown(paths[0], folder), " or ".join(of[1] for of in several)
                faults.append(
                    f"{where}: may be of {named}; put it into folders as those of its "
                    f"{what.split()[-1]}"
                )
        if key is None:
            folders = f"; {_of_each(pathologies)}" if pathologies and "/" in name else ""
            faults += [
                f"{shown(path, folder)}: a mask without {what}; expected {expected(name)}{folders}"
                for path in paths
            ]
            continue
        for path in paths:
            if key in found:
                first = shown(found[key], folder)
                faults.append(f"{shown(path, folder)}: a second mask beside {first}")
            else:
                found[key] = path
    return found, faults


@dataclass(frozen=True)
class Known:
    """What names of files say of an image or a scan; as `Masked` has it."""

    mask: Path | None
    masks: tuple[Path | None, ...]
    shows: tuple[int, ...]


def known_of(
    key: Key,
    place: str,
    masks: Sequence[Mapping[Key, Path]],
    pathologies: Sequence[str],
    *,
    folder: Path,
    images: str,
) -> tuple[Known, list[str]]:
    """Masks of an image or a scan and what its folders say that it shows; what is wrong with them.

    Args:
        key: of the image or scan.
        place: where it lies, for messages.
        masks: of all classes, then of each of several pathologies.
        pathologies: names of several.
        folder: of the data set.
        images: or scans, for messages.
    """
    mask, *own = (of.get(key) for of in masks)
    shows, faults = (VOID,) * len(pathologies), []
    try:
        shows = by_folders(key[1], key[0], pathologies, images=images)
    except UserError as error:
        faults.append(f"{place}: {error}")
    if fault := _two_kinds(folder, mask, own):
        faults.append(fault)
    return Known(mask, tuple(own), shows), faults


def _two_kinds(folder: Path, of_all: Path | None, of_each: Sequence[Path | None]) -> str | None:
    """What is wrong with a mask of all classes beside masks of single pathologies."""
    beside = [path for path in of_each if path is not None]
    if of_all is None or not beside:
        return None
    return (
        f"{shown(beside[0], folder)}: a second mask beside {shown(of_all, folder)}, "
        "which is of all classes; keep one kind"
    )


def _of_each(pathologies: Sequence[str]) -> str:
    named = ", ".join(f"{name}/" for name in pathologies)
    return f"folders of masks of one pathology are called as it: {named}"

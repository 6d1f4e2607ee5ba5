"""What is found in a folder by names alone, of whatever kind, and what can be wrong with it."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_NAMED = 5  # files that are named


class OwnItem(Protocol):
    """An image or a scan of a folder, by names alone; see the classes of each kind."""

    @property
    def place(self) -> str:
        """Its path below the folder, without ending, which no other has."""

    @property
    def domain(self) -> str:
        """Present or absent."""

    @property
    def has_whole_mask(self) -> bool:
        """Whether masks say where all is that it shows, as scores need."""

    @property
    def shows(self) -> tuple[int, ...]:
        """Whether it shows each of several pathologies: 1, 0, or `VOID`."""

    @property
    def is_masked(self) -> tuple[bool, ...]:
        """Whether a mask says where each of them is."""

    @property
    def group(self) -> str:
        """What must stay in one fold."""

    @property
    def fold(self) -> str | None:
        """train, valid or test; None where it is to be drawn."""


@dataclass(frozen=True)
class Skipped:
    """Files that were passed over: hidden ones (AppleDouble's too), and those of other kinds."""

    hidden: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hidden or self.others)

    def __str__(self) -> str:
        kinds = Counter(path.suffix.lower() or "without an ending" for path in self.others)
        parts = [f"{len(self.hidden)} hidden"] if self.hidden else []
        parts += [f"{n} {kind}" for kind, n in kinds.most_common()]
        return ", ".join(parts) or "none"

    def named(self, folder: Path) -> str:
        """How many there are, with the first of their names, by their paths below the folder."""
        names = [shown(path, folder) for path in (*self.others, *self.hidden)]
        rest = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
        some = "s" if len(names) > 1 else ""
        return f"{len(names)} file{some}: {', '.join([*names[:_NAMED], *rest])}"


def shown(path: Path, folder: Path) -> str:
    """A file as messages name it: by its path below the folder."""
    return path.relative_to(folder).as_posix()


def links_astray(folder: Path, files: Sequence[Path]) -> Iterator[str]:
    """Links out of the folder, and links of folders to others in it; each is named once."""
    inside = os.path.realpath(folder)
    links = dict.fromkeys(path for path in files if path.is_symlink())
    for place in dict.fromkeys(path.parent for path in files):
        if os.path.realpath(place) != os.path.normpath(Path(inside, shown(place, folder))):
            links[next(of for of in (place, *place.parents) if of.is_symlink())] = None
    for link in links:
        real = os.path.realpath(link)
        if os.path.commonpath([inside, real]) != inside:
            yield f"{shown(link, folder)}: a link out of the folder, to {real}; put a copy there"
        elif link.is_dir():
            yield f"{shown(link, folder)}: a link to another folder of the data set; remove it"


def split_groups(items: Sequence[OwnItem]) -> Iterator[str]:
    """Groups that are in a fold by hand and elsewhere too."""
    first: dict[str, OwnItem] = {}
    said = set()
    for item in items:
        other = first.setdefault(item.group, item)
        if item.fold != other.fold and item.group not in said:
            said.add(item.group)
            folds = [f"fold {one.fold}" if one.fold else "no fold yet" for one in (other, item)]
            yield (
                f"group {item.group}: {other.place} has {folds[0]}, {item.place} has {folds[1]}; "
                "keep a group in one fold"
            )

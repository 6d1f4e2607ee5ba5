"""What an image of a folder is, by names alone."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """An image of a folder.

    Attributes:
        name: what its file is called below present/ or absent/ (in a table: below the folder),
            with slashes, without ending and without `_0000`, in NFC. Two domains, and test/ and
            the rest, may have the same names.
        domain: present or absent.
        files: one, or one for each channel in turn.
        mask: its mask; of an absent image one that should be empty.
        group: what must stay in one fold; images of one group have the same.
        fold: train, valid or test; None where it is to be drawn.
        place: its path below the folder, without ending and without `_0000`, which no other has.
    """

    name: str
    domain: str
    files: tuple[Path, ...]
    mask: Path | None
    group: str
    fold: str | None
    place: str


@dataclass
class Found:
    """Images whose groups may be open (""), what is wrong (a line each), files of other kinds."""

    items: list[Item] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

"""What an image of a folder is, by names alone."""

from dataclasses import dataclass, field
from pathlib import Path

from segtrans.sources.own_folder.masked import Masked


@dataclass(frozen=True)
class Item(Masked):
    """An image of a folder.

    Attributes:
        name: what its file is called below present/ or absent/ (in a table: below the folder),
            with slashes, without ending and without `_0000`, in NFC. Two domains, and test/ and
            the rest, may have the same names.
        domain: present or absent.
        files: one, or one for each channel in turn.
        mask: its mask, of all classes; of an absent image one that should be empty.
        group: what must stay in one fold; images of one group have the same.
        fold: train, valid or test; None where it is to be drawn.
        place: its path below the folder, without ending and without `_0000`, which no other has.
        shows: of several pathologies whether it shows each, as folders or the table say: 1, 0, or
            `VOID` where they do not; else empty.
        masks: of several pathologies a mask of each, or None; empty where no such file is.
    """

    name: str
    domain: str
    files: tuple[Path, ...]
    mask: Path | None
    group: str
    fold: str | None
    place: str
    shows: tuple[int, ...] = ()
    masks: tuple[Path | None, ...] = ()


@dataclass
class Found:
    """Images whose groups may be open (""), what is wrong (a line each), files of other kinds."""

    items: list[Item] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

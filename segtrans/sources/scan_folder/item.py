"""What a case of a folder is, by names alone."""

from dataclasses import dataclass, field
from pathlib import Path

Ranges = tuple[tuple[int, int], ...]  # first and last slice, from 1, both included


@dataclass(frozen=True)
class ScanFiles:
    """The scan of a case.

    Attributes:
        case_id: what the case is called in a data set; names it in errors.
        channels: a NIfTI file, or a folder with one DICOM series, by channel in stored order.
    """

    case_id: str
    channels: dict[str, Path]


@dataclass(frozen=True)
class ScanItem:
    """A case of a folder.

    Attributes:
        scan: its files.
        domain: present or absent.
        mask: its mask, NIfTI; of an absent case one that should be empty.
        slices: of a present case without a mask, which slices show the target, in the order of the
            first channel's file; None where nobody says.
        group: what must stay in one fold; cases of one group have the same.
        fold: train, valid or test; None where it is to be drawn.
        place: its path below the folder, without ending, which no other case has.
    """

    scan: ScanFiles
    domain: str
    mask: Path | None
    slices: Ranges | None
    group: str
    fold: str | None
    place: str


@dataclass
class Found:
    """Cases whose groups may be open (""), what is wrong (a line each), files of other kinds."""

    items: list[ScanItem] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

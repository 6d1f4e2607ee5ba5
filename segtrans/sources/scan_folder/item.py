"""What a case of a folder is, by names alone."""

from dataclasses import dataclass, field
from pathlib import Path

from segtrans.sources.own_folder.masked import Masked


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
class Listed:
    """Slices that show the target.

    Attributes:
        first: number of the first, from 1, in the order of the first channel's file.
        last: number of the last, included.
        side: right or left of the patient; None: both.
    """

    first: int
    last: int
    side: str | None = None


@dataclass(frozen=True)
class ScanItem(Masked):
    """A case of a folder.

    Attributes:
        scan: its files.
        domain: present or absent.
        mask: its mask, NIfTI, of all classes; of an absent case one that should be empty.
        slices: of a present case without a mask of all that it may show, which show the target;
            None where nobody says.
        group: what must stay in one fold; cases of one group have the same.
        fold: train, valid or test; None where it is to be drawn.
        place: its path below the folder, without ending, which no other case has.
        shows: of several pathologies whether it shows each, as folders or the table say: 1, 0, or
            `VOID` where they do not; else empty.
        masks: of several pathologies a mask of each, or None; empty where no such file is.
    """

    scan: ScanFiles
    domain: str
    mask: Path | None
    slices: tuple[Listed, ...] | None
    group: str
    fold: str | None
    place: str
    shows: tuple[int, ...] = ()
    masks: tuple[Path | None, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in its domain."""
        return self.place.rpartition("/")[2]


@dataclass
class Found:
    """Cases whose groups may be open (""), what is wrong (a line each), files of other kinds."""

    items: list[ScanItem] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

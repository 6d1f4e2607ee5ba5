"""Scans of the user's own, in folders that say whether they show the target."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from segtrans.block import Neighbours
from segtrans.tasks.own_folder import Intensity, OwnFolder
from segtrans.tasks.parameters import DataParams
from segtrans.tasks.sides import SIDES, WHOLE

# Of the LPS orientation: what columns, rows and slices of an image run along, by `axis`.
_AXES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}
_COLUMNS = ("case", "case_id", "slices", "side", "slice_index")  # beside those of all folders
_Millimetres = Annotated[float, Field(ge=0.01, le=100.0)]


class ScanIntensity(Intensity):
    """How stored values become what networks see, in [-1, 1]."""

    mode: Literal["percentile", "zscore", "window"] = Field(
        default="zscore",
        description="zscore: for each scan and channel, over everything but background, divided "
        "by five; percentile: likewise, from low to high; window: low to high, for CT in HU",
    )


class ScanFolder(OwnFolder):
    """Slices of scans: those with the target (P), and those without (A)."""

    kind: Literal["scan_folder"] = Field(description="scans of your own")
    channels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=("scan",),
        description="a name for each sequence of a scan, in stored order; left out: the first case "
        "decides",
    )
    axis: Literal["axial", "coronal", "sagittal"] = Field(
        default="axial", description="orientation of the slices, by the patient's anatomy"
    )
    halves: bool = Field(
        default=False,
        description="images are halves of slices, cut in the middle between left and right; right "
        "ones are mirrored",
    )
    spacing_mm: tuple[_Millimetres, _Millimetres, _Millimetres] | None = Field(
        default=None,
        description="spacing of columns, rows and slices to resample scans to; null: the median "
        "of the cases",
    )
    intensity: ScanIntensity = Field(
        default=ScanIntensity(), description="from stored values to [-1, 1]"
    )
    neighbours: Neighbours = Field(
        default=0,
        description="slices on either side of each image that networks see with it, 2.5D",
    )
    background: float | None = Field(
        default=None,
        description="values up to this one are outside the patient, e.g. -1000 in CT; null: in "
        "each channel, the most frequent value in the volume's corners, or else the smallest",
    )
    unlabelled: Literal["all", "listed"] = Field(
        default="all",
        description="which slices of a present scan without a mask are P if they are not listed: "
        "all, or none (listed)",
    )
    absent_from_present: Literal["never", "masks", "lists"] = Field(
        default="masks",
        description="masks: slices without target in present scans with a mask are A; lists: so "
        "are unlisted slices of present scans without a mask whose slices are listed; never: none",
    )
    absent_positions: Literal["all", "as_present"] = Field(
        default="all",
        description="as_present: slices of A are drawn, in each fold, so that they are distributed "
        "along the axis as those of P; all: every one is used",
    )
    min_content_fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=0.05, description="least share of non-background pixels in an image"
    )
    min_target_fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=0.001,
        description="least share of target among the non-background pixels of P; with less, an "
        "image belongs to neither domain",
    )

    has_patients: ClassVar[bool] = True
    own_files: ClassVar[Literal["pictures", "scans"] | None] = "scans"
    paper_figure: ClassVar[int] = 8
    later: ClassVar[tuple[str, ...]] = (*OwnFolder.later, "neighbours", "absent_positions")
    seen: ClassVar[frozenset[str]] = OwnFolder.seen | {"halves"}

    @model_validator(mode="after")
    def _has_two_sides(self) -> Self:
        if self.halves and self.axis == "sagittal":
            raise ValueError("halves = true: sagittal slices have no left and right; set it false")
        return self

    @model_validator(mode="after")
    def _tells_columns_apart(self) -> Self:
        """Channels and pathologies are columns of one table."""
        taken = {name.casefold() for name in (*self.channels, *_COLUMNS)}
        for name in self.pathologies:
            for column in (name, f"mask_{name}"):
                if column.casefold() in taken:
                    what = "" if column == name else f"{column} is "
                    raise ValueError(
                        f"classes = {name}: {what}a column of dataset.csv too; rename the class"
                    )
        return self

    def neighbours_in(self, params: DataParams) -> int:
        """As `Task.neighbours_in`."""
        return self.neighbours

    def place_of_neighbours(self, name: str) -> str | None:
        """As `Task.place_of_neighbours`."""
        return f"data_sets.{name}.neighbours"

    @property
    def image_name(self) -> str:
        """As `Task.image_name`."""
        return "half-slice" if self.halves else "slice"

    @property
    def lps_axes(self) -> tuple[int, int, int]:
        """Axes of the LPS orientation (X, Y, Z) that columns, rows and slices run along.

        Columns run to the left or to the back, rows to the back or from head to foot, slices to
        the head, to the back or to the left.
        """
        return _AXES[self.axis]

    @property
    def sides(self) -> tuple[str, ...]:
        """What each slice is cut into."""
        return SIDES if self.halves else (WHOLE,)

    @property
    def slice_width(self) -> int:
        """Columns of a whole slice: twice those of an image that is a half."""
        return 2 * self.width if self.halves else self.width

"""Halves of axial slices of brains (section 4.2)."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from segtrans.block import Positive
from segtrans.tasks.brains import SEQUENCES, Brains
from segtrans.tasks.names import check_names
from segtrans.tasks.parameters import DataParams

# Of P and A together, as stored: masks, and half-slices (two bytes) of about 200 of each patient.
_PATIENT_MB = 25
_SHAPE = (240, 120)


class HalfSlices(Brains):
    """Half of a slice with a tumour on that side (P), or with none (A)."""

    kind: Literal["half_slices"] = Field(
        description="halves of axial slices, section 4.2, of the cases of the block brats"
    )
    height: Positive = Field(default=_SHAPE[0], description="image rows: 240")
    width: Positive = Field(default=_SHAPE[1], description="image columns: 120")
    channels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=SEQUENCES, description="sequences, in stored order: t1, t2, t1c, flair"
    )
    architecture: Literal["mnist48", "mnist128", "brats"] = Field(
        default="brats", description="networks of tables 2 to 9"
    )
    segmentation_norm: Literal["adaptive_instance_norm", "layer_norm"] = Field(
        default="layer_norm",
        description="how the shared residual decoder is adapted to segment (appendix A)",
    )
    white_matter_lesions: bool = Field(
        default=False,
        description="a second target, spots in white matter, for phantoms alone: P half-slices "
        "show a tumour, lesions or both, known of each; classes are then two, the tumour first",
    )

    needs_labels: ClassVar[dict[str, str]] = {"unit": "volume or half_slice"}
    is_augmented: ClassVar[bool] = True
    has_patients: ClassVar[bool] = True
    paper_figure: ClassVar[int] = 8
    later: ClassVar[tuple[str, ...]] = ("white_matter_lesions",)

    @model_validator(mode="after")
    def _is_of_brains(self) -> Self:
        if (self.height, self.width) != _SHAPE or self.channels != SEQUENCES:
            raise ValueError(
                f"height, width, channels = {self.height}, {self.width}, "
                f"[{', '.join(self.channels)}]: of half-slices they are 240, 120, "
                f"[{', '.join(SEQUENCES)}]; leave them out"
            )
        return self

    @model_validator(mode="after")
    def _names_targets(self) -> Self:
        if self.white_matter_lesions and len(self.classes) != 2:
            raise ValueError(
                f"classes = {self.classes}: with white_matter_lesions there are two, "
                "{tumour: 1, lesions: 2}"
            )
        if self.white_matter_lesions:
            check_names(list(self.classes))
        return self

    @property
    def pathologies(self) -> tuple[str, ...]:
        """As `Task.pathologies`: tumour and white-matter lesions."""
        return self.class_names if self.white_matter_lesions else ()

    def check(self, params: DataParams, *, batch_size: int, labelled: float) -> None:
        """As `Task.check`: white-matter lesions are drawn into phantoms, and known of no others."""
        if self.white_matter_lesions and params.brats.source != "phantom":
            raise ValueError(
                f"brats.source = {params.brats.source}: white_matter_lesions are known of phantoms "
                "alone; set source: phantom"
            )

    @property
    def image_name(self) -> str:
        """As `Task.image_name`."""
        return "half-slice"

    def data_mb(self, params: DataParams) -> float | None:
        """By the number of patients, which is known beforehand for phantoms only."""
        brats = params.brats
        return brats.n_patients * _PATIENT_MB if brats.source == "phantom" else None

    def neighbours_in(self, params: DataParams) -> int:
        """As `Task.neighbours_in`."""
        return params.brats.neighbours

    def place_of_neighbours(self, name: str) -> str | None:
        """As `Task.place_of_neighbours`."""
        return "brats.neighbours"

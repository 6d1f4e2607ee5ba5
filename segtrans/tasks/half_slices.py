"""Halves of axial slices of brains (section 4.2)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from segtrans.tasks.base import Task
from segtrans.tasks.parameters import DataParams

# Of P and A together, as stored: masks, and half-slices (two bytes) of about 200 of each patient.
_PATIENT_MB = 25


class HalfSlices(Task):
    """Half of a slice with a tumour on that side (P), or with none (A)."""

    kind: Literal["half_slices"] = Field(description="halves of axial slices, section 4.2")

    needs_labels: ClassVar[dict[str, str]] = {"unit": "volume or half_slice"}
    is_augmented: ClassVar[bool] = True
    has_patients: ClassVar[bool] = True
    paper_figure: ClassVar[int] = 8

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

    def title_of(self, data: Mapping[str, Any]) -> str:
        """Says so when the patients are synthetic phantoms."""
        return self._title(are_phantoms=bool(data.get("phantoms")))

    def planned_title(self, params: DataParams) -> str:
        """Says so when the patients will be synthetic phantoms."""
        return self._title(are_phantoms=params.brats.source == "phantom")

    def _title(self, *, are_phantoms: bool) -> str:
        return f"{self.title} on phantoms" if are_phantoms else self.title

"""Brains of the block `brats`: what half-slices and half-volumes have in common."""

from collections.abc import Mapping
from typing import Any

from segtrans.tasks.base import Task
from segtrans.tasks.parameters import DataParams

SEQUENCES = ("t1", "t2", "t1c", "flair")


class Brains(Task):
    """Images cut out of the cases of the block brats."""

    def title_of(self, data: Mapping[str, Any]) -> str:
        """Says so when the patients are synthetic phantoms."""
        return self._title(are_phantoms=bool(data.get("phantoms")))

    def planned_title(self, params: DataParams) -> str:
        """Says so when the patients will be synthetic phantoms."""
        return self._title(are_phantoms=params.brats.source == "phantom")

    def _title(self, *, are_phantoms: bool) -> str:
        return f"{self.title} on phantoms" if are_phantoms else self.title

"""Halves of brains as volumes, on a coarser grid than the scan's; not in the paper."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from segtrans.block import Positive, Share
from segtrans.tasks.brains import SEQUENCES, Brains
from segtrans.tasks.parameters import DataParams

_STORED_BYTES = 2  # of a value; of a mask one


class HalfVolumes(Brains):
    """Half of a brain with a tumour on that side (P), or with none (A)."""

    kind: Literal["half_volumes"] = Field(
        description="halves of whole scans in 3D, of the cases of the block brats; not in the paper"
    )
    depth: Positive = Field(
        default=48, description="voxels from the lowest slice to the highest, of the reduced grid"
    )
    height: Positive = Field(default=64, description="voxels from front to back")
    width: Positive = Field(default=32, description="voxels from left to right, of one half")
    channels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=SEQUENCES, description="sequences, in stored order: t1, t2, t1c, flair"
    )
    classes: dict[str, Annotated[int, Field(ge=1, le=254)]] = Field(
        default={"tumour": 1}, description="one class, with the value 1"
    )
    architecture: Literal["mnist48", "mnist128", "brats"] = Field(
        default="mnist48",
        description="channels and kernels of tables 2 to 9, with 3D operators; for at least 29, 33 "
        "or 61 voxels a side",
    )
    segmentation_norm: Literal["adaptive_instance_norm", "layer_norm"] = Field(
        default="layer_norm",
        description="how the shared residual decoder is adapted to segment (appendix A)",
    )
    min_lesion_fraction: Share = Field(
        default=0.001,
        description="least share of lesion voxels among the brain voxels of P, on the reduced "
        "grid; with less, a half is in neither domain",
    )

    needs_labels: ClassVar[dict[str, str]] = {"unit": "volume"}
    is_augmented: ClassVar[bool] = True
    has_patients: ClassVar[bool] = False  # their images are no slices
    paper_figure: ClassVar[int] = 7
    white_matter_lesions: ClassVar[bool] = False

    @model_validator(mode="after")
    def _is_of_brains(self) -> Self:
        if self.channels != SEQUENCES or len(self.classes) != 1:
            raise ValueError(
                f"channels, classes = [{', '.join(self.channels)}], {self.classes}: of "
                f"half-volumes they are [{', '.join(SEQUENCES)}] and one class; leave them out"
            )
        return self

    @property
    def image_size(self) -> tuple[int, ...]:
        """As `Task.image_size`: slices, rows and columns."""
        return self.depth, self.height, self.width

    @property
    def image_name(self) -> str:
        """As `Task.image_name`."""
        return "half-volume"

    def data_mb(self, params: DataParams) -> float | None:
        """Two halves of each patient; the number of patients is known of phantoms only."""
        brats, n_voxels = params.brats, self.depth * self.height * self.width
        each = 2 * n_voxels * (_STORED_BYTES * len(self.channels) + 1) / 1e6
        return brats.n_patients * each if brats.source == "phantom" else None

"""Pictures of the user's own, in folders that say whether they show the target."""

import functools
import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from segtrans.tasks.own_folder import Intensity, OwnFolder
from segtrans.tasks.parameters import DataParams

__all__ = ["ImageFolder", "Intensity"]

_STORED_BYTES = 2  # of a value, at most


class ImageFolder(OwnFolder):
    """Pictures."""

    kind: Literal["image_folder"] = Field(description="pictures of your own")
    channels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=("grey",),
        description="[grey], [red, green, blue], or a name for each file of an image "
        "(stem_0000, stem_0001...); left out: the first image decides",
    )
    size: Literal["fit", "stretch", "crop", "tile"] = Field(
        default="fit",
        description="fit: keep the shape, pad by reflection; stretch; crop, tile: parts at full "
        "resolution, of labelled and absent images but never of unlabelled present ones",
    )
    intensity: Intensity = Field(default=Intensity(), description="from stored values to [-1, 1]")
    min_target_fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=0.0005, description="least share of target pixels in an image of P, or part of one"
    )
    has_patients: ClassVar[bool] = False
    own_files: ClassVar[Literal["pictures", "scans"] | None] = "pictures"
    paper_figure: ClassVar[int] = 7

    @property
    def has_parts(self) -> bool:
        """Whether networks see parts of images at full resolution, where that is certain."""
        return self.size in ("crop", "tile")

    def data_mb(self, params: DataParams) -> float | None:
        """By the number of files: no picture is stored twice, but for tiles, which nobody counts.

        Masks are counted as pictures of their own, so it is up to twice what it will be.
        """
        n_files = None if self.size == "tile" else _n_files(self.directory)
        if n_files is None:
            return None
        pixels = self.height * self.width
        return n_files * pixels * (_STORED_BYTES * len(self.channels) + 1) / 1e6


@functools.cache
def _n_files(directory: str) -> int | None:
    """Files below a folder, counted once; None where there are none, or links to folders."""
    n = 0
    for place, folders, names in os.walk(directory):
        if any(Path(place, folder).is_symlink() for folder in folders):
            return None
        n += len(names)
    return n or None

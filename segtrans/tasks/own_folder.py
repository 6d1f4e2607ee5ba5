"""What tasks of the user's own have in common: a folder that says what shows the target."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from segtrans.block import Block, Positive, Share
from segtrans.tasks.base import Task
from segtrans.tasks.names import check_names
from segtrans.tasks.parameters import DataParams

FEW = 5  # with fewer images or scans of a kind, scores say little


class Intensity(Block):
    """How stored values become what networks see, in [-1, 1]."""

    mode: Literal["dtype", "percentile", "zscore", "window"] = Field(
        default="dtype",
        description="dtype: the whole range of the files' data type; percentile, zscore: for each "
        "image and channel separately; window: low to high",
    )
    low: float | None = Field(
        default=None, description="percentile: 0 to 100; window: a value; else null"
    )
    high: float | None = Field(default=None, description="as low, and above it")

    @model_validator(mode="after")
    def _has_limits(self) -> Self:
        has_limits = self.low is not None and self.high is not None
        if self.mode in ("percentile", "window"):
            if not has_limits or self.low >= self.high:  # type: ignore[operator]
                raise ValueError(f"intensity.mode = {self.mode}: needs low and high above it")
            if self.mode == "percentile" and not (self.low >= 0 and self.high <= 100):  # type: ignore[operator]
                raise ValueError("intensity.mode = percentile: low and high are from 0 to 100")
        elif self.low is not None or self.high is not None:
            raise ValueError(f"intensity.mode = {self.mode}: has neither low nor high")
        return self


class OwnFolder(Task):
    """A folder with present/, absent/ and masks/, or a table that says the same."""

    directory: Annotated[str, Field(min_length=1)] = Field(
        description="folder with present/, absent/, masks/ and perhaps test/, or dataset.csv"
    )
    height: Positive = Field(default=128, description="rows that networks see, in pixels")
    width: Positive = Field(default=128, description="columns that networks see, in pixels")
    architecture: Literal["mnist48", "mnist128", "brats"] = Field(
        default="mnist128",
        description="networks of tables 2 to 9; for images of at least 29, 33 or 61 pixels a side",
    )
    segmentation_norm: Literal["adaptive_instance_norm", "layer_norm"] = Field(
        default="adaptive_instance_norm",
        description="how the shared residual decoder is adapted to segment (appendix A)",
    )
    ignore: Annotated[int, Field(ge=1, le=255)] | None = Field(
        default=None, description="mask value of pixels that do not count"
    )
    group: str | None = Field(
        default=None,
        description="regular expression on the name; images with the same first group go into the "
        "same fold; null: each image is its own group",
    )
    multi_label: bool = Field(
        default=False,
        description="classes are several pathologies: a P image may show any number of them, known "
        "of each or not; each may have masks of its own, which may overlap",
    )
    valid_fraction: Share = Field(default=0.1, description="share of the groups for validation")
    test_fraction: Share = Field(
        default=0.1, description="share of the groups for testing, if there is no test/"
    )

    needs_labels: ClassVar[dict[str, str]] = {}
    has_own_labels: ClassVar[bool] = True
    is_augmented: ClassVar[bool] = True
    later: ClassVar[tuple[str, ...]] = ("multi_label",)
    # Keys that say what networks see; all others decide the data alone.
    seen: ClassVar[frozenset[str]] = frozenset(
        {"height", "width", "channels", "classes", "architecture", "segmentation_norm"}
        | {"multi_label"}
    )

    @model_validator(mode="after")
    def _names_pathologies(self) -> Self:
        if self.multi_label:
            check_names(list(self.classes))
        return self

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.ignore in self.classes.values():
            raise ValueError(f"ignore = {self.ignore}: is a class")
        if self.group is not None:
            _check_pattern(self.group)
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"valid_fraction + test_fraction = {self.valid_fraction + self.test_fraction:g}: "
                "leaves nothing to train on"
            )
        return self

    @property
    def pathologies(self) -> tuple[str, ...]:
        """As `Task.pathologies`: the classes by their values."""
        return self.class_names if self.multi_label else ()

    def as_trained(self, name: str) -> Self:
        """Images as networks see them, and the networks: all else is at its default."""
        content = self.model_dump(mode="json", include={"kind", *self.seen})
        return self.model_validate(content | {"title": name, "directory": name}, strict=False)

    def title_of(self, data: Mapping[str, Any]) -> str:
        """The title that the data were made with."""
        return str(data.get("title", self.title))

    def data_mb(self, params: DataParams) -> float | None:
        """Nobody knows it before the folder was read."""
        return None


def _check_pattern(pattern: str) -> None:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"group = {pattern}: no regular expression ({error})") from None
    if compiled.groups < 1:
        raise ValueError(f"group = {pattern}: needs brackets around what images share")

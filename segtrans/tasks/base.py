"""What an image of a task is, and what follows from it: a class for each kind of images.

Nothing outside of this room asks of what kind a task is: it asks the task.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from segtrans.block import Block, Positive
from segtrans.tasks.parameters import DataParams

VOID = 255  # label of a pixel that counts neither for nor against a segmentation
# Pixels a side that the networks of each architecture need: encoders halve images, discriminators
# see them on three scales.
LEAST_SIDE = {"mnist48": 29, "mnist128": 33, "brats": 61}


class Task(Block, ABC):
    """A task as parameters have it: one column of Table 1a, or one of the user's own.

    Attributes:
        needs_labels: keys of `labels` that decide what is labelled, beside those of all tasks, and
            what is expected there.
        has_own_labels: whether the data say which images are labelled, so that nothing is chosen.
        is_augmented: whether training images are changed at random (appendix A).
        has_patients: whether images are slices of patients' volumes: drawn by sequences, and scored
            in 3D too.
        own_files: what a folder of the user's own holds, "pictures" or "scans"; None of data that
            are made or fetched.
        paper_figure: number of the paper's figure that a panel follows.
        later: fields that came later; at their defaults they are left out of what is written, so
            that data sets and runs from before stay what they are.
    """

    title: Annotated[str, Field(min_length=1, max_length=80)] = Field(
        description="name in tables and figures"
    )
    height: Positive = Field(description="image rows, in pixels")
    width: Positive = Field(description="image columns, in pixels")
    channels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="names of the image channels, in stored order"
    )
    classes: Annotated[dict[str, Annotated[int, Field(ge=1, le=254)]], Field(min_length=1)] = Field(
        default={"target": 1},
        description="classes in the masks, by name, with their values 1, 2, 3...; a single class "
        "is every value but 0",
    )
    architecture: Literal["mnist48", "mnist128", "brats"] = Field(
        description="networks of tables 2 to 9; for images of at least 29, 33 or 61 pixels a side"
    )
    segmentation_norm: Literal["adaptive_instance_norm", "layer_norm"] = Field(
        description="how the shared residual decoder is adapted to segment (appendix A)"
    )

    needs_labels: ClassVar[dict[str, str]]
    has_own_labels: ClassVar[bool] = False
    is_augmented: ClassVar[bool]
    has_patients: ClassVar[bool]
    own_files: ClassVar[Literal["pictures", "scans"] | None] = None
    paper_figure: ClassVar[int]
    later: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _counts_classes(self) -> Self:
        if sorted(self.classes.values()) != list(range(1, len(self.classes) + 1)):
            raise ValueError(f"classes = {self.classes}: values are 1, 2, 3... without a gap")
        return self

    @model_serializer(mode="wrap")
    def _without_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = dump(self)
        for name in self.later:
            if content.get(name) == type(self).model_fields[name].default:
                del content[name]
        return content

    @property
    def image_size(self) -> tuple[int, ...]:
        """Rows and columns of an image; of volumes slices, rows and columns."""
        return self.height, self.width

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes by their values."""
        return tuple(sorted(self.classes, key=self.classes.__getitem__))

    @property
    def n_classes(self) -> int:
        """1 for a sigmoid output; more for a softmax with the background first.

        Also 1 of pathologies: a sigmoid for each, or for all together.
        """
        return 1 if len(self.classes) == 1 or self.pathologies else len(self.classes) + 1

    @property
    def pathologies(self) -> tuple[str, ...]:
        """Classes of which an image may show any number, known of each image; none: one target.

        Bit k of a mask is that of pathology k. What asks for a single target gets all of them.
        """
        return ()

    @property
    def image_name(self) -> str:
        """What an image is, in a sentence."""
        return "image"

    @property
    def why_too_small(self) -> str:
        """What to say of a size that the networks cannot take; empty where they can."""
        least = LEAST_SIDE[self.architecture]
        if min(self.image_size) >= least:
            return ""
        keys = ("depth", "height", "width")[-len(self.image_size) :]
        sizes = ", ".join(f"{key} = {getattr(self, key)}" for key in keys)
        return (
            f"{sizes}: too small for networks of architecture {self.architecture}, which need at "
            f"least {least} pixels a side; set each to {least} or more, "
            "whatever the size of the files"
        )

    def check(self, params: DataParams, *, batch_size: int, labelled: float) -> None:
        """Refuse parameters that the task's data could not be made or trained with.

        Args:
            params: of the data.
            batch_size: images of P, and as many of A.
            labelled: fraction of the training images.

        Raises:
            ValueError: names the keys, their values and what is allowed.
        """

    def as_trained(self, name: str) -> Self:
        """The task as a run configuration holds it, without what decides the data alone."""
        return self

    @abstractmethod
    def data_mb(self, params: DataParams) -> float | None:
        """Megabytes that the training fold takes, as stored; None where nobody can know yet."""

    def neighbours_in(self, params: DataParams) -> int:
        """Slices on either side of each image that the data have: r; of volumes alone."""
        return 0

    def place_of_neighbours(self, name: str) -> str | None:
        """The key that says how many; None where images are no slices."""
        return None

    def title_of(self, data: Mapping[str, Any]) -> str:
        """The title over what was made with a data set, by the parameters in its header."""
        return self.title

    def planned_title(self, params: DataParams) -> str:
        """The title over what will be made with these parameters."""
        return self.title

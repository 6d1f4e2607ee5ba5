"""Digits on clutter (section 4.1)."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from segtrans.block import Positive
from segtrans.tasks.base import Task
from segtrans.tasks.parameters import DataParams


class ClutteredMnist(Task):
    """A digit among crops of other digits (P), or crops alone (A); square."""

    kind: Literal["cluttered_mnist"] = Field(description="digits on clutter, section 4.1")
    clutter_pieces: Positive = Field(
        description="10 x 10 crops of other digits drawn on each image"
    )
    figures: bool = Field(
        default=False,
        description="a second target, figures of strokes: P images show a digit, a figure or both, "
        "known of each; classes are then two, the digit first",
    )

    needs_labels: ClassVar[dict[str, str]] = {"digits": "the classes to label"}
    is_augmented: ClassVar[bool] = False
    has_patients: ClassVar[bool] = False
    paper_figure: ClassVar[int] = 7
    later: ClassVar[tuple[str, ...]] = ("figures",)

    @model_validator(mode="after")
    def _names_both(self) -> Self:
        if self.figures and len(self.classes) != 2:
            raise ValueError(
                f"classes = {self.classes}: with figures there are two, {{digit: 1, figure: 2}}"
            )
        return self

    @property
    def pathologies(self) -> tuple[str, ...]:
        """As `Task.pathologies`: digit and figure."""
        return self.class_names if self.figures else ()

    def check(self, params: DataParams, *, batch_size: int, labelled: float) -> None:
        """As `Task.check`: enough images for a batch, a label, and every digit on an image."""
        digits, images = params.digits, params.cluttered_mnist
        if batch_size > images.n_train_images:
            raise ValueError(
                f"training.batch_size = {batch_size}: larger than the data, "
                f"cluttered_mnist.n_train_images = {images.n_train_images}"
            )
        if round(labelled * digits.n_train) < 1:
            raise ValueError(
                f"labels.fraction = {labelled}: gives no label among {digits.n_train} "
                f"training digits; at least {1 / digits.n_train:g} gives one"
            )
        for fold in ("train", "valid", "test"):
            n_digits = getattr(digits, f"n_{fold}")
            n_images = getattr(images, f"n_{fold}_images")
            if n_images < n_digits:
                raise ValueError(
                    f"cluttered_mnist.n_{fold}_images = {n_images}: at least one image for each "
                    f"of digits.n_{fold} = {n_digits}"
                )

    def data_mb(self, params: DataParams) -> float:
        """Images of P and of A, and masks: a byte a pixel each."""
        return 3 * params.cluttered_mnist.n_train_images * self.height * self.width / 1e6

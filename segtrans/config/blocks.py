"""The parameters of each stage, as typed blocks; `segtrans.config.params` puts them together."""

from typing import Annotated, Literal

from pydantic import Field

from segtrans.block import Block, Neighbours, Positive, Rate, Weight


class AugmentationParams(Block):
    """Random changes of each training image (appendix A), of half-slices and your own pictures."""

    warp_sd: Weight = Field(
        description="standard deviation of the 3 x 3 control points of the spline warp, in pixels"
    )
    rotation_deg: Annotated[float, Field(ge=0.0, le=180.0)] = Field(
        description="largest rotation to either side, in degrees"
    )
    zoom: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        description="largest zoom in or out, as a fraction"
    )
    intensity: Annotated[float, Field(ge=0.0, le=2.0)] = Field(
        description="largest shift of a sequence's brain intensities, in the networks' [-1, 1]"
    )
    flips: bool = Field(description="flip rows, and columns, each with probability one half")


class LabelsParams(Block):
    """Which training images come with a reference mask."""

    fraction: Rate = Field(
        description="share of the training digits, or of the P half-slices, that is labelled; on "
        "your own pictures and scans, all with a mask are"
    )
    digits: Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], Field(min_length=1)] | None = (
        Field(description="MNIST: digit classes to draw labels from; the paper: nines only")
    )
    unit: Literal["volume", "half_slice"] | None = Field(
        description="BraTS: label whole patients until the fraction is reached, or half-slices"
    )
    per_batch: Annotated[int, Field(ge=0)] = Field(
        description="labelled images in each batch of P; 0: left to chance (the paper)"
    )
    per_seed: bool = Field(
        description="each initial seed labels different images, so that the spread over seeds "
        "includes that of the labels; false: all seeds label the same images"
    )
    segment_absent: bool = Field(
        description="absence images are known to have an empty mask: train on these masks too, in "
        "addition to the labelled images of a batch; the paper: false"
    )


class NetworksParams(Block):
    """Scale of the networks of tables 2 to 9."""

    # 1/256 leaves two latent channels, one common and one unique.
    width: Annotated[float, Field(ge=1 / 256, le=4.0)] = Field(
        description="multiplies every channel count; 1 is the paper's 512 latent channels"
    )
    min_channels: Annotated[int, Field(ge=1, le=512)] = Field(
        default=1,
        description="least number of channels in a layer of encoder and decoders, as far as the "
        "paper's tables have as many: with a small width, too few are left to draw with at full "
        "resolution; discriminators and MLP follow the width alone; 1 changes nothing",
    )
    unique_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        description="share of the latent channels that hold the unique code; the paper: 128 / 512"
    )
    neighbours: Neighbours | None = Field(
        default=None,
        description="slices on either side of each slice that networks see with it; at most as "
        "many as the data set has; null: all of these",
    )


class ObjectiveParams(Block):
    """Weights of the objective's terms, by method."""

    objective: dict[str, dict[str, Weight]]


class TrainingParams(Block):
    """The optimiser (appendix A) and the length of a run."""

    iterations: Positive = Field(description="training length in iterations, for every method")
    batch_size: Positive = Field(description="images of P, and as many of A, in a batch")
    learning_rate: Rate = Field(description="AMSGrad, all networks except those named below")
    mlp_learning_rate: Rate = Field(
        description="AMSGrad, the MLP that makes the norms of a segmentation (equation 5)"
    )
    discriminator_learning_rate: Rate = Field(description="AMSGrad, discriminators")
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        description="decay per iteration of the exponential average of the weights, which is what "
        "is validated and kept; the paper: 0, the weights themselves"
    )
    decay_from: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=1.0,
        description="fraction of the iterations after which all learning rates fall linearly to 0; "
        "1: they stay constant (the paper)",
    )
    first_round: str | None = Field(
        default=None,
        description="of `self_training` alone: method that is trained in the first of its three "
        "rounds, with its own weights of the objective, and labels images for the second; null: "
        "the network that is trained in the other two",
    )
    weight_decay: Weight = Field(description="L2 penalty (from the authors' code, not the paper)")
    validate_every: Positive = Field(description="iterations between two validations")
    precision: Literal["fp32", "bf16"] = Field(
        description="fp32, or bf16 autocast with fp32 weights"
    )
    compile: bool = Field(
        description="use torch.compile on a GPU, instead of recording and replaying updates; "
        "ignored on the CPU"
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

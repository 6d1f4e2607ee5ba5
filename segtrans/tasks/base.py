"""The segmentation tasks of the paper's Table 1a: what an image is, and which networks it gets."""

from dataclasses import dataclass
from typing import Literal

VOID = 255  # label of a pixel that counts neither for nor against a segmentation


@dataclass(frozen=True, kw_only=True)
class Task:
    """One column of Table 1a.

    Attributes:
        title: the column's name in tables and figures.
        subjects: what its images are made of: decides what is labelled, and whether images are
            augmented and patients scored.
        height: image rows in pixels.
        width: image columns in pixels.
        channels: names of the image channels, in stored order.
        n_classes: 1 for a sigmoid output, more for a softmax with background first.
        clutter_pieces: 10 x 10 crops of other digits drawn on each image (section 4.1); 0: none.
        architecture: key of `segtrans.nets.tables.ARCHITECTURES` (tables 2 to 9).
        segmentation_norm: how the shared residual decoder is adapted to segment (appendix A).
    """

    title: str
    subjects: Literal["digits", "patients"]
    height: int
    width: int
    channels: tuple[str, ...]
    n_classes: int
    clutter_pieces: int
    architecture: str
    segmentation_norm: str


def task_title(task: str, *, phantoms: bool) -> str:
    """A task's name in tables and figures, which says so when its patients are made up.

    Args:
        task: key of `TASKS`.
        phantoms: whether the data set has made-up patients.
    """
    return f"{TASKS[task].title} on phantoms" if phantoms else TASKS[task].title


TASKS: dict[str, Task] = {
    "mnist48_simple": Task(
        title="MNIST 48×48 simple",
        subjects="digits",
        height=48,
        width=48,
        channels=("intensity",),
        n_classes=1,
        clutter_pieces=8,
        architecture="mnist48",
        segmentation_norm="adaptive_instance_norm",
    ),
    "mnist48_hard": Task(
        title="MNIST 48×48 hard",
        subjects="digits",
        height=48,
        width=48,
        channels=("intensity",),
        n_classes=1,
        clutter_pieces=24,
        architecture="mnist48",
        segmentation_norm="adaptive_instance_norm",
    ),
    "mnist128": Task(
        title="MNIST 128×128",
        subjects="digits",
        height=128,
        width=128,
        channels=("intensity",),
        n_classes=1,
        clutter_pieces=80,
        architecture="mnist128",
        segmentation_norm="adaptive_instance_norm",
    ),
    "brats": Task(
        title="BraTS",
        subjects="patients",
        height=240,
        width=120,
        channels=("t1", "t2", "t1c", "flair"),
        n_classes=1,
        clutter_pieces=0,
        architecture="brats",
        segmentation_norm="layer_norm",
    ),
}

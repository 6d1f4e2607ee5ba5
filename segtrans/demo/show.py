"""`segtrans demo`: what shipped weights make of held-out images, as scores and drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segtrans.config.runs import Run, read_run
from segtrans.demo.held_out import HeldOut, held_out_phantom, held_out_pictures, spread
from segtrans.figures.examples import Examples
from segtrans.figures.panels import examples_panel, half_slices_panel
from segtrans.figures.sequences import HalfSlices
from segtrans.figures.style import SEQUENCE_TITLES
from segtrans.methods.asked_again import inference
from segtrans.methods.inference import lesion_probability
from segtrans.methods.weights import load_method
from segtrans.score.metrics import ImageSums, image_sums, split_scores

# Run folders that come with the package: run.json says what they were trained with.
RUNS = Path(__file__).parent / "runs"
_THRESHOLD = 0.5
_BATCH_SIZE = 8
_N_SHOWN = 10


@dataclass(frozen=True)
class Shown:
    """What a shipped run made of held-out images.

    Attributes:
        run: folder of the run.
        picture: PNG that was written.
        what: the images, in words.
        scores: of `split_scores`.
    """

    run: Path
    picture: Path
    what: str
    scores: dict[str, float | int]


def run_demo(output: Path, *, runs: Path = RUNS) -> list[Shown]:
    """Write pictures.png and phantom.png: input, translation, residual, segmentation, mask.

    The same weights and the same seeds: the same scores each time, on processors of one kind.

    Args:
        output: folder to write to.
        runs: folder with the runs `pictures` and `brats`.

    Raises:
        UserError: shipped weights are damaged or not of this version, or nothing can be written.
    """
    output.mkdir(parents=True, exist_ok=True)
    pictures, phantom = output / "pictures.png", output / "phantom.png"
    return [
        _show(runs / "pictures", held_out_pictures, _draw_pictures, pictures, "pictures"),
        _show(runs / "brats", held_out_phantom, _draw_half_slices, phantom, "half-slices"),
    ]


def _show(
    folder: Path,
    make: Callable[[Run], HeldOut],
    draw: Callable[[Run, nn.Module, HeldOut, Path], None],
    picture: Path,
    what: str,
) -> Shown:
    run = read_run(folder)
    method = load_method(run, which="best")
    images = make(run)
    draw(run, method, images, picture)
    with inference(method):
        present, absent = _sums(method, images.x_P, images.y), _sums(method, images.x_A, None)
    return Shown(folder, picture, what, split_scores(present, absent))


def _sums(method: nn.Module, x: NDArray[np.float32], mask: NDArray[np.uint8] | None) -> ImageSums:
    blocks = (x[start : start + _BATCH_SIZE] for start in range(0, len(x), _BATCH_SIZE))
    probability = np.concatenate(
        [lesion_probability(method, torch.from_numpy(block)).numpy() for block in blocks]
    )
    return image_sums(probability, mask, threshold=_THRESHOLD)


def _title(run: Run, images: str) -> str:
    return f"{run.title}, {run.config.training.iterations} iterations, {images}"


def _draw_pictures(run: Run, method: nn.Module, images: HeldOut, picture: Path) -> None:
    shown = spread(len(images.x_P), _N_SHOWN)
    examples = Examples(
        images.x_P[shown],
        images.y[shown].astype(np.float32),
        images.x_A[shown],
        channels=run.config.definition.channels,
    )
    examples_panel(method, examples, picture, title=_title(run, "held-out pictures"))


def _draw_half_slices(run: Run, method: nn.Module, images: HeldOut, picture: Path) -> None:
    areas = images.y.sum(axis=(1, 2))
    # That with the largest lesion, and a middling one.
    of_P = np.argsort(areas, kind="stable")[[-1, len(areas) // 2]]
    of_A = spread(len(images.x_A), 4)[1:3]
    channels = run.config.definition.channels
    names = tuple(SEQUENCE_TITLES[name] for name in channels) * 2
    present = HalfSlices(images.x_P[of_P], images.y[of_P].astype(np.float32), names)
    nothing = np.zeros((2, *images.y.shape[1:]), np.float32)
    absent = HalfSlices(images.x_A[of_A], nothing, names)
    title = _title(run, "one held-out synthetic phantom, no patient")
    half_slices_panel(method, present, absent, picture, title=title)

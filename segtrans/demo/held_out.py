"""Images that the shipped weights were not trained on, made anew each time. Nothing is fetched."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtrans.config.refusals import validate
from segtrans.config.runs import Run
from segtrans.config.versions import PHANTOM_VERSION
from segtrans.predict.prepared import task_of_pictures
from segtrans.sources.brats.half_slices import make_half_slices
from segtrans.sources.image_folder.examples import draw_test_pictures
from segtrans.sources.image_folder.fitting import Fitting
from segtrans.sources.intensity import Z_SCORE_SCALE
from segtrans.sources.phantom.anatomy import load_template
from segtrans.sources.phantom.grades import grade_of
from segtrans.sources.phantom.patients import make_patient
from segtrans.tasks.parameters import HalfSliceRules

N_HALF_SLICES = 16  # of each domain, spread over those there are: all would take twice as long
PHANTOM = 24  # by its number: the first after the 24 that config/demo.yaml trains with


@dataclass(frozen=True)
class HeldOut:
    """Images of both domains, unrelated to each other.

    Attributes:
        x_P: (n, C, H, W) float32 in [-1, 1], presence.
        y: (n, H, W) uint8 in {0, 1}, their masks.
        x_A: (m, C, H, W) float32 in [-1, 1], absence.
    """

    x_P: NDArray[np.float32]
    y: NDArray[np.uint8]
    x_A: NDArray[np.float32]


def held_out_pictures(run: Run) -> HeldOut:
    """The test pictures of `segtrans example`, of places that no training picture shows.

    Args:
        run: on that example, by which pictures are fitted to networks.
    """
    task = task_of_pictures(run)
    fitting = Fitting((task.height, task.width), task)
    pictures = draw_test_pictures("grey")
    of_defect = [(p.pixels[..., None], p.defect) for p in pictures if p.defect is not None]
    absent = [p.pixels[..., None] for p in pictures if p.defect is None]
    return HeldOut(
        x_P=np.stack([fitting.image(pixels) for pixels, _ in of_defect]),
        y=np.stack([defect for _, defect in of_defect]).astype(np.uint8),
        x_A=np.stack([fitting.image(pixels) for pixels in absent]),
    )


def held_out_phantom(run: Run) -> HeldOut:
    """Half-slices of P and A of one synthetic phantom, `N_HALF_SLICES` of each.

    Args:
        run: on phantoms, by whose rules half-slices are made.
    """
    known = run.record.data.parameters
    rules = validate(
        HalfSliceRules,
        {name: known[name] for name in HalfSliceRules.model_fields if name in known},
        origin=f"{run.folder / 'run.json'}, data.parameters",
    )
    rng = np.random.default_rng((run.config.data_seed, PHANTOM_VERSION, PHANTOM))
    volumes = make_patient(rng, grade_of(PHANTOM), load_template())
    # Files are named as BraTS 2017 names them, channels as the task does.
    sequences = {
        channel: volumes["t1ce" if channel == "t1c" else channel]
        for channel in run.config.definition.channels
    }
    mask = (volumes["seg"] != 0).astype(np.uint8)  # the whole tumour
    made, _ = make_half_slices(sequences, mask, rules, case_id=f"phantom_{PHANTOM:04d}")
    chosen = [spread(len(of.image), N_HALF_SLICES) for of in (made.present, made.absent)]
    x_P, x_A = (
        (of.image[at].astype(np.float32) * np.float32(Z_SCORE_SCALE)).clip(-1, 1)
        for of, at in zip((made.present, made.absent), chosen, strict=True)
    )
    return HeldOut(x_P, made.present.mask[chosen[0]], x_A)


def spread(n: int, n_chosen: int) -> NDArray[np.int64]:
    """That many of n places, from the first to the last: chosen by no result."""
    return np.linspace(0, n - 1, n_chosen).round().astype(np.int64)

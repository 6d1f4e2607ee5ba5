"""The test images on which a task's methods fail worst, and what each method makes of them."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from segtrans.config.runs import Run
from segtrans.data.images import read_images
from segtrans.data.stacks import Stacks
from segtrans.data.store import DOMAINS, Store
from segtrans.data.values import is_target
from segtrans.figures.examples import FOLD, Examples
from segtrans.figures.image_rows import Block, Row, rows_figure
from segtrans.figures.sequences import HalfSlices, brain_window
from segtrans.figures.style import SEQUENCE_TITLES
from segtrans.methods.inference import lesion_probability
from segtrans.methods.weights import load_method
from segtrans.score.per_image import read_per_image

_N_IMAGES = 8
_LABEL_LETTERS = 15  # of a line beside the images
_SHOWN_SEQUENCE = "flair"  # where lesions are brightest
# What is told of an image, where its data have it, and under which title.
_KNOWN = {"digit": "digit", "case_id": "", "side": "", "slice_index": "slice", "name": ""}

Images = NDArray[np.float32]
_Drawers = tuple[Callable[[str, Images], Row], Callable[[str, Images], Row]]


@dataclass(frozen=True)
class Failures:
    """Test images, worst first; as many of each domain, and of a patient one alone.

    Attributes:
        present: (n,) int64, indices of P images with the lowest soft Dice.
        dice: (n,) float64, of these, mean over all runs.
        absent: (n,) int64, indices of A images with the most segmented pixels.
        pixels: (n,) float64, of these, mean over all runs.
    """

    present: NDArray[np.int64]
    dice: NDArray[np.float64]
    absent: NDArray[np.int64]
    pixels: NDArray[np.float64]


def find_failures(runs: Sequence[Run], store: Store) -> Failures:
    """Choose the worst test images of a task by the means of `per_image.csv` over all runs.

    Of a patient the worst image alone: its neighbours fail alike and would hide other patients.

    Args:
        runs: of one task, evaluated.
        store: the data that they were trained on.

    Raises:
        UserError: a `per_image.csv` is missing or damaged, or not of these data.
    """
    images = pd.concat([read_per_image(run, store, fold=FOLD) for run in runs])
    cases = {domain: _cases(runs[0], store, domain) for domain in DOMAINS}
    dice = _worst(images, cases, "present", "dice_soft", ascending=True)
    pixels = _worst(images, cases, "absent", "predicted_pixels", ascending=False)
    n = min(_N_IMAGES, len(dice), len(pixels))
    return Failures(
        present=dice.index[:n].to_numpy(np.int64),
        dice=np.asarray(dice.iloc[:n], dtype=np.float64),
        absent=pixels.index[:n].to_numpy(np.int64),
        pixels=np.asarray(pixels.iloc[:n], dtype=np.float64),
    )


def failures_figure(runs: Sequence[Run], store: Store, failures: Failures, output: Path) -> None:
    """Draw the worst images with what the first seed of each method makes of them, as a PNG.

    Args:
        runs: of one task, trained on this data, in order.
        store: the data.
        failures: of these runs.
        output: file to write.

    Raises:
        UserError: weights are missing or damaged, or the data are.
    """
    x_P = read_images(store, FOLD, "present", failures.present)
    x_A = read_images(store, FOLD, "absent", failures.absent)
    y = is_target(store.masks(FOLD, failures.present)).astype(np.float32)
    draw = _half_slice_drawers if runs[0].config.definition.has_patients else _image_drawers
    image_row, map_row = draw(store, x_P, x_A, y)
    first_runs = list({run.method_name: run for run in reversed(runs)}.values())[::-1]
    maps = {run.title: _segment(run, store, failures) for run in first_runs}
    rows_figure(
        [
            Block(
                "Presence: lowest soft Dice",
                [
                    image_row("presence", x_P),
                    map_row("mask", y),
                    *(map_row(title, of_P) for title, (of_P, _) in maps.items()),
                ],
                columns=[f"{dice:.2f}" for dice in failures.dice],
            ),
            Block(
                "Absence: most segmented pixels",
                [
                    image_row("absence", x_A),
                    *(map_row(title, of_A) for title, (_, of_A) in maps.items()),
                ],
                columns=[f"{pixels:,.0f}" for pixels in failures.pixels],
            ),
        ],
        output,
    )


def image_names(store: Store, domain: str, indices: NDArray[np.int64]) -> list[str]:
    """Each image by its index in the test fold and what is known of it: "7 (digit 3)"."""
    known = store.provenance(FOLD, domain)
    shown = {name: title for name, title in _KNOWN.items() if name in known}
    names = []
    for index in indices.tolist():
        parts = [f"{title} {known[name][index]}".strip() for name, title in shown.items()]
        names.append(f"{index} ({', '.join(parts)})" if parts else str(index))
    return names


def _cases(run: Run, store: Store, domain: str) -> NDArray[Any]:
    """The patient of each image, (n,); without patients each image stands for itself."""
    if run.config.definition.has_patients:
        return store.provenance(FOLD, domain)["case_id"]
    return np.arange(store.n(FOLD, domain))


def _worst(
    images: pd.DataFrame,
    cases: dict[str, NDArray[Any]],
    domain: str,
    column: str,
    *,
    ascending: bool,
) -> "pd.Series[float]":
    """Means over all runs of each case's worst image of a domain, by its index, worst first."""
    of_image = images[images["domain"] == domain].groupby("index")
    table = pd.DataFrame({"mean": of_image[column].mean(), "case": cases[domain]})
    table = table.sort_values("mean", ascending=ascending, kind="stable")
    return table.drop_duplicates("case")["mean"]


def _segment(run: Run, store: Store, failures: Failures) -> tuple[Images, Images]:
    """Probabilities (n, H, W) in the images of P and of A."""
    method = load_method(run, which="best")
    chosen = {"present": failures.present, "absent": failures.absent}
    stacks = [
        Stacks(store, FOLD, domain, run.config.neighbours).read(indices)
        for domain, indices in chosen.items()
    ]
    of_P, of_A = (lesion_probability(method, torch.from_numpy(x)).numpy() for x in stacks)
    return of_P, of_A


def _image_drawers(store: Store, x_P: Images, x_A: Images, y: Images) -> _Drawers:
    """How to draw images (n, C, H, W), in colour or their first channel, and maps (n, H, W)."""
    examples = Examples(x_P, y, x_A, store.header.channels)
    return (
        lambda label, x: examples.rows(_wrapped(label), x)[0],
        lambda label, maps: examples.map_row(_wrapped(label), maps),
    )


def _half_slice_drawers(store: Store, x_P: Images, x_A: Images, y: Images) -> _Drawers:
    """As `_image_drawers`, of the sequence that shows lesions best."""
    channels = store.header.channels
    window = brain_window(np.concatenate([x_P, x_A]))
    shown = channels.index(_SHOWN_SEQUENCE) if _SHOWN_SEQUENCE in channels else 0
    title = SEQUENCE_TITLES.get(channels[shown], channels[shown])

    def of(x: Images) -> HalfSlices:
        return HalfSlices(x[:, [shown]], y, (title,))

    return (
        lambda label, x: of(x).row(_wrapped(f"{label}, {title}"), x[:, [shown]], window),
        lambda label, maps: of(x_P).maps(_wrapped(label), maps, window),
    )


def _wrapped(label: str) -> str:
    return "\n".join(textwrap.wrap(label, _LABEL_LETTERS, break_long_words=False))

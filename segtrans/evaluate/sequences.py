"""Figures of tasks with patients, as the paper's figure 8: a column for each sequence."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtrans.data.batches import read_images
from segtrans.data.store import Store
from segtrans.evaluate.image_rows import Block, Row, rows_figure
from segtrans.evaluate.segmentation import (
    Reconstructs,
    Translates,
    device_of,
    lesion_probability,
)
from segtrans.evaluate.style import SEQUENCE_TITLES

_FOLD = "test"
_N_EXAMPLES = 2
_MARGIN = 3  # pixels around the brain
# Black and white of each sequence, of its brain: a few bright vessels must not darken the rest.
_PERCENTILES = (0.5, 99.5)
# Which codes are sampled for the drawn A to P translations; no result depends on it.
_PRIOR_SEED = 0


@dataclass(frozen=True)
class _Examples:
    """Half-slices to draw, side by side.

    Attributes:
        x: (n, C, H, W) float32 in [-1, 1].
        y: (n, H, W) float32 in {0, 1}.
        names: of the columns.
    """

    x: Tensor
    y: NDArray[np.float32]
    names: tuple[str, ...]

    def row(self, label: str, images: Tensor, window: tuple[slice, slice]) -> Row:
        """Images like x in the inputs' black and white; the background is black."""
        x = _array(self.x)
        brain = (x != 0).any(axis=1, keepdims=True)
        shown = _array(images)
        columns = np.zeros_like(shown)
        for channel in range(x.shape[1]):
            values = x[:, channel][brain[:, 0]]
            low, high = np.percentile(values, _PERCENTILES)
            columns[:, channel] = np.clip((shown[:, channel] - low) / (high - low), 0, 1)
        return Row(label, _side_by_side(columns * brain, window))

    def maps(self, label: str, maps: NDArray[np.float32], window: tuple[slice, slice]) -> Row:
        """Maps (n, H, W) below every sequence."""
        repeated = np.repeat(maps[:, None], self.x.shape[1], axis=1)
        return Row(label, _side_by_side(repeated, window))


def sequence_panel(method: nn.Module, store: Store, output: Path, *, title: str) -> None:
    """Draw what a method makes of test half-slices of two patients (figure 8).

    A translation is drawn with residual, segmentation and mask, then from A to P with codes sampled
    from the prior. Other methods show the input, its reconstruction if there is one, segmentation
    and mask.

    Args:
        method: in evaluation mode.
        store: of a task with patients; the data that the method was trained on.
        output: file to write.
        title: names method and task.
    """
    present, absent = _examples(store, "present"), _examples(store, "absent")
    window = _window(torch.cat([present.x, absent.x]))
    x_P, x_A = present.x.to(device_of(method)), absent.x.to(device_of(method))
    rows, blocks = [present.row("presence, $x_P$", present.x, window)], []
    with torch.no_grad():
        if isinstance(method, Translates):
            title = f"{title}: presence to absence"
            x_PA, delta_PA = method.remove(x_P)
            u_prior = method.sample_u(x_A, torch.Generator(x_A.device).manual_seed(_PRIOR_SEED))
            x_AP, delta_AP = method.insert(x_A, u_prior)
            largest = max(float(delta.abs().max()) for delta in (delta_PA, delta_AP)) or 1.0
            rows += [
                present.row("translation, $x_{PA}$", x_PA, window),
                _residual_row(r"residual, $\Delta_{PA}$", delta_PA, largest, window),
            ]
            inserted = [
                absent.row("absence, $x_A$", absent.x, window),
                absent.row("translation, $x_{AP}$", x_AP, window),
                _residual_row(r"residual, $\Delta_{AP}$", delta_AP, largest, window),
            ]
            heading = "Absence to presence, unique code sampled"
            blocks = [Block(heading, inserted, columns=absent.names)]
        elif isinstance(method, Reconstructs):
            rows.append(present.row("reconstruction", method.reconstruct(x_P), window))
        y_seg = _array(lesion_probability(method, x_P))
    rows.append(present.maps(r"segmentation, $\hat{y}$", y_seg, window))
    rows.append(present.maps("mask, $y$", present.y, window))
    rows_figure([Block(title, rows, columns=present.names), *blocks], output)


def sequence_samples(store: Store, output: Path, *, title: str) -> None:
    """Draw test half-slices: of P with their masks, and unrelated ones of A.

    Args:
        store: of a task with patients.
        output: file to write.
        title: names the task.
    """
    present, absent = _examples(store, "present"), _examples(store, "absent")
    window = _window(torch.cat([present.x, absent.x]))
    rows = [
        present.row("presence, $x_P$", present.x, window),
        present.maps("mask, $y$", present.y, window),
        absent.row("absence, $x_A$", absent.x, window),
    ]
    rows_figure([Block(f"{title}: test half-slices", rows, columns=present.names)], output)


def _examples(store: Store, domain: str) -> _Examples:
    """Of P the largest lesion of each of two patients; of A the middle half-slice of each."""
    case_id = store.provenance(_FOLD, domain)["case_id"]
    masks = store.masks(_FOLD) if domain == "present" else None
    chosen: list[int] = []
    for name in np.unique(case_id).tolist():
        places = np.flatnonzero(case_id == name)
        middle = len(places) // 2
        if masks is not None:
            middle = int(np.argmax(np.count_nonzero(masks[places], axis=(1, 2))))
        chosen.append(int(places[middle]))
    # Of a single patient the last half-slice beside it.
    chosen = [*chosen, len(case_id) - 1][:_N_EXAMPLES]
    indices = np.array(chosen, dtype=np.int64)
    x = read_images(store, _FOLD, domain, indices)
    y = np.zeros((len(x), *x.shape[2:]), np.float32)
    if masks is not None:
        y = (masks[indices] > 0).astype(np.float32)
    names = tuple(SEQUENCE_TITLES.get(name, name) for name in store.header.channels)
    return _Examples(x, y, names * len(x))


def _residual_row(label: str, delta: Tensor, largest: float, window: tuple[slice, slice]) -> Row:
    """Residuals (n, C, H, W) in colours from -largest to largest."""
    images = _side_by_side(_array(delta), window)
    return Row(label, images, limits=(-largest, largest), is_residual=True)


def _window(x: Tensor) -> tuple[slice, slice]:
    """Lines and columns around the brains of images (n, C, H, W)."""
    shown = (_array(x) != 0).any(axis=(0, 1))
    lines, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    first, second = (
        slice(max(0, int(at[0]) - _MARGIN), int(at[-1]) + 1 + _MARGIN) for at in (lines, columns)
    )
    return first, second


def _side_by_side(images: NDArray[np.float32], window: tuple[slice, slice]) -> NDArray[np.float32]:
    """(n, C, H, W) to the n x C columns of a row."""
    seen = images[:, :, window[0], window[1]]
    return seen.reshape(-1, *seen.shape[2:])


def _array(x: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = x.float().cpu().numpy()
    return array

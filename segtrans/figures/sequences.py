"""Half-slices to draw, as the paper's figure 8: a column for each sequence. Imports no torch."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.data.images import read_images
from segtrans.data.pathologies import bit, masks_of_each
from segtrans.data.stacks import Stacks
from segtrans.data.store import Store
from segtrans.data.values import is_target
from segtrans.figures.examples import FOLD
from segtrans.figures.image_rows import Block, Row, rows_figure
from segtrans.figures.style import SEQUENCE_TITLES

_N_EXAMPLES = 2
_MARGIN = 3  # pixels around the brain
# Black and white of each sequence, of its brain: a few bright vessels must not darken the rest.
_PERCENTILES = (0.5, 99.5)

Images = NDArray[np.float32]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class HalfSlices:
    """Half-slices to draw, side by side.

    Attributes:
        x: (n, C, H, W) float32 in [-1, 1].
        y: (n, H, W) float32 in {0, 1}.
        names: of the columns.
        stack: (n, (2r + 1) C, H, W), x with its neighbours; None without any.
        of_each: of several pathologies each one's masks by name, (n, H, W) float32 in {0, 1}.
    """

    x: Images
    y: Images
    names: tuple[str, ...]
    stack: Images | None = None
    of_each: dict[str, Images] = field(default_factory=dict)

    @property
    def seen(self) -> Images:
        """What a method sees."""
        return self.x if self.stack is None else self.stack

    def row(self, label: str, images: Images, window: Window) -> Row:
        """Images like x in the inputs' black and white; the background is black."""
        brain = (self.x != 0).any(axis=1, keepdims=True)
        columns = np.zeros_like(images)
        for channel in range(self.x.shape[1]):
            values = self.x[:, channel][brain[:, 0]]
            low, high = np.percentile(values, _PERCENTILES)
            # A sequence may have one value in all that is drawn: cut off, or empty there.
            span = high - low or 1.0
            columns[:, channel] = np.clip((images[:, channel] - low) / span, 0, 1)
        return Row(label, _side_by_side(columns * brain, window))

    def maps(self, label: str, maps: Images, window: Window) -> Row:
        """Maps (n, H, W) below every sequence."""
        repeated = np.repeat(maps[:, None], self.x.shape[1], axis=1)
        return Row(label, _side_by_side(repeated, window))


def sequence_samples(store: Store, output: Path, *, title: str, image_name: str) -> None:
    """Draw test slices, or halves of them: of P with their masks, and unrelated ones of A.

    Args:
        store: of a task with patients.
        output: file to write.
        title: names the task.
        image_name: what its images are.
    """
    present, absent = (choose_half_slices(store, domain) for domain in ("present", "absent"))
    window = brain_window(np.concatenate([present.x, absent.x]))
    rows = [
        present.row("presence, $x_P$", present.x, window),
        present.maps("mask, $y$", present.y, window),
        absent.row("absence, $x_A$", absent.x, window),
    ]
    rows_figure([Block(f"{title}: test {image_name}s", rows, columns=present.names)], output)


def choose_half_slices(store: Store, domain: str, *, neighbours: int = 0) -> HalfSlices:
    """Of P the largest lesion of each of two patients; of A the middle half-slice of each.

    Of several pathologies the half-slice where the smallest of them is largest: it shows all.
    """
    case_id = store.provenance(FOLD, domain)["case_id"]
    masks = store.masks(FOLD) if domain == "present" else None
    chosen: list[int] = []
    for name in np.unique(case_id).tolist():
        places = np.flatnonzero(case_id == name)
        middle = len(places) // 2
        if masks is not None:
            middle = _largest(masks[places], len(store.header.pathologies))
        chosen.append(int(places[middle]))
    # Of a single patient the last half-slice beside it.
    chosen = [*chosen, len(case_id) - 1][:_N_EXAMPLES]
    indices = np.array(chosen, dtype=np.int64)
    x = read_images(store, FOLD, domain, indices)
    y, of_each = np.zeros((len(x), *x.shape[2:]), np.float32), {}
    if masks is not None:
        y = is_target(masks[indices]).astype(np.float32)
        of_each = masks_of_each(masks[indices], store.header.pathologies)
    names = tuple(SEQUENCE_TITLES.get(name, name) for name in store.header.channels)
    stack = Stacks(store, FOLD, domain, neighbours).read(indices) if neighbours else None
    return HalfSlices(x, y, names * len(x), stack, of_each)


def _largest(masks: NDArray[np.uint8], n_pathologies: int) -> int:
    """Which mask (n, H, W) has most target; of pathologies, most of the one it has least of."""
    total = np.count_nonzero(masks, axis=(1, 2))
    maps = [bit(masks, k) == 1 for k in range(n_pathologies)]
    least = np.min([np.count_nonzero(of, axis=(1, 2)) for of in maps] or [total], axis=0)
    return max(range(len(masks)), key=lambda i: (least[i], total[i]))


def residual_row(label: str, delta: Images, largest: float, window: Window) -> Row:
    """Residuals (n, C, H, W) in colours from -largest to largest."""
    images = _side_by_side(delta, window)
    return Row(label, images, limits=(-largest, largest), is_residual=True)


def brain_window(x: Images) -> Window:
    """Lines and columns around the brains of images (n, C, H, W)."""
    shown = (x != 0).any(axis=(0, 1))
    lines, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    first, second = (
        slice(max(0, int(at[0]) - _MARGIN), int(at[-1]) + 1 + _MARGIN) for at in (lines, columns)
    )
    return first, second


def _side_by_side(images: Images, window: Window) -> Images:
    """(n, C, H, W) to the n x C columns of a row."""
    seen = images[:, :, window[0], window[1]]
    return seen.reshape(-1, *seen.shape[2:])

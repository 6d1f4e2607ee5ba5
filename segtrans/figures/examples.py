"""A few test images of each domain, the same for every run on the same data. Imports no torch."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segtrans.data.images import read_images
from segtrans.data.pathologies import masks_of_each
from segtrans.data.store import Store
from segtrans.data.values import is_target
from segtrans.figures.image_rows import Row

FOLD = "test"
COLOURS = ("red", "green", "blue")
_N_WITHOUT_CLASSES = 10
_LEAST_RANGE = 1e-6


@dataclass(frozen=True)
class Examples:
    """Images to draw.

    Attributes:
        x_P: (n, C, H, W) float32, presence; or volumes (n, C, D, H, W), of which one slice is
            drawn: that with the most target, over all n.
        y: (n, H, W) or (n, D, H, W) float32 in {0, 1}, their masks.
        x_A: like x_P, absence; unrelated to x_P.
        channels: C names.
        of_each: of several pathologies each one's masks by name, (n, H, W) float32 in {0, 1}.
    """

    x_P: NDArray[np.float32]
    y: NDArray[np.float32]
    x_A: NDArray[np.float32]
    channels: tuple[str, ...]
    of_each: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def limits(self) -> tuple[float, float]:
        """Black and white: the darkest and the brightest value of the inputs."""
        both = (self.x_P, self.x_A)
        return float(min(x.min() for x in both)), float(max(x.max() for x in both))

    def rows(self, label: str, x: NDArray[np.float32]) -> list[Row]:
        """Images like x_P in the inputs' black and white: a row per channel, or in colour."""
        x = self._drawn(x)
        if self.channels == COLOURS:
            low, high = self.limits
            shares = (np.moveaxis(x, 1, -1) - low) / max(high - low, _LEAST_RANGE)
            return [Row(label, shares.clip(0, 1))]
        return [
            Row(name, x[:, i], limits=self.limits) for i, name in enumerate(self._labels(label))
        ]

    def residual_rows(self, label: str, delta: NDArray[np.float32], largest: float) -> list[Row]:
        """A row per channel of residuals like x_P, in colours from -largest to largest."""
        delta = self._drawn(delta)
        return [
            Row(name, delta[:, i], limits=(-largest, largest), is_residual=True)
            for i, name in enumerate(self._labels(label))
        ]

    def map_row(self, label: str, maps: NDArray[np.float32]) -> Row:
        """A row of maps like y."""
        return Row(label, self._drawn(maps))

    def _drawn(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images or maps; of volumes a slice."""
        if self.y.ndim == 3:
            return x
        place = int(self.y.sum(axis=(0, 2, 3)).argmax())
        slices: NDArray[np.float32] = np.take(x, place, axis=-3)
        return slices

    def _labels(self, label: str) -> list[str]:
        if len(self.channels) == 1:
            return [label]
        return [f"{label}\n{channel}" for channel in self.channels]


def choose_examples(store: Store) -> Examples:
    """The first test image of each digit, so that classes without labels are seen too.

    Data without classes give ten from end to end of the fold: neighbours may be of one group, and
    look alike. So do those of several pathologies, which a digit need not be seen on.
    """
    names = store.header.pathologies
    digit = store.provenance(FOLD, "present").get("digit")
    if digit is None or names:
        n = min(_N_WITHOUT_CLASSES, store.n(FOLD, "present"), store.n(FOLD, "absent"))
        present, absent = (_spread(store.n(FOLD, domain), n) for domain in ("present", "absent"))
    else:
        present = np.unique(digit, return_index=True)[1]
        absent = np.arange(min(len(present), store.n(FOLD, "absent")), dtype=np.int64)
        present = present[: len(absent)].astype(np.int64)
    masks = store.masks(FOLD, present)
    return Examples(
        x_P=read_images(store, FOLD, "present", present),
        y=is_target(masks).astype(np.float32),
        x_A=read_images(store, FOLD, "absent", absent),
        channels=store.header.channels,
        of_each=masks_of_each(masks, names),
    )


def _spread(n: int, n_chosen: int) -> NDArray[np.int64]:
    """That many of n places, from the first to the last."""
    return np.linspace(0, n - 1, n_chosen).round().astype(np.int64)

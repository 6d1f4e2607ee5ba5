"""A few test images of each domain, the same for every run on the same data."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtrans.data.batches import read_images
from segtrans.data.store import Store
from segtrans.evaluate.image_rows import Row

_N_WITHOUT_CLASSES = 10
_FOLD = "test"


@dataclass(frozen=True)
class Examples:
    """Images to draw.

    Attributes:
        x_P: (n, C, H, W) float32, presence.
        y: (n, H, W) float32 in {0, 1}, their masks.
        x_A: (n, C, H, W) float32, absence; unrelated to x_P.
        channels: C names.
    """

    x_P: Tensor
    y: NDArray[np.float32]
    x_A: Tensor
    channels: tuple[str, ...]

    @property
    def limits(self) -> tuple[float, float]:
        """Black and white: the darkest and the brightest value of the inputs."""
        both = torch.cat([self.x_P.flatten(), self.x_A.flatten()])
        return float(both.min()), float(both.max())

    def rows(self, label: str, x: Tensor) -> list[Row]:
        """A row per channel of images (n, C, H, W), in the inputs' black and white."""
        return [
            Row(name, array_of(x[:, i]), limits=self.limits)
            for i, name in enumerate(self._labels(label))
        ]

    def residual_rows(self, label: str, delta: Tensor, largest: float) -> list[Row]:
        """A row per channel of residuals (n, C, H, W), in colours from -largest to largest."""
        return [
            Row(name, array_of(delta[:, i]), limits=(-largest, largest), is_residual=True)
            for i, name in enumerate(self._labels(label))
        ]

    def _labels(self, label: str) -> list[str]:
        if len(self.channels) == 1:
            return [label]
        return [f"{label}, {channel}" for channel in self.channels]


def choose_examples(store: Store) -> Examples:
    """The first test image of each digit, so that classes without labels are seen too.

    Data without classes give their first ten.
    """
    digit = store.provenance(_FOLD, "present").get("digit")
    if digit is None:
        present = np.arange(min(_N_WITHOUT_CLASSES, store.n(_FOLD, "present")))
    else:
        present = np.unique(digit, return_index=True)[1]
    absent = np.arange(min(len(present), store.n(_FOLD, "absent")), dtype=np.int64)
    present = present[: len(absent)].astype(np.int64)
    return Examples(
        x_P=read_images(store, _FOLD, "present", present),
        y=(store.masks(_FOLD, present) > 0).astype(np.float32),
        x_A=read_images(store, _FOLD, "absent", absent),
        channels=store.header.channels,
    )


def array_of(x: Tensor) -> NDArray[np.float32]:
    """A tensor of any device as a float32 array."""
    array: NDArray[np.float32] = x.float().cpu().numpy()
    return array

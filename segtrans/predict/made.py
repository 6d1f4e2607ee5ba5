"""What a run makes of a scan: maps of each pathology, and the scan without them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Volumes = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Made:
    """Volumes of one shape; by pathology, or of the only target, which is called "".

    Attributes:
        probabilities: float32 in [0, 1], by pathology.
        translation: by channel, float32, the scan without any target, in its own units; empty
            where it is not made.
        residuals: by pathology and channel, likewise: what was taken out.
    """

    probabilities: Mapping[str, NDArray[np.float32]]
    translation: Volumes
    residuals: Mapping[str, Volumes]

    @property
    def probability(self) -> NDArray[np.float32]:
        """Of any target: that of the most probable pathology."""
        return largest_of(self.probabilities)

    @property
    def residual(self) -> Volumes:
        """By channel: all that was taken out."""
        return self._sums(self.residuals)

    def without(self, pathology: str) -> Volumes:
        """By channel: the scan without one pathology, with all others."""
        left = {name: of for name, of in self.residuals.items() if name != pathology}
        return {
            channel: self.translation[channel] + residual
            for channel, residual in self._sums(left).items()
        }

    def map(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "Made":
        """The same of other voxels: each volume changed."""

        def changed(volumes: Mapping[str, NDArray[Any]]) -> Volumes:
            return {name: change(volume) for name, volume in volumes.items()}

        residuals = {name: changed(of) for name, of in self.residuals.items()}
        return Made(changed(self.probabilities), changed(self.translation), residuals)

    def _sums(self, residuals: Mapping[str, Volumes]) -> Volumes:
        return {
            channel: sum((of[channel] for of in residuals.values()), np.zeros_like(volume))
            for channel, volume in self.translation.items()
        }


def largest_of(volumes: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The largest value of any at each voxel."""
    first, *others = volumes.values()
    for other in others:
        first = np.maximum(first, other)
    return first

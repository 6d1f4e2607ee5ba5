"""Which voxels of a scan are not background, and from its values to what networks see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.intensity import Z_SCORE_SCALE
from segtrans.tasks.scan_folder import ScanFolder, ScanIntensity

_CORNER = 16  # part of each axis that makes a corner
_MOST = 0.5  # of the corners' voxels
_LEAST_SD = 1e-30  # one over it is a number in float32


@dataclass(frozen=True)
class Levels:
    """From a channel's values to stored ones: z-scores, or intensities of [-1, 1].

    Attributes:
        zero: value that becomes 0.
        one: what lies that far above it becomes 1.
        limit: stored values are clipped to it, either way; None: they are not.
        outside: stored value of the background.
    """

    zero: float
    one: float
    limit: float | None
    outside: float

    def apply(self, volume: NDArray[Any], content: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Stored values of a volume of any shape."""
        stored = volume.astype(np.float32)
        stored -= np.float32(self.zero)
        stored *= np.float32(1 / self.one)
        if self.limit is not None:
            np.clip(stored, -self.limit, self.limit, out=stored)
        if self.outside:
            stored[~content] = self.outside
        else:
            stored *= content
        return stored

    def undo(self, stored: NDArray[np.float32], *, is_difference: bool) -> NDArray[np.float32]:
        """Values of the scan, or differences of such."""
        values: NDArray[np.float32] = stored * np.float32(self.one)
        return values if is_difference else values + np.float32(self.zero)


def stored_scale(intensity: ScanIntensity) -> float:
    """Intensity of a stored value of 1; networks see [-1, 1], and clip what lies beyond."""
    return Z_SCORE_SCALE if intensity.mode == "zscore" else 1.0


def content_of(
    volumes: Mapping[str, NDArray[Any]], task: ScanFolder
) -> tuple[NDArray[np.bool_], list[str]]:
    """Voxels that are not background in some channel, and what was guessed, a sentence each.

    By `task.background`, or by the value that most voxels in the corners of the volume have, which
    an extracted organ and the padding of a scanner leave there; else by the smallest value.

    Args:
        volumes: (X, Y, Z) by channel.
        task: says what background is.
    """
    content = np.zeros(next(iter(volumes.values())).shape, np.bool_)
    unclear = []
    for name, volume in volumes.items():
        if task.background is not None:
            content |= volume > task.background
            continue
        value = _value_of_corners(volume)
        if value is None:
            value = volume.min()
            unclear.append(name)
        content |= volume != value
    if not unclear:
        return content, []
    share = np.count_nonzero(content) / content.size
    return content, [
        f"{', '.join(unclear)}: no value is most of the volume's corners, so all but the smallest "
        f"is taken for the patient, {share:.0%} of the voxels; say background if that is too much"
    ]


def levels_of(
    volumes: Mapping[str, NDArray[Any]],
    content: NDArray[np.bool_],
    intensity: ScanIntensity,
    *,
    case_id: str,
) -> dict[str, Levels]:
    """What becomes 0 and 1 in each channel.

    Args:
        volumes: (X, Y, Z) by channel.
        content: (X, Y, Z), the voxels that count.
        intensity: of the task.
        case_id: names the scan in errors.

    Raises:
        UserError: there is nothing but background, or a channel has one value in all else.
    """
    if not content.any():
        raise UserError(
            f"{case_id}: nothing but background; expected a scan: take it out, or say background"
        )
    return {
        name: _levels(volume[content], intensity, f"{case_id}: channel {name}")
        for name, volume in volumes.items()
    }


def _levels(values: NDArray[Any], intensity: ScanIntensity, origin: str) -> Levels:
    if intensity.mode == "zscore":
        zero, one = (float(of(values, dtype=np.float64)) for of in (np.mean, np.std))
        levels = Levels(zero, one, None, 0.0)
    else:
        low, high = intensity.low or 0.0, intensity.high or 0.0
        if intensity.mode == "percentile":
            low, high = (float(level) for level in np.percentile(values, [low, high]))
        levels = Levels((low + high) / 2, (high - low) / 2, 1.0, -1.0)
    if not levels.one > _LEAST_SD:
        raise UserError(
            f"{origin} has one value, {levels.zero:g}, in all that is not background; expected a "
            "scan: take the case out, or mend the file"
        )
    return levels


def _value_of_corners(volume: NDArray[Any]) -> Any:
    """What most voxels in the eight corners have; None where there is no such value."""
    places = [np.r_[: max(1, n // _CORNER), n - max(1, n // _CORNER) : n] for n in volume.shape]
    found, counts = np.unique(volume[np.ix_(*places)], return_counts=True)
    most = counts.argmax()
    return found[most] if counts[most] > _MOST * counts.sum() else None

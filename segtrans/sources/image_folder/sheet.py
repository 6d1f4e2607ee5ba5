"""Some pictures of a folder, to be looked at."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.image_folder.facts import Facts, examine
from segtrans.sources.own_folder.names import ABSENT, PRESENT
from segtrans.tasks.image_folder import ImageFolder

_A_ROW = 8
_SIDE = 256  # pixels, more than a sheet shows
_PERCENTILES = (0.5, 99.5)

Shown = tuple[str, NDArray[np.float32], NDArray[np.bool_] | None]


def some_pictures(facts: Sequence[Facts], task: ImageFolder) -> dict[str, list[Shown]]:
    """At most eight pictures of each kind, evenly drawn from those without faults.

    Returns:
        By title of the kind: name, (h, w) or (h, w, 3) in [0, 1], and (h, w) where the mask has
        target, or None.
    """
    good = [of for of in facts if of.measures is not None]
    kinds = {
        "present, with a mask": [
            of for of in good if of.item.domain == PRESENT and of.item.has_mask
        ],
        "present": [of for of in good if of.item.domain == PRESENT and not of.item.has_mask],
        "absent": [of for of in good if of.item.domain == ABSENT],
    }
    return {
        f"{title} ({len(of_kind)})": [_shown(of, task) for of in _evenly(of_kind)]
        for title, of_kind in kinds.items()
        if of_kind
    }


def _evenly(facts: Sequence[Facts]) -> list[Facts]:
    places = np.linspace(0, len(facts) - 1, min(_A_ROW, len(facts))).round().astype(int)
    return [facts[place] for place in places]


def _shown(facts: Facts, task: ImageFolder) -> Shown:
    examined = examine(facts.item, task)
    if examined.image is None:
        return facts.item.place, np.zeros((1, 1), np.float32), None
    image: NDArray[Any] = examined.image
    step = max(1, max(image.shape[:2]) // _SIDE)
    small = image[::step, ::step].astype(np.float32)
    small = small if small.shape[2] == 3 else small[..., 0]
    low, high = (0.0, 255.0) if image.dtype == np.uint8 else np.percentile(small, _PERCENTILES)
    small = ((small - low) / max(high - low, 1e-12)).clip(0, 1).astype(np.float32)
    mask = None
    if examined.mask is not None and examined.facts.item.domain == PRESENT:
        mask = (examined.mask[::step, ::step] != 0) & (examined.mask[::step, ::step] != 255)
    return facts.item.place, small, mask

"""What a data set may hold: checked when it is written, and again when it is opened."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.tasks.base import VOID

BINARY = {0: "background", 1: "target"}
# Columns of per_image.csv, in which provenance stands beside them.
RESERVED = (
    *("fold", "domain", "index", "dice_hard", "dice_soft"),
    *("soft_overlap", "soft_size", "lesion_pixels", "predicted_pixels"),
    *("lesions_found", "lesions_missed", "lesions_false"),
)
_LARGEST = 255  # of uint8


def check_labels(labels: Mapping[int, str], *, place: str) -> None:
    """Refuse meanings of mask values that the methods would not share.

    Args:
        labels: what each value of a mask means, 0 first of all.
        place: what the message begins with.

    Raises:
        UserError: 0 is missing, or `VOID` or a number beyond uint8 has a meaning.
    """
    named = ", ".join(str(value) for value in sorted(labels))
    if 0 not in labels or len(labels) < 2 or not 0 <= min(labels) <= max(labels) <= _LARGEST:
        raise UserError(
            f"{place}: labels of masks are {named or 'none'}; expected 0, the background, and at "
            f"least one of 1 to {VOID - 1}"
        )
    if VOID in labels:
        raise UserError(
            f"{place}: labels of masks are {named}; {VOID} is kept for pixels that training leaves "
            "out, nothing would be learnt there; write the target as 1"
        )


def check_masks(
    masks: NDArray[np.uint8], labels: Mapping[int, str], *, has_void: bool, place: str
) -> None:
    """Refuse a value of masks (any shape) that has no meaning.

    Args:
        masks: of any shape.
        labels: what each value means.
        has_void: whether `VOID` may stand where nothing is known.
        place: what the message begins with.

    Raises:
        UserError: a value is not one of `labels`.
    """
    has_meaning = np.zeros(_LARGEST + 1, bool)
    has_meaning[[*labels, *([VOID] if has_void else [])]] = True
    is_known = has_meaning[masks]
    if is_known.all():
        return
    value = int(masks[~is_known][0])
    said = ", ".join(f"{key} {meaning}" for key, meaning in sorted(labels.items()))
    why = f" ({VOID} is kept for pixels that training leaves out)" if value == VOID else ""
    raise UserError(
        f"{place}: a mask holds {value}{why}; expected {said}; write the masks with these values "
        "and make the data set again"
    )


def is_target(masks: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where masks (any shape) show the target, of whatever class; `VOID` is not known to."""
    shows: NDArray[np.bool_] = (masks > 0) & (masks != VOID)
    return shows


def check_images(images: NDArray[Any], *, place: str) -> None:
    """Refuse images with values that are no numbers.

    Raises:
        UserError: a value is NaN or infinite.
    """
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise UserError(
            f"{place}: an image holds NaN or an infinite value; expected numbers of "
            f"{images.dtype}; mend the source and make the data set again"
        )


def check_scale(scale: float | None, *, place: str) -> None:
    """Refuse an intensity of a stored unit that would make all images alike, or none.

    Raises:
        UserError: it is not a finite number above 0.
    """
    if scale is None or not (math.isfinite(scale) and scale > 0):
        raise UserError(
            f"{place}: scale is {scale}; expected the intensity of one stored unit, a number "
            "above 0; make the data set again with it"
        )


def check_count(n: int, *, place: str) -> None:
    """Refuse an empty fold.

    Raises:
        UserError: there is no sample.
    """
    if n < 1:
        raise UserError(
            f"{place}: holds no sample; expected at least one in every fold and domain; give more "
            "data, or split them otherwise"
        )


def check_name(name: str, *, place: str) -> None:
    """Refuse a provenance that scores would take for something else.

    Raises:
        UserError: it is one of `RESERVED`.
    """
    if name in RESERVED:
        raise UserError(f"{place}: per_image.csv has a column {name} of its own; rename it")

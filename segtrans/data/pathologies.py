"""What a data set says of several pathologies: bits of masks, and columns of what is known.

A mask's bit k, of value 2^k, is that of pathology k, in the order of the header. Presence images
have a column `shows_<name>` for each: 1, 0, or `VOID` where that is not known; and perhaps
`has_mask_<name>`: 0 where a labelled image's mask says nothing of it. Absence images show none.
"""

from collections.abc import Iterator, Sequence
from itertools import compress, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segtrans.data.store import FOLDS, Store
from segtrans.errors import UserError
from segtrans.tasks.base import VOID


class Knowledge(NamedTuple):
    """What is known of N presence images and K pathologies.

    Attributes:
        t: (N, K) uint8: 1 shown, 0 not, `VOID` not known.
        has_mask: (N, K) uint8: whether the mask of a labelled image says where; 0 or 1.
    """

    t: NDArray[np.uint8]
    has_mask: NDArray[np.uint8]


def bit_labels(names: tuple[str, ...]) -> dict[int, str]:
    """What each value of a mask means, for K pathologies that may overlap."""
    choices = product((False, True), repeat=len(names))
    # The first name is the lowest bit.
    shown = (tuple(reversed(chosen)) for chosen in choices)
    meanings = (" and ".join(compress(names, chosen)) for chosen in shown)
    return {value: meaning or "background" for value, meaning in enumerate(meanings)}


def bit(masks: NDArray[np.uint8], k: int) -> NDArray[np.uint8]:
    """Masks (any shape) of pathology k alone: 0, 1, and `VOID` where that was."""
    own = (masks >> np.uint8(k)) & np.uint8(1)
    return np.where(masks == VOID, np.uint8(VOID), own)


def masks_of_each(
    masks: NDArray[np.uint8], names: tuple[str, ...]
) -> dict[str, NDArray[np.float32]]:
    """Masks (any shape) of each pathology, 1 where it is seen and 0 elsewhere, by name."""
    return {name: (bit(masks, k) == 1).astype(np.float32) for k, name in enumerate(names)}


def count_known(names: Sequence[str], known: Knowledge) -> Iterator[tuple[str, int, int, int, int]]:
    """Of each pathology: its name, how many images show it, do not, may, and have a mask of it."""
    for k, name in enumerate(names):
        t, has_mask = known.t[:, k], known.has_mask[:, k]
        n_shown, n_not, n_open = (int((t == of).sum()) for of in (1, 0, VOID))
        yield name, n_shown, n_not, n_open, int((has_mask > 0).sum())


def read_knowledge(store: Store, fold: str) -> Knowledge | None:
    """What is known of the presence images of a fold; None of data with one target.

    Raises:
        UserError: a column is missing, has another value, or a mask shows what the image does not.
    """
    names = store.header.pathologies
    if not names:
        return None
    columns, n = store.provenance(fold, "present"), store.n(fold, "present")
    shows, masked = [], []
    for name in names:
        place = f"{store.path}: /{fold}/present/"
        if (column := f"shows_{name}") not in columns:
            raise UserError(f"{place}{column} is missing; expected 1, 0 or {VOID} for each image")
        _check_values(columns[column], (0, 1, VOID), place=place + column)
        shows.append(columns[column])
        has_mask = columns.get(f"has_mask_{name}", np.ones(n, np.uint8))
        _check_values(has_mask, (0, 1), place=f"{place}has_mask_{name}")
        masked.append(has_mask)
    t, has_mask = (np.stack(of, axis=1).astype(np.uint8) for of in (shows, masked))
    return Knowledge(t, has_mask)


def check_pathologies(store: Store, names: tuple[str, ...]) -> None:
    """Check that a data set is of a task's pathologies.

    Raises:
        UserError: it is of others, or as `read_knowledge`.
    """
    found = store.header.pathologies
    if found != names:
        said, expected = (", ".join(of) or "none" for of in (found, names))
        raise UserError(f"{store.path}: pathologies are {said}; those of the task are {expected}")
    for fold in FOLDS:
        if (known := read_knowledge(store, fold)) is None:
            return
        if fold != "train" and not (known.has_mask | (known.t == 0)).all():
            raise UserError(
                f"{store.path}: /{fold}/present: has_mask is 0 of some image; what is scored needs "
                "masks of all pathologies; put such images into the training fold"
            )
        masks = store.masks(fold)
        shown = np.bitwise_or.reduce(np.where(masks == VOID, 0, masks), axis=(1, 2))
        for k, name in enumerate(names):
            wrong = (known.t[:, k] == 0) & ((shown >> k) & 1 == 1)
            if wrong.any():
                raise UserError(
                    f"{store.path}: /{fold}/present: the mask of image {int(wrong.argmax())} has "
                    f"{name}, which shows_{name} = 0 says it does not show; mend one of them"
                )


def _check_values(column: NDArray[np.generic], allowed: tuple[int, ...], *, place: str) -> None:
    if not np.isin(column, allowed).all():
        said = ", ".join(map(str, allowed))
        raise UserError(f"{place}: holds {column[~np.isin(column, allowed)][0]}; expected {said}")

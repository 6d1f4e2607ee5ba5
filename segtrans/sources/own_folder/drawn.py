"""What masks show, and where that contradicts what is said of their image or scan."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.own_folder.names import ABSENT
from segtrans.sources.own_folder.surveyed import OwnItem
from segtrans.tasks.base import VOID


@dataclass(frozen=True)
class Drawn:
    """What a mask shows, or all masks of an image or scan together.

    Attributes:
        classes: values of the classes that are there, in order; k + 1 of pathology k.
        has_void: whether some of it does not count.
    """

    classes: tuple[int, ...]
    has_void: bool


def drawn_in(masks: Iterable[NDArray[np.uint8]], pathologies: Sequence[str]) -> Drawn:
    """What masks show.

    Args:
        masks: of any shape: values of classes, or bits of several pathologies; `VOID` where it does
            not count.
        pathologies: names of several; empty of classes.
    """
    counts = np.zeros(VOID + 1, np.int64)
    for mask in masks:
        for part in mask if mask.ndim > 2 else (mask,):  # to count takes eight bytes a pixel
            counts += np.bincount(part.ravel(), minlength=VOID + 1)
    values = np.flatnonzero(counts[:VOID])
    if pathologies:
        bits = int(np.bitwise_or.reduce(values, initial=0))
        classes = tuple(k + 1 for k in range(len(pathologies)) if (bits >> k) & 1)
    else:
        classes = tuple(values[values > 0].tolist())
    return Drawn(classes, bool(counts[VOID]))


def shows_by(drawn: Drawn, item: OwnItem) -> tuple[int, ...]:
    """Whether an image or scan shows each pathology: 1 or 0 by its masks, else as was said of it.

    Args:
        drawn: what all its masks show.
        item: what it is by names; of one target there is nothing to tell.
    """
    shows = []
    for k, (said, is_masked) in enumerate(zip(item.shows, item.is_masked, strict=True)):
        if is_masked and k + 1 in drawn.classes:
            said = 1
        elif is_masked and not drawn.has_void:
            said = 0
        shows.append(said)
    return tuple(shows)


def faults_of_mask(
    item: OwnItem, path: Path, k: int | None, drawn: Drawn, pathologies: Sequence[str], *, what: str
) -> Iterator[str]:
    """What one mask contradicts, a line each.

    Args:
        item: whose it is.
        path: of its file.
        k: the pathology that it is of; None: of all classes.
        drawn: what it shows.
        pathologies: names of several.
        what: image or scan, for messages.
    """
    if item.domain == ABSENT:
        if drawn.classes:
            yield f"{path}: shows target, and its {what} is absent; move the {what} to present"
        return
    if not drawn.classes and k is None:
        yield (
            f"{path}: is empty, and its {what} is present; remove the mask if nobody drew it, "
            f"or move the {what} to absent"
        )
        return
    for index, (name, said) in enumerate(zip(pathologies, item.shows, strict=False)):
        if k not in (None, index):
            continue
        if index + 1 in drawn.classes and said == 0:
            yield f"{path}: has {name}, and its {what} is said not to show it; mend one of them"
        if index + 1 not in drawn.classes and said == 1 and not drawn.has_void:
            yield f"{path}: has no {name}, and its {what} is said to show it; mend one of them"


def faults_of_all(item: OwnItem, drawn: Drawn, pathologies: Sequence[str]) -> Iterator[str]:
    """What all masks together contradict, each of which is good by itself; as `faults_of_mask`."""
    if item.shows and item.domain != ABSENT and not any(shows_by(drawn, item)):
        yield (
            f"{item.place}: by its masks, and what is said of it, it shows none of "
            f"{', '.join(pathologies)}, and it is present; move it to absent"
        )

"""What tells present from absent pictures without the target."""

from collections.abc import Sequence

import numpy as np

from segtrans.sources.image_folder.facts import Facts
from segtrans.sources.image_folder.measures import NAMES
from segtrans.sources.own_folder.names import PRESENT
from segtrans.sources.own_folder.shortcuts import Shortcut, shortcuts_of


def find_shortcuts(facts: Sequence[Facts]) -> list[Shortcut]:
    """What tells the domains apart, the most telling first; nothing where images are too few.

    Args:
        facts: of images; those with faults do not count.
    """
    used = [of for of in facts if of.measures is not None]
    if not used:
        return []
    return shortcuts_of(
        NAMES,
        np.array([of.measures.numbers for of in used if of.measures]),
        np.array([of.measures.thumbnail for of in used if of.measures]),
        np.array([of.item.domain == PRESENT for of in used], bool),
        [of.item.group for of in used],
    )

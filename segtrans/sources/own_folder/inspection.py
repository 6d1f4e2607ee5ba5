"""What a folder of the user's own holds, and all that is wrong with it, whatever its kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtrans.tasks.own_folder import OwnFolder

Shown = tuple[str, NDArray[np.float32], NDArray[np.bool_] | None]


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        task: of the folder, as its files and its dataset.yaml have it.
        lines: counts, and what should be known.
        faults: all that is wrong, a line each; files are named by their paths below the folder.
        shown: some images of each kind, by title: name, (h, w) or (h, w, 3) in [0, 1], and where
            the mask is, or None. They are read when it is called; none where nothing can be.
    """

    task: OwnFolder
    lines: list[str]
    faults: list[str]
    shown: Callable[[], Mapping[str, Sequence[Shown]]]

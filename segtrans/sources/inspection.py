"""What a folder of the user's own holds, and all that is wrong with it: pictures or scans.

Imports stand inside: who has pictures need not wait for the readers of scans.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.own_folder.kind import PICTURES_KIND, SCANS_KIND
from segtrans.sources.own_folder.shortcuts import describe
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


def inspect_folder(
    folder: Path, given: Mapping[str, Any], *, kind: str, data_seed: int
) -> Inspection:
    """Read all that a folder holds, once.

    Args:
        folder: of the data set.
        given: values of an entry of `data_sets`; they win over dataset.yaml.
        kind: of its task, of `INSPECT`.
        data_seed: of the split.

    Raises:
        UserError: there is no such folder, or a value is refused.
    """
    return INSPECT[kind](folder, given, data_seed)


def _inspect_pictures(folder: Path, given: Mapping[str, Any], data_seed: int) -> Inspection:
    from segtrans.sources.image_folder import check as pictures
    from segtrans.sources.image_folder.definition import complete_definition
    from segtrans.sources.image_folder.sheet import some_pictures
    from segtrans.sources.image_folder.shortcuts import find_shortcuts

    task = complete_definition(folder, given)
    checked = pictures.check_folder(folder, task, data_seed=data_seed)
    lines = [*pictures.counts(checked.facts), *pictures.counts_of_pathologies(checked.facts, task)]
    lines += pictures.notes(checked, folder, task)
    lines += describe(find_shortcuts(checked.facts)) if checked.facts else ()
    return Inspection(task, lines, checked.faults, lambda: some_pictures(checked.facts, task))


def _inspect_scans(folder: Path, given: Mapping[str, Any], data_seed: int) -> Inspection:
    from segtrans.sources.scan_folder import check as scans
    from segtrans.sources.scan_folder.definition import complete_definition

    task = complete_definition(folder, given)
    checked = scans.check_folder(folder, task, data_seed=data_seed)
    lines = [*scans.counts(checked), *scans.notes(checked)]
    lines += (
        describe(scans.find_shortcuts(checked.facts, checked.task), least=scans.LEAST)
        if checked.facts
        else ()
    )
    return Inspection(checked.task, lines, checked.faults, lambda: scans.some_slices(checked.facts))


INSPECT: dict[str, Callable[[Path, Mapping[str, Any], int], Inspection]] = {
    PICTURES_KIND: _inspect_pictures,
    SCANS_KIND: _inspect_scans,
}

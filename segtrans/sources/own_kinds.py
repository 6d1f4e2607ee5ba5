"""The kinds of folders of the user's own, an entry each: what is asked of one, and how it is said.

A kind brings a package beside this file, which has the functions, and a task.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrans.config.params import Params
from segtrans.sources.image_folder import definition as pictures
from segtrans.sources.image_folder import inspection as of_pictures
from segtrans.sources.image_folder import preflight as before_pictures
from segtrans.sources.own_folder.inspection import Inspection
from segtrans.sources.scan_folder import definition as scans
from segtrans.sources.scan_folder import inspection as of_scans
from segtrans.sources.scan_folder import preflight as before_scans
from segtrans.tasks.own_folder import OwnFolder


@dataclass(frozen=True)
class OwnKind:
    """What there is of a kind.

    Attributes:
        complete: the whole task, from what an entry says and what its folder holds.
        check: of the chosen tasks of this kind, before any job; raises UserError.
        inspect: a folder, by the values given and the seed of the split; raises UserError.
        step: what its rule, which is called as the kind, does, for those who wait.
        layers: parameter files that `segtrans fit` lays over params.yaml.
    """

    complete: Callable[[Path, Mapping[str, Any]], OwnFolder]
    check: Callable[[Params, Sequence[str]], None]
    inspect: Callable[[Path, Mapping[str, Any], int], Inspection]
    step: str
    layers: tuple[str, ...] = ()


KINDS = {
    pictures.KIND: OwnKind(
        complete=pictures.complete_definition,
        check=before_pictures.check,
        inspect=of_pictures.inspect,
        step="read the pictures",
        layers=("config/pictures.yaml",),
    ),
    scans.KIND: OwnKind(
        complete=scans.complete_definition,
        check=before_scans.check,
        inspect=of_scans.inspect,
        step="read the scans",
    ),
}

"""Whether the scans of a folder can be shared out to folds, by their names alone."""

from collections.abc import Sequence
from pathlib import Path

from segtrans.config.params import Params
from segtrans.sources.scan_folder.items import share_out
from segtrans.tasks.scan_folder import ScanFolder


def check(params: Params, tasks: Sequence[str]) -> None:
    """Refuse folders whose names do not say what is what, or that have too little for three folds.

    Raises:
        UserErrors: what is wrong with the names of a folder, and what folds lack, a line each.
    """
    for task in tasks:
        if isinstance(definition := params.data_sets[task], ScanFolder):
            share_out(Path(definition.directory), definition, data_seed=params.data_seed)

"""Whether the scans of a folder can be shared out to folds, by their names alone."""

from collections.abc import Sequence
from pathlib import Path

from segtrans.config.params import Params
from segtrans.sources.scan_folder.items import draw_scan_folds, find_items
from segtrans.tasks.scan_folder import ScanFolder


def check(params: Params, tasks: Sequence[str]) -> None:
    """Refuse folders whose names do not say what is what, or that have too little for three folds.

    Raises:
        UserErrors: what is wrong with the names of a folder, a line each.
        UserError: a fold would be empty.
    """
    for task in tasks:
        if isinstance(definition := params.data_sets[task], ScanFolder):
            items, _ = find_items(Path(definition.directory), definition)
            draw_scan_folds(items, definition, data_seed=params.data_seed)

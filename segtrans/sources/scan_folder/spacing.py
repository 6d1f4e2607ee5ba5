"""To what spacing the scans of a folder are resampled."""

from collections.abc import Sequence

import numpy as np

from segtrans.errors import UserError
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.sources.scan_folder.scan import read_headers
from segtrans.sources.scans.grids import Grid
from segtrans.tasks.scan_folder import ScanFolder

Spacing = tuple[float, float, float]
_DIGITS = 4  # of millimetres


def fix_spacing(items: Sequence[ScanItem], task: ScanFolder) -> ScanFolder:
    """The task with a spacing: its own, or the median of the scans whose headers can be read.

    Args:
        items: all cases.
        task: of the folder.
    """
    if task.spacing_mm is not None:
        return task
    grids = [grid for item in items if (grid := _grid_of(item)) is not None]
    if not grids:
        return task.model_copy(update={"spacing_mm": (1.0, 1.0, 1.0)})  # reading says what is wrong
    sizes = np.array([[grid.spacing_mm[axis] for axis in task.lps_axes] for grid in grids])
    column, row, through = (round(float(mm), _DIGITS) for mm in np.median(sizes, axis=0))
    return task.model_copy(update={"spacing_mm": (column, row, through)})


def spacing_of(task: ScanFolder) -> Spacing:
    """The spacing of a task that has one.

    Raises:
        ValueError: nobody fixed it.
    """
    if task.spacing_mm is None:
        raise ValueError("the task has no spacing yet")
    return task.spacing_mm


def n_slices_of(items: Sequence[ScanItem], task: ScanFolder) -> int:
    """How many slices scans have together at the spacing of a task; 0 of what cannot be read."""
    axis, spacing = task.lps_axes[2], spacing_of(task)[2]
    grids = (_grid_of(item) for item in items)
    return sum(round(grid.shape[axis] * grid.spacing_mm[axis] / spacing) for grid in grids if grid)


def _grid_of(item: ScanItem) -> Grid | None:
    try:
        return read_headers(item.scan)
    except UserError:
        return None

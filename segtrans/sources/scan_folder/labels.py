"""From the values of a mask's file to classes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.scans.masks import rounding_error
from segtrans.tasks.base import VOID
from segtrans.tasks.scan_folder import ScanFolder

_WHITE, _MANY = 255, 16  # values between 0 and white, which no set of labels has
_NAMED = 5


def classes_of(
    values: NDArray[Any], path: Path, task: ScanFolder, k: int | None = None
) -> NDArray[np.uint8]:
    """Classes of a mask, of its shape: 0 background, those of the task, `VOID` where it is ignored.

    Of several pathologies a bit of each.

    Of a single class all that is not 0 is the target, such as the parts of a tumour or lesions that
    are numbered.

    Args:
        values: as they stand in the file, of any type; all finite.
        path: names the file in errors.
        task: has the classes.
        k: the one of several pathologies that the mask is of; None: of all classes.

    Raises:
        UserError: a value is no label, or unknown.
    """
    if k is not None:
        own = task.model_copy(update={"classes": {task.pathologies[k]: 1}, "multi_label": False})
        layer = classes_of(values, path, own)
        return np.where(layer == VOID, layer, layer << np.uint8(k))
    # Most of a mask is 0: to sort the rest alone is faster.
    is_set = values != 0
    labels, inverse = np.unique(values[is_set], return_inverse=True)
    whole = np.rint(labels.astype(np.float64))
    error = rounding_error(labels.max(initial=0))
    if (is_wrong := (np.abs(labels - whole) > error) | (whole < 0)).any():
        raise UserError(
            f"{path}: holds {labels[is_wrong][0]:g}; expected whole numbers, a value for each class"
        )
    found = set(whole.astype(np.int64).tolist())
    is_single = len(task.classes) == 1
    if is_single and _WHITE in found and task.ignore != _WHITE and len(found) > _MANY:
        raise UserError(
            f"{path}: {len(found)} values of 0 to {_WHITE}, as soft edges have; save it with one "
            "value for the target, resampled to the nearest"
        )
    known = {0: 0} | {value: value for value in task.classes.values()}
    if task.pathologies:
        known |= {k + 1: 1 << k for k in range(len(task.pathologies))}
    if is_single:
        known |= dict.fromkeys(found - {0}, 1)
    known |= {task.ignore: VOID} if task.ignore else {}
    if unknown := sorted(found - set(known)):
        named = ", ".join(map(str, unknown[:_NAMED]))
        expected = ", ".join(f"{value} {name}" for name, value in task.classes.items())
        raise UserError(
            f"{path}: unknown value {named}; expected 0 and {expected}; say ignore: VALUE for what "
            "is not to count"
        )
    classes = np.zeros(values.shape, np.uint8)
    classes[is_set] = np.array([known[int(label)] for label in whole], np.uint8)[inverse]
    return classes

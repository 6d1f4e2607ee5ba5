"""Which slices of a scan are of P, which of A, and which of neither."""

import numpy as np
from numpy.typing import NDArray

from segtrans.data.pathologies import bit
from segtrans.data.values import is_target
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.tasks.base import VOID
from segtrans.tasks.scan_folder import ScanFolder

FATES = {
    "present": "P",
    "absent": "A",
    "small_target": "neither: little target, or ignored pixels",
    "unlisted": "neither: nobody knows",
    "small_content": "left out: little but background",
}


def fates_of(
    item: ScanItem,
    side: str,
    content: NDArray[np.bool_],
    mask: NDArray[np.uint8] | None,
    file_slice: NDArray[np.int64],
    task: ScanFolder,
) -> NDArray[np.str_]:
    """What becomes of each slice, or half of one: (n,) of `FATES`.

    A slice counts for P with enough target in what is not background; with target outside of that
    alone, with less target, or with none but ignored pixels, it is of neither domain.

    Args:
        item: whose domain, mask or list of slices decides.
        side: of all of them.
        content: (n, H, W), what is not background.
        mask: (n, H, W), compact classes; None without one.
        file_slice: (n,), number of each slice in the order of the file.
        task: has the rules.
    """
    n_content = np.count_nonzero(content, axis=(1, 2))
    n_pixels = content.shape[1] * content.shape[2]
    is_small = (n_content == 0) | (n_content < task.min_content_fraction * n_pixels)
    if item.domain == "absent":
        fates = np.full(len(content), "absent")
    elif mask is not None:
        fates = _by_mask(content, mask, n_content, task)
    elif item.slices is not None:
        of_others = "absent" if task.absent_from_present == "lists" else "unlisted"
        fates = np.where(are_listed(item, side, file_slice), "present", of_others)
    else:
        fates = np.full(len(content), "present" if task.unlabelled == "all" else "unlisted")
    return np.where(is_small, "small_content", fates)


def shows_of(
    item: ScanItem, content: NDArray[np.bool_], mask: NDArray[np.uint8] | None, task: ScanFolder
) -> NDArray[np.uint8]:
    """Whether each slice shows each of several pathologies, if it is of P: (n, K), 1, 0 or `VOID`.

    By the mask, if there is one: `VOID` where a pathology is there but too small for P, or may be
    where pixels do not count. Else by what is said of the scan: of one that shows a pathology, not
    every slice does, unless it is the only one that the scan may show.

    Args:
        item: what is said of the scan.
        content: (n, H, W), what is not background.
        mask: (n, H, W), bits; None without one.
        task: has the rules.
    """
    n_pathologies = len(task.pathologies)
    if mask is None:
        maybe = [k for k, said in enumerate(item.shows) if said != 0]
        known = [
            0 if said == 0 else 1 if maybe == [k] else VOID for k, said in enumerate(item.shows)
        ]
        return np.tile(np.array(known, np.uint8), (len(content), 1))
    n_content = np.count_nonzero(content, axis=(1, 2))
    has_void = (mask == VOID).any(axis=(1, 2))
    shows = np.empty((len(mask), n_pathologies), np.uint8)
    for k in range(n_pathologies):
        is_there = bit(mask, k) == 1
        is_open = is_there.any(axis=(1, 2)) | has_void
        is_large = _is_large(is_there & content, n_content, task)
        shows[:, k] = np.select([is_large, is_open], [1, VOID], default=0)
    return shows


def are_listed(item: ScanItem, side: str, file_slice: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each slice (n,) of a side is one of those that an item lists."""
    found = np.zeros(len(file_slice), bool)
    for listed in item.slices or ():
        if listed.side in (None, side):
            found |= (file_slice >= listed.first) & (file_slice <= listed.last)
    return found


def _by_mask(
    content: NDArray[np.bool_],
    mask: NDArray[np.uint8],
    n_content: NDArray[np.int64],
    task: ScanFolder,
) -> NDArray[np.str_]:
    shows = is_target(mask)
    if task.pathologies:
        targets = [bit(mask, k) == 1 for k in range(len(task.pathologies))]
    else:
        targets = [shows]
    is_large = [_is_large(of & content, n_content, task) for of in targets]
    is_unknown = shows.any(axis=(1, 2)) | (mask == VOID).any(axis=(1, 2))
    of_others = "absent" if task.absent_from_present != "never" else "unlisted"
    return np.select(
        [np.any(is_large, axis=0), is_unknown],
        ["present", "small_target"],
        default=of_others,
    )


def _is_large(
    inside: NDArray[np.bool_], n_content: NDArray[np.int64], task: ScanFolder
) -> NDArray[np.bool_]:
    """Whether a target (n, H, W) within what is not background is large enough for P."""
    n_inside = np.count_nonzero(inside, axis=(1, 2))
    is_large: NDArray[np.bool_] = n_inside >= np.maximum(task.min_target_fraction * n_content, 1)
    return is_large

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
        item: whose domain, masks or list of slices decide; `shows` says what is known of the scan
            by its masks, too.
        side: of all of them.
        content: (n, H, W), what is not background.
        mask: (n, H, W), classes or bits; None without one.
        file_slice: (n,), number of each slice in the order of the file.
        task: has the rules.
    """
    n_content = np.count_nonzero(content, axis=(1, 2))
    n_pixels = content.shape[1] * content.shape[2]
    is_small = (n_content == 0) | (n_content < task.min_content_fraction * n_pixels)
    if item.domain == "absent":
        fates = np.full(len(content), "absent")
    elif mask is None:
        fates = _without_mask(item, side, file_slice, task)
    else:
        if item.has_whole_mask:
            fate = "absent" if task.absent_from_present != "never" else "unlisted"
            of_others = np.full(len(content), fate)
        else:
            of_others = _without_mask(item, side, file_slice, task)
        fates = _by_mask(content, mask, n_content, of_others, task)
    return np.where(is_small, "small_content", fates)


def shows_of(
    item: ScanItem, content: NDArray[np.bool_], mask: NDArray[np.uint8] | None, task: ScanFolder
) -> NDArray[np.uint8]:
    """Whether each slice shows each of several pathologies, if it is of P: (n, K), 1, 0 or `VOID`.

    By the mask of a pathology, if there is one: `VOID` where it is there but too small for P, or
    may be where pixels do not count. Else by what is known of the scan: of one that shows a
    pathology, not every slice does, unless it is the only one that the slice may show.

    Args:
        item: whose masks there are, and what is known of the scan.
        content: (n, H, W), what is not background.
        mask: (n, H, W), bits; None without one.
        task: has the rules.
    """
    of_scan = np.array([0 if said == 0 else VOID for said in item.shows], np.uint8)
    known = np.tile(of_scan, (len(content), 1))
    is_open = np.ones(len(item.shows), np.bool_)
    if mask is not None:
        is_open = ~np.array(item.is_masked, np.bool_)
        n_content = np.count_nonzero(content, axis=(1, 2))
        has_void = (mask == VOID).any(axis=(1, 2))
        for k in np.flatnonzero(~is_open).tolist():
            is_there = bit(mask, k) == 1
            may_be_there = is_there.any(axis=(1, 2)) | has_void
            is_large = _is_large(is_there & content, n_content, task)
            known[:, k] = np.select([is_large, may_be_there], [1, VOID], default=0)
    is_alone = np.count_nonzero(known, axis=1) == 1
    known[(known == VOID) & is_open & is_alone[:, None]] = 1
    return known


def are_listed(item: ScanItem, side: str, file_slice: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each slice (n,) of a side is one of those that an item lists."""
    found = np.zeros(len(file_slice), bool)
    for listed in item.slices or ():
        if listed.side in (None, side):
            found |= (file_slice >= listed.first) & (file_slice <= listed.last)
    return found


def _without_mask(
    item: ScanItem, side: str, file_slice: NDArray[np.int64], task: ScanFolder
) -> NDArray[np.str_]:
    """What becomes of slices where no mask says what they show; of `fates_of`.

    Where masks are of some pathologies, unlisted slices without these may show the others: they are
    of P only if the scan is known to show one of those.
    """
    if item.slices is not None:
        of_others = "absent" if task.absent_from_present == "lists" else "unlisted"
        return np.where(are_listed(item, side, file_slice), "present", of_others)
    known = list(zip(item.shows, item.is_masked, strict=True))
    shows_another = any(said == 1 for said, is_masked in known if not is_masked)
    shows_none_of_these = all(said == 0 for said, is_masked in known if is_masked)
    is_present = task.unlabelled == "all" and (shows_another or shows_none_of_these)
    return np.full(len(file_slice), "present" if is_present else "unlisted")


def _by_mask(
    content: NDArray[np.bool_],
    mask: NDArray[np.uint8],
    n_content: NDArray[np.int64],
    of_others: NDArray[np.str_],
    task: ScanFolder,
) -> NDArray[np.str_]:
    """What becomes of slices by their mask; `of_others` (n,) where it shows nothing."""
    shows = is_target(mask)
    if task.pathologies:
        targets = [bit(mask, k) == 1 for k in range(len(task.pathologies))]
    else:
        targets = [shows]
    is_large = [_is_large(of & content, n_content, task) for of in targets]
    is_unknown = shows.any(axis=(1, 2)) | (mask == VOID).any(axis=(1, 2))
    return np.select(
        [np.any(is_large, axis=0), is_unknown], ["present", "small_target"], default=of_others
    )


def _is_large(
    inside: NDArray[np.bool_], n_content: NDArray[np.int64], task: ScanFolder
) -> NDArray[np.bool_]:
    """Whether a target (n, H, W) within what is not background is large enough for P."""
    n_inside = np.count_nonzero(inside, axis=(1, 2))
    is_large: NDArray[np.bool_] = n_inside >= np.maximum(task.min_target_fraction * n_content, 1)
    return is_large

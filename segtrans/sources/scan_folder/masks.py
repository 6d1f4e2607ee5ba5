"""The masks of a scan, as one: values of classes, or bits of several pathologies."""

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.own_folder.drawn import Drawn, drawn_in, faults_of_all, faults_of_mask
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.sources.scan_folder.scan import Scan

Masks = dict[str, NDArray[np.uint8]]  # by side


def read_masks(item: ScanItem, scan: Scan) -> tuple[Masks | None, Drawn | None, list[str]]:
    """Read a scan's masks, and note all that is wrong with them; raises nothing.

    Args:
        item: whose masks they are.
        scan: that was read of it.

    Returns:
        (n, H, W) by side: values of classes, or bits of the pathologies that there are masks of,
        `VOID` where one of them does not count; what they show together; both None without a mask,
        or where one cannot be read. And faults, a line each.
    """
    pathologies = scan.task.pathologies
    read: list[tuple[Masks, Drawn]] = []
    faults: list[str] = []
    for k, path in item.layers:
        try:
            layer = scan.masks(path, k)
        except UserError as error:
            faults.append(str(error))
            continue
        drawn = drawn_in(layer.values(), pathologies)
        faults += faults_of_mask(item, path, k, drawn, pathologies, what="scan")
        read.append((layer, drawn))
    if not read or len(read) < len(item.layers):
        return None, None, faults
    joined, drawn = read[0]
    if len(read) > 1:
        # `VOID` has all bits.
        joined = {side: np.bitwise_or.reduce([layer[side] for layer, _ in read]) for side in joined}
        drawn = drawn_in(joined.values(), pathologies)
    if not faults:
        faults += faults_of_all(item, drawn, pathologies)
    return joined, drawn, faults

"""What is read of a case once: its own faults, its slices, and what they are compared by."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segtrans.data.values import is_target
from segtrans.errors import UserError
from segtrans.sources.own_folder.names import ABSENT, PRESENT
from segtrans.sources.scan_folder.fates import FATES, fates_of
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.sources.scan_folder.measures import Measures, measure
from segtrans.sources.scan_folder.scan import Scan, ScanGrid, read_headers, read_scan, side_of
from segtrans.tasks.base import VOID
from segtrans.tasks.scan_folder import ScanFolder

_MEASURED = 12  # slices of a side and a domain of a case, evenly drawn
_DOMAINS = ("present", "absent")  # as in a store, which takes long to import


@dataclass(frozen=True)
class Images:
    """Images of one domain of a case, by slice within side.

    Attributes:
        image: (k, C, H, W) float16, as stored.
        mask: (k, H, W) uint8; None without one.
        side: (k,).
        slice_index: (k,) int64, index along the resampled axis.
    """

    image: NDArray[np.float16]
    mask: NDArray[np.uint8] | None
    side: NDArray[np.str_]
    slice_index: NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """A case without its voxels: some kilobytes.

    Attributes:
        item: the case.
        faults: what is wrong with it, a line each.
        grid: of its first channel's file; None when it could not be read.
        notes: what was guessed or chosen, a sentence each.
        digest: of its voxels, whatever the format of their files.
        mask_digest: of its mask; empty without one.
        classes: values of the classes in its mask; None without one.
        target_fraction: share of what is not background that is of a class; None without a mask.
        counts: images by fate, of `FATES`.
        n_slices: along the resampled axis.
        measures: by domain, of some of its images.
        example: (h, w) in [0, 1] of a slice, and where its mask is, or None.
    """

    item: ScanItem
    faults: tuple[str, ...]
    grid: ScanGrid | None = None
    notes: tuple[str, ...] = ()
    digest: str = ""
    mask_digest: str = ""
    classes: tuple[int, ...] | None = None
    target_fraction: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    n_slices: int = 0
    measures: dict[str, Measures] = field(default_factory=dict)
    example: tuple[NDArray[np.float32], NDArray[np.bool_] | None] | None = None


@dataclass(frozen=True)
class Examined:
    """A case that was read: facts, and its images by domain where it has no faults."""

    facts: Facts
    images: dict[str, Images] = field(default_factory=dict)


def examine(item: ScanItem, task: ScanFolder, *, spacing_mm: tuple[float, float, float]) -> Examined:
    """Read a case and its mask, and note all that is wrong with them alone; raises nothing.

    Args:
        item: the case.
        task: of the folder.
        spacing_mm: of columns, rows and slices, to resample to.
    """
    try:
        grid = read_headers(item.scan)
        scan = read_scan(item.scan, task, spacing_mm=spacing_mm)
    except UserError as error:
        return Examined(Facts(item, (str(error),)))
    mask, faults = None, []
    if item.mask is not None:
        try:
            mask = scan.mask(item.mask)
            faults += _faults_of_mask(item, mask)
        except UserError as error:
            faults.append(str(error))
    used = mask if item.domain == PRESENT else None
    by_side = {
        side: fates_of(
            item,
            side,
            side_of(scan.content, side),
            None if used is None else side_of(used, side),
            scan.file_slice,
            task,
        )
        for side in task.sides
    }
    joined = np.concatenate(list(by_side.values()))
    images = {} if faults else {d: _images(scan, used, by_side, d) for d in _DOMAINS}
    faults += [] if faults else _faults_of_fates(item, joined)
    facts = Facts(
        item=item,
        faults=tuple(faults),
        grid=grid,
        notes=tuple(scan.notes),
        digest=scan.digest,
        mask_digest="" if mask is None else hashlib.sha256(mask.tobytes()).hexdigest(),
        classes=_classes_in(mask),
        target_fraction=_share(mask, scan.content),
        counts={fate: int((joined == fate).sum()) for fate in FATES},
        n_slices=scan.n_slices,
        measures={} if faults else _measures(scan, grid, by_side, task),
        example=None if faults else _example(scan, used),
    )
    return Examined(facts, images)


def _faults_of_mask(item: ScanItem, mask: NDArray[np.uint8]) -> Iterator[str]:
    has_target = bool(is_target(mask).any())
    if item.domain == ABSENT and has_target:
        yield f"{item.mask}: shows target, and its scan is absent; move the scan to present"
    if item.domain != ABSENT and not has_target:
        yield (
            f"{item.mask}: is empty, and its scan is present; remove the mask if nobody drew it, "
            "or move the scan to absent"
        )


def _faults_of_fates(item: ScanItem, fates: NDArray[np.str_]) -> list[str]:
    if item.slices is not None and not (fates == "present").any():
        return [
            f"{item.place}: none of the listed slices has enough that is not background, or there "
            f"are fewer; the scan has {len(fates)}"
        ]
    return []


def _images(
    scan: Scan, mask: NDArray[np.uint8] | None, by_side: dict[str, NDArray[np.str_]], domain: str
) -> Images:
    chosen = {side: np.flatnonzero(fates == domain) for side, fates in by_side.items()}
    has_mask = mask is not None and domain == "present"
    return Images(
        np.concatenate([side_of(scan.slices[at], side) for side, at in chosen.items()]),
        np.concatenate([side_of(mask[at], side) for side, at in chosen.items()])
        if mask is not None and has_mask
        else None,
        np.concatenate([np.full(len(at), side) for side, at in chosen.items()]),
        np.concatenate(list(chosen.values())).astype(np.int64),
    )


def _measures(
    scan: Scan, grid: ScanGrid, by_side: dict[str, NDArray[np.str_]], task: ScanFolder
) -> dict[str, Measures]:
    column, row, through = (grid.spacing_mm[axis] for axis in task.lps_axes)
    spacing = (float(np.sqrt(column * row)), through)
    found: dict[str, list[Measures]] = {domain: [] for domain in _DOMAINS}
    for side, fates in by_side.items():
        for domain, of_domain in found.items():
            at = evenly(np.flatnonzero(fates == domain), _MEASURED)
            places = at / max(1, scan.n_slices - 1)
            image, content = (side_of(of[at], side) for of in (scan.slices, scan.content))
            of_domain.append(measure(image, content, places, spacing))
    return {
        domain: Measures(
            np.concatenate([of.numbers for of in parts]),
            np.concatenate([of.thumbnails for of in parts if len(of.thumbnails)])
            if any(len(of.thumbnails) for of in parts)
            else np.zeros((0, len(task.channels), 16, 16), np.float32),
        )
        for domain, parts in found.items()
    }


def evenly(values: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """At most n of some values, evenly drawn."""
    places = np.linspace(0, len(values) - 1, min(n, len(values))).round().astype(int)
    return values[places]


def _example(
    scan: Scan, mask: NDArray[np.uint8] | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """The slice with the most target, else the one with the most that is not background."""
    shows = None if mask is None else is_target(mask)
    place = int(np.count_nonzero(scan.content if shows is None else shows, axis=(1, 2)).argmax())
    image = scan.slices[place, 0].astype(np.float32)
    inside = image[scan.content[place]]
    low, high = np.percentile(inside, (0.5, 99.5)) if inside.size else (0.0, 1.0)
    grey = ((image - low) / max(high - low, 1e-6)).clip(0, 1) * scan.content[place]
    return grey.astype(np.float32), None if shows is None else shows[place]


def _classes_in(mask: NDArray[np.uint8] | None) -> tuple[int, ...] | None:
    if mask is None:
        return None
    counts = np.bincount(mask.ravel(), minlength=VOID + 1)
    return tuple((np.flatnonzero(counts[1:VOID]) + 1).tolist())


def _share(mask: NDArray[np.uint8] | None, content: NDArray[np.bool_]) -> float | None:
    if mask is None:
        return None
    return float((is_target(mask) & content).sum() / max(1, content.sum()))

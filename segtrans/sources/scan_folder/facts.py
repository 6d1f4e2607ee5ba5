"""What is read of a case once: its own faults, its slices, and what they are compared by."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from segtrans.data.beside import NEITHER, are_beside
from segtrans.data.values import is_target
from segtrans.errors import UserError
from segtrans.sources.own_folder.drawn import shows_by
from segtrans.sources.own_folder.names import PRESENT
from segtrans.sources.scan_folder.fates import FATES, fates_of, shows_of
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.sources.scan_folder.masks import Masks, read_masks
from segtrans.sources.scan_folder.measures import Measures, measure
from segtrans.sources.scan_folder.scan import Scan, read_headers, read_scan
from segtrans.sources.scans.duplicates import fingerprints
from segtrans.sources.scans.grids import Grid
from segtrans.tasks.scan_folder import ScanFolder

_PERCENTILES = (0.5, 99.5)  # black and white of an example
_MEASURED = 12  # slices of a side and a domain of a case, evenly drawn
_DOMAINS = ("present", "absent")  # as in a store, which takes long to import

Fates = dict[str, NDArray[np.str_]]


@dataclass(frozen=True)
class Images:
    """Images of one domain of a case, by slice within side.

    Attributes:
        image: (k, C, H, W) float16, as stored.
        mask: (k, H, W) uint8; None without one.
        side: (k,).
        slice_index: (k,) int64, index along the resampled axis.
        shows: (k, K) uint8, which of several pathologies; of P alone.
    """

    image: NDArray[np.float16]
    mask: NDArray[np.uint8] | None
    side: NDArray[np.str_]
    slice_index: NDArray[np.int64]
    shows: NDArray[np.uint8]


@dataclass(frozen=True)
class Facts:
    """A case without its voxels: some kilobytes.

    Attributes:
        item: the case.
        faults: what is wrong with it, a line each.
        grid: of its first channel's file; None when it could not be read.
        notes: what was guessed or chosen, a sentence each.
        digest: of its voxels, as they are stored.
        prints: by channel, what copies of it have in common however they are stored.
        mask_digest: of its masks together; empty without one.
        classes: values of the classes in its masks; None without one.
        target_fraction: share of what is not background that is of a class; None without a mask.
        counts: images by fate, of `FATES`.
        shows: (k, K) uint8, which of several pathologies its images of P show: 1, 0, or `VOID`;
            None when it could not be read.
        known: of several pathologies whether the scan shows each, by its masks or as was said: 1, 0
            or `VOID`; else empty.
        n_slices: along the resampled axis.
        places: by domain, where along that axis its images lie, (k,) from 0 to 1, in their order.
        measures: by domain, of some of its images.
        example: (h, w) in [0, 1] of a slice, and where its mask is, or None.
    """

    item: ScanItem
    faults: tuple[str, ...]
    grid: Grid | None = None
    notes: tuple[str, ...] = ()
    digest: str = ""
    prints: dict[str, str] = field(default_factory=dict)
    mask_digest: str = ""
    classes: tuple[int, ...] | None = None
    target_fraction: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    shows: NDArray[np.uint8] | None = None
    known: tuple[int, ...] = ()
    n_slices: int = 0
    places: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    measures: dict[str, Measures] = field(default_factory=dict)
    example: tuple[NDArray[np.float32], NDArray[np.bool_] | None] | None = None


@dataclass(frozen=True)
class Examined:
    """A case that was read: facts, and its images by domain where it has no faults."""

    facts: Facts
    images: dict[str, Images] = field(default_factory=dict)


def examine(
    item: ScanItem, task: ScanFolder, *, spacing_mm: tuple[float, float, float]
) -> Examined:
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
    masks, drawn, faults = read_masks(item, scan)
    if masks is None and faults:
        return Examined(Facts(item, tuple(faults)))
    used = masks if item.domain == PRESENT else None
    known = item if drawn is None else replace(item, shows=shows_by(drawn, item))
    fates = {
        side: fates_of(
            known, side, content, None if used is None else used[side], scan.slice_numbers, task
        )
        for side, content in scan.content.items()
    }
    joined = np.concatenate(list(fates.values()))
    faults += _faults_of_list(item, scan, joined)
    facts = Facts(
        item=item,
        faults=tuple(faults),
        grid=grid,
        notes=scan.notes,
        digest=_digest(scan),
        prints=fingerprints(scan.volumes),
        mask_digest="" if masks is None else _mask_digest(masks),
        classes=None if drawn is None else drawn.classes,
        target_fraction=None if masks is None else _share(masks, scan.content),
        counts={fate: int((joined == fate).sum()) for fate in FATES},
        shows=_shows(known, scan, used, fates, PRESENT),
        known=known.shows,
        n_slices=scan.n_slices,
        places={d: _slices_of(fates, d) / max(1, scan.n_slices - 1) for d in _DOMAINS},
        measures={} if faults else {d: _measures(scan, grid, fates, d) for d in _DOMAINS},
        example=None if faults else _example(scan, used),
    )
    if faults:
        return Examined(facts)
    for of in fates.values():
        of[are_beside(np.isin(of, _DOMAINS), task.neighbours)] = NEITHER
    domains = (*_DOMAINS, NEITHER) if task.neighbours else _DOMAINS
    return Examined(
        facts, {domain: _images(known, scan, used, fates, domain) for domain in domains}
    )


def _faults_of_list(item: ScanItem, scan: Scan, fates: NDArray[np.str_]) -> Iterator[str]:
    if item.slices is None:
        return
    n, last = int(scan.slice_numbers.max()), max(listed.last for listed in item.slices)
    if last > n:
        yield f"{item.place}: slice {last} is listed, and the scan has {n} {scan.task.axis} slices"
    elif not (fates == "present").any():
        yield f"{item.place}: the listed slices are little but background; list others"


def _images(item: ScanItem, scan: Scan, masks: Masks | None, fates: Fates, domain: str) -> Images:
    chosen = {side: np.flatnonzero(of == domain) for side, of in fates.items()}
    mask = None
    if masks is not None and domain == PRESENT:
        mask = np.concatenate([masks[side][at] for side, at in chosen.items()])
    return Images(
        np.concatenate([scan.images[side][at] for side, at in chosen.items()]),
        mask,
        np.concatenate([np.full(len(at), side) for side, at in chosen.items()]),
        _slices_of(fates, domain),
        _shows(item, scan, masks, fates, domain),
    )


def _shows(
    item: ScanItem, scan: Scan, masks: Masks | None, fates: Fates, domain: str
) -> NDArray[np.uint8]:
    """Which of several pathologies the slices of a domain show, (k, K), side by side."""
    shows = []
    for side, of in fates.items():
        at = np.flatnonzero(of == domain)
        mask = None if masks is None else masks[side][at]
        shows.append(shows_of(item, scan.content[side][at], mask, scan.task))
    return np.concatenate(shows)


def _slices_of(fates: Fates, domain: str) -> NDArray[np.int64]:
    """Slices of a domain, (k,), side by side."""
    return np.concatenate([np.flatnonzero(of == domain) for of in fates.values()]).astype(np.int64)


def _measures(scan: Scan, grid: Grid, fates: Fates, domain: str) -> Measures:
    column, row, through = (grid.spacing_mm[axis] for axis in scan.task.lps_axes)
    spacing = (float(np.sqrt(column * row)), through)
    parts = []
    for side, of in fates.items():
        at = evenly(np.flatnonzero(of == domain), _MEASURED)
        places = at / max(1, scan.n_slices - 1)
        parts.append(measure(scan.images[side][at], scan.content[side][at], places, spacing))
    return Measures(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.thumbnails for part in parts]),
    )


def evenly(values: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """At most n of some values, evenly drawn."""
    places = np.linspace(0, len(values) - 1, min(n, len(values))).round().astype(int)
    found: NDArray[np.int64] = values[places]
    return found


def _example(
    scan: Scan, masks: Masks | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """The slice with the most target, else the one with the most that is not background."""
    told = scan.content if masks is None else {of: is_target(mask) for of, mask in masks.items()}
    counts = {side: np.count_nonzero(of, axis=(1, 2)) for side, of in told.items()}
    side = max(counts, key=lambda of: int(counts[of].max()))
    place = int(counts[side].argmax())
    image, content = scan.images[side][place, 0].astype(np.float32), scan.content[side][place]
    low, high = np.percentile(image[content], _PERCENTILES) if content.any() else (0.0, 1.0)
    grey = ((image - low) / max(high - low, 1e-6)).clip(0, 1) * content
    return grey.astype(np.float32), None if masks is None else told[side][place]


def _digest(scan: Scan) -> str:
    digest = hashlib.sha256()
    for name, volume in scan.volumes.items():
        digest.update(f"{name} {volume.dtype.name} {volume.shape}".encode())
        digest.update(np.ascontiguousarray(volume).data)
    return digest.hexdigest()


def _mask_digest(masks: Masks) -> str:
    digest = hashlib.sha256()
    for mask in masks.values():
        digest.update(np.ascontiguousarray(mask).data)
    return digest.hexdigest()


def _share(masks: Masks, content: dict[str, NDArray[np.bool_]]) -> float:
    n_target = sum(int((is_target(mask) & content[side]).sum()) for side, mask in masks.items())
    return n_target / max(1, sum(int(of.sum()) for of in content.values()))

"""From a folder of scans to a data set: read once, in parallel, in bounded memory.

The result is the same, byte for byte, for any number of processes.
"""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from segtrans.config.versions import SCAN_FOLDER_VERSION
from segtrans.data.store import StoreHeader, write_store
from segtrans.errors import UserErrors
from segtrans.places import check_space
from segtrans.processors import n_processors
from segtrans.sources.own_folder.columns import Columns, known_of, labels_of
from segtrans.sources.own_folder.folds import is_used
from segtrans.sources.own_folder.names import PRESENT
from segtrans.sources.own_folder.parallel import in_parallel
from segtrans.sources.scan_folder.check import counted
from segtrans.sources.scan_folder.facts import Images, examine
from segtrans.sources.scan_folder.faults import faults_together
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.sources.scan_folder.items import share_out
from segtrans.sources.scan_folder.prepared import Prepared, drawn_absent, faults_of_folds
from segtrans.sources.scan_folder.scan import stored_scale
from segtrans.sources.scan_folder.spacing import fix_spacing, n_slices_of, spacing_of
from segtrans.tasks.scan_folder import ScanFolder

# Columns of provenance.
_NOTES = {"case_id": "S", "group": "S", "side": "S", "slice_index": "int64"}
_LEAST_KEPT = 0.25  # of the slices: a head with air about it keeps twice as many
_VALUE_BYTES = 2


def write_scan_folder(
    output: Path,
    folder: Path,
    task: ScanFolder,
    name: str,
    *,
    data_seed: int,
    n_processes: int | None = None,
) -> tuple[list[Prepared], ScanFolder]:
    """Write the data set of a folder of scans.

    `has_mask` of P says which images are labelled; the mask of others is `VOID` all over.
    `case_id`, `group`, `side` and `slice_index` say whose image it is, and where along its axis;
    of several pathologies there are the columns of `segtrans.data.pathologies`.

    Args:
        output: the HDF5 file; it appears whole or not at all.
        folder: of the scans.
        task: what they are.
        name: of the task.
        data_seed: of the split.
        n_processes: that read; None: one for each processor.

    Returns:
        What became of each case, in the order of their places, and the task with its spacing.

    Raises:
        UserErrors: what is wrong with scans, and what folds lack, a line each.
        UserError: the disk is too small for a quarter of the slices.
    """
    items, folds = share_out(folder, task, data_seed=data_seed)
    task = fix_spacing(items, task)
    jobs = [(item, folds[item.group]) for item in items]
    check_space(output, _least_bytes([item for item, fold in jobs if is_used(item, fold)], task))
    place = next(path for path in output.absolute().parents if path.is_dir())
    with TemporaryDirectory(dir=place, prefix=".", suffix=".partial.scans") as scratch:
        columns = _columns(Path(scratch), task)
        prepared: list[Prepared] = []
        faults: list[str] = []
        read = partial(_prepare, task=task)
        n = min(n_processes or n_processors(), len(jobs))
        for case, images in in_parallel(read, jobs, n, unit="scan", n_at_once=1):
            prepared.append(case)
            faults += case.facts.faults
            if not faults:
                _append(columns, case, images)
        faults += faults_together([case.facts for case in prepared], task)
        drawn = drawn_absent(prepared, task, data_seed=data_seed)
        faults += faults_of_folds(prepared, task, drawn)
        if faults:
            raise UserErrors(faults)
        for fold, is_kept in drawn.items():
            columns.keep(fold, "absent", is_kept)
        with write_store(output, _header(prepared, folder, task, name, data_seed)) as writer:
            columns.write(writer, np.float16, stored_scale(task.intensity))
    return prepared, task


def _columns(scratch: Path, task: ScanFolder) -> Columns:
    known = known_of(task)
    return Columns(scratch, task, _NOTES, of_present=known, has_neighbours=task.neighbours > 0)


def _least_bytes(items: Sequence[ScanItem], task: ScanFolder) -> int:
    """What the images of some cases take on the disk before they are compressed, at least."""
    known = [
        item
        for item in items
        if item.domain != PRESENT or item.has_mask or item.slices or task.unlabelled == "all"
    ]
    values = len(task.channels) * task.height * task.slice_width * n_slices_of(known, task)
    return round(_LEAST_KEPT * values * _VALUE_BYTES)


def _append(columns: Columns, case: Prepared, images: dict[str, Images]) -> None:
    names = (case.item.scan.case_id, case.item.group)
    for domain, of in images.items():
        known = [
            (*row, *case.item.is_masked) if domain == PRESENT else () for row in of.shows.tolist()
        ]
        places = zip(of.side.tolist(), of.slice_index.tolist(), known, strict=True)
        notes = ((*names, side, index, *of_image) for side, index, of_image in places)
        columns.append(case.fold, domain, of.image, of.mask, notes)


def _prepare(job: tuple[ScanItem, str], *, task: ScanFolder) -> tuple[Prepared, dict[str, Images]]:
    """A case, with what is wrong with it, and what is stored of it in its fold."""
    item, fold = job
    examined = examine(item, task, spacing_mm=spacing_of(task))
    case = Prepared(examined.facts, fold)
    return case, examined.images if case.is_used else {}


def _header(
    prepared: Sequence[Prepared], folder: Path, task: ScanFolder, name: str, data_seed: int
) -> StoreHeader:
    facts = [
        (case.item.place, case.fold, case.facts.digest, case.facts.mask_digest, case.item.slices)
        + ((case.item.shows,) if task.pathologies else ())
        + ((case.item.is_masked,) if any(case.item.masks) else ())
        for case in prepared
    ]
    n_slices = max(case.facts.n_slices for case in prepared)
    return StoreHeader(
        task=name,
        channels=task.channels,
        parameters={
            "definition": task.model_dump(mode="json"),
            "title": task.title,
            "volume_shape": [task.slice_width, task.height, n_slices],
            "spacing_mm": list(spacing_of(task)),
            "mirror_right": task.halves,
            "scan_folder_version": SCAN_FOLDER_VERSION,
            **({"neighbours": task.neighbours} if task.neighbours else {}),
        },
        source=f"{counted([case.item for case in prepared])} ones, of {folder.resolve().name}.",
        source_sha256=hashlib.sha256(repr(facts).encode()).hexdigest(),
        data_seed=data_seed,
        labels=labels_of(task),
        has_void=True,
        pathologies=task.pathologies,
    )

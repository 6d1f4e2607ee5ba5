"""From a folder of scans to a data set: read once, in parallel, in bounded memory.

The result is the same, byte for byte, for any number of processes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from segtrans.config.versions import SCAN_FOLDER_VERSION
from segtrans.data.store import DOMAINS, FOLDS, StoreHeader, write_store
from segtrans.errors import UserError, UserErrors
from segtrans.places import check_space
from segtrans.processors import n_processors
from segtrans.sources.own_folder.columns import Columns, known_of, labels_of
from segtrans.sources.own_folder.folds import is_used
from segtrans.sources.own_folder.names import PRESENT
from segtrans.sources.own_folder.parallel import in_parallel
from segtrans.sources.scan_folder.check import counted
from segtrans.sources.scan_folder.facts import Facts, Images, examine
from segtrans.sources.scan_folder.faults import faults_together
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.sources.scan_folder.items import draw_scan_folds, find_items
from segtrans.sources.scan_folder.positions import drawn_as_present
from segtrans.sources.scan_folder.scan import stored_scale
from segtrans.sources.scan_folder.spacing import fix_spacing, n_slices_of, spacing_of
from segtrans.tasks.scan_folder import ScanFolder

# Columns of provenance.
_NOTES = {"case_id": "S", "group": "S", "side": "S", "slice_index": "int64"}
_LEAST_KEPT = 0.25  # of the slices: a head with air about it keeps twice as many
_VALUE_BYTES = 2


@dataclass(frozen=True)
class Prepared:
    """What became of a case: its facts, and the fold that it is in."""

    facts: Facts
    fold: str

    @property
    def item(self) -> ScanItem:
        """What it is."""
        return self.facts.item

    @property
    def is_used(self) -> bool:
        """Whether it has a use in its fold."""
        return is_used(self.item, self.fold)

    def row(self) -> dict[str, Any]:
        """What a report says of it, as plain types."""
        grid = self.facts.grid
        has_mask = self.item.domain == PRESENT and self.item.mask is not None
        return {
            "case": self.item.scan.case_id,
            "place": self.item.place,
            "domain": self.item.domain,
            "fold": self.fold,
            "group": self.item.group,
            "shape": " x ".join(map(str, grid.shape)) if grid else "",
            "spacing_mm": " x ".join(f"{mm:g}" for mm in grid.spacing_mm) if grid else "",
            "has_mask": has_mask,
            "has_list": self.item.slices is not None,
            "target": self.facts.target_fraction if has_mask else None,
            "n_slices": self.facts.n_slices,
            **{f"n_{fate}": n for fate, n in self.facts.counts.items()},
            "is_used": self.is_used,
            "digest": self.facts.digest,
        }


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
        UserErrors: what is wrong with scans, a line each.
        UserError: a fold would be empty, or the disk is too small for a quarter of the slices.
    """
    items, _ = find_items(folder, task)
    folds = draw_scan_folds(items, task, data_seed=data_seed)
    task = fix_spacing(items, task)
    jobs = [(item, folds[item.group]) for item in items]
    check_space(output, _least_bytes([item for item, fold in jobs if is_used(item, fold)], task))
    place = next(path for path in output.absolute().parents if path.is_dir())
    with TemporaryDirectory(dir=place, prefix=".", suffix=".partial.scans") as scratch:
        columns = _columns(Path(scratch), task)
        places: dict[tuple[str, str], list[float]] = {}
        prepared, faults = list[Prepared](), list[str]()
        read = partial(_prepare, task=task)
        n = min(n_processes or n_processors(), len(jobs))
        for case, images in in_parallel(read, jobs, n, unit="scan", n_at_once=1):
            prepared.append(case)
            faults += case.facts.faults
            if not faults:
                _append(columns, case, images)
                for domain, of in images.items():
                    along = of.slice_index / max(1, case.facts.n_slices - 1)
                    places.setdefault((case.fold, domain), []).extend(along.tolist())
        faults += faults_together([case.facts for case in prepared], task)
        if faults:
            raise UserErrors(faults)
        _check_kept(prepared)
        if task.absent_positions == "as_present":
            _draw_absent(columns, places, data_seed)
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
        if item.domain != PRESENT or item.mask or item.slices or task.unlabelled == "all"
    ]
    values = len(task.channels) * task.height * task.slice_width * n_slices_of(known, task)
    return round(_LEAST_KEPT * values * _VALUE_BYTES)


def _draw_absent(
    columns: Columns, places: Mapping[tuple[str, str], list[float]], data_seed: int
) -> None:
    """Of each fold's A keep what lies along the axis as its P does."""
    for number, fold in enumerate(FOLDS):
        present, absent = (np.array(places[fold, domain]) for domain in DOMAINS)
        is_kept = drawn_as_present(present, absent, seed=(data_seed, number))
        if not is_kept.any():
            raise UserError(
                f"fold {fold}: no slice of A lies along the axis where slices of P do; give more "
                "scans, or set absent_positions: all"
            )
        columns.keep(fold, "absent", is_kept)


def _append(columns: Columns, case: Prepared, images: dict[str, Images]) -> None:
    names = (case.item.scan.case_id, case.item.group)
    for domain, of in images.items():
        has_mask = [of.mask is not None] * of.shows.shape[1]
        known = [(*row, *has_mask) if domain == PRESENT else () for row in of.shows.tolist()]
        places = zip(of.side.tolist(), of.slice_index.tolist(), known, strict=True)
        notes = ((*names, side, index, *of_image) for side, index, of_image in places)
        columns.append(case.fold, domain, of.image, of.mask, notes)


def _prepare(job: tuple[ScanItem, str], *, task: ScanFolder) -> tuple[Prepared, dict[str, Images]]:
    """A case, with what is wrong with it, and what is stored of it in its fold."""
    item, fold = job
    examined = examine(item, task, spacing_mm=spacing_of(task))
    case = Prepared(examined.facts, fold)
    return case, examined.images if case.is_used else {}


def _check_kept(prepared: Sequence[Prepared]) -> None:
    for fold in FOLDS:
        of = [case for case in prepared if case.fold == fold and case.is_used]
        n_of = {
            "P with a mask": sum(
                case.facts.counts["present"] for case in of if case.item.mask is not None
            ),
            "A": sum(case.facts.counts["absent"] for case in of),
        }
        for what, n in n_of.items():
            if not n:
                raise UserError(
                    f"fold {fold}: of its {len(of)} scans no slice of {what} is left; lower "
                    "min_target_fraction or min_content_fraction, or give more scans"
                )


def _header(
    prepared: Sequence[Prepared], folder: Path, task: ScanFolder, name: str, data_seed: int
) -> StoreHeader:
    facts = [
        (case.item.place, case.fold, case.facts.digest, case.facts.mask_digest, case.item.slices)
        + ((case.item.shows,) if task.pathologies else ())
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

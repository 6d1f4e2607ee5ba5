"""Make a folder of scans from BraTS of any year: the paper's task as a preset of `scan_folder`.

A scan is linked where the disk allows it, so that it takes no room, else copied; the Decathlon's
files of four volumes are taken apart. Masks are written anew: 1 where there is any tumour.
"""

import csv
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from tqdm import tqdm

from segtrans.atomic import atomic_path
from segtrans.data.split import split_patients
from segtrans.errors import UserError, UserErrors
from segtrans.sources.brats.half_slices import half
from segtrans.sources.image_folder.imports.write import check_import
from segtrans.sources.own_folder.definition import DEFINITION
from segtrans.sources.own_folder.names import ABSENT, PRESENT
from segtrans.sources.scan_folder.definition import KIND, complete_definition
from segtrans.sources.scan_folder.items import survey
from segtrans.sources.scan_folder.table import TABLE
from segtrans.sources.scans.case_names import ENDINGS, MSD, MSD_SEQUENCES, SEQUENCES
from segtrans.sources.scans.case_tables import check_labels
from segtrans.sources.scans.cases import CaseFiles, describe, find_cases
from segtrans.sources.scans.geometry import Geometry, check_same_place, geometry_of
from segtrans.sources.scans.grids import read_geometry
from segtrans.sources.scans.masks import classes_of
from segtrans.sources.scans.nifti import read_nifti
from segtrans.tasks.parameters import HalfSliceRules
from segtrans.tasks.registry import PAPER_TASKS
from segtrans.tasks.scan_folder import ScanFolder
from segtrans.tasks.sides import SIDES

_MASK_STREAM = 1006  # keeps the draw apart from those of other modules
_SCANS, _MASKS = "scans", "masks"
_LPS_Z = 2


@dataclass(frozen=True)
class _Mask:
    """A mask of a case: (X, Y, Z) in LPS orientation, 1 where there is tumour."""

    tumour: NDArray[np.uint8]
    geometry: Geometry


def import_brats(
    source: Path,
    folder: Path,
    *,
    labelled: float | None,
    label_classes: Sequence[int] | None,
    data_seed: int,
) -> list[str]:
    """Write a folder of scans with dataset.csv and dataset.yaml, whole or not at all.

    Patients are split as for the task brats. A case whose mask is empty is absent. Where masks of
    training cases are left out, the table lists which halves of which slices show the tumour.

    Args:
        source: folder of the cases, in any layout that BraTS has had; some may lack a mask.
        folder: to make; it must not be there, or be empty.
        labelled: share of the training patients whose masks are kept; None: all.
        label_classes: class of the masks' labels 1, 2, 3... in turn, 0 is no tumour; None: as the
            layout has them.
        data_seed: of the split, and of whose masks are kept.

    Returns:
        What was written, a line each.

    Raises:
        UserErrors: what would be wrong with the folder, a line each; then nothing is written.
        UserError: there are no cases or too few, a mask is damaged or its labels are unknown.
    """
    check_import(source, folder)
    cases = find_cases(source, may_lack_masks=True)
    folds = _folds(cases, data_seed=data_seed)
    kept = _labelled_patients(cases, folds, labelled, data_seed=data_seed)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        rows = [
            _write_case(
                temporary,
                case,
                folds[case.case_id],
                label_classes,
                keeps_mask=folds[case.case_id] != "train" or case.patient in kept,
            )
            for case in tqdm(cases, unit="case", disable=None)
        ]
        with (temporary / TABLE).open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        text = yaml.safe_dump(_definition(), sort_keys=False, allow_unicode=True)
        (temporary / DEFINITION).write_text(text, encoding="utf-8")
        if faults := survey(temporary, complete_definition(temporary, {})).faults:
            raise UserErrors([fault.replace(str(temporary), str(source)) for fault in faults])
    return [describe(cases), *_summary(rows)]


def _folds(cases: Sequence[CaseFiles], *, data_seed: int) -> dict[str, str]:
    """By case; patients some of whose scans lack a mask train, for scores need all."""
    unmasked = {case.patient for case in cases if case.mask is None}
    masked = [case for case in cases if case.patient not in unmasked]
    task = ScanFolder.model_fields
    folds = split_patients(
        {case.case_id: case.grade for case in masked},
        valid_fraction=task["valid_fraction"].default,
        test_fraction=task["test_fraction"].default,
        rotation=0,
        data_seed=data_seed,
        patients={case.case_id: case.patient for case in masked},
    )
    return dict.fromkeys((case.case_id for case in cases), "train") | folds


def _labelled_patients(
    cases: Sequence[CaseFiles], folds: dict[str, str], share: float | None, *, data_seed: int
) -> set[str]:
    """Training patients whose masks are kept: a share of them, at least one."""
    patients = sorted({case.patient for case in cases if folds[case.case_id] == "train"})
    if share is None:
        return set(patients)
    n = max(1, round(share * len(patients)))
    rng = np.random.default_rng((data_seed, _MASK_STREAM))
    return set(rng.permutation(patients)[:n].tolist())


def _write_case(
    folder: Path,
    case: CaseFiles,
    fold: str,
    label_classes: Sequence[int] | None,
    *,
    keeps_mask: bool,
) -> dict[str, str]:
    """Write the scans of a case, and its mask if it is kept; its row of the table."""
    scans = _write_scans(folder, case)
    mask = _read_mask(case, label_classes)
    is_absent = mask is not None and not mask.tumour.any()
    row = {"case": case.case_id, "domain": ABSENT if is_absent else PRESENT, **scans}
    row |= {"mask": "", "group": case.patient, "fold": fold, "slices": ""}
    if mask is None or is_absent:
        return row
    if keeps_mask:
        row["mask"] = f"{_MASKS}/{case.case_id}.nii.gz"
        (folder / _MASKS).mkdir(exist_ok=True)
        mask.geometry.save(mask.tumour, folder / row["mask"], dtype=np.uint8)
    else:
        row["slices"] = " ".join(_listed(mask.tumour, case))
    return row


def _write_scans(folder: Path, case: CaseFiles) -> dict[str, str]:
    place = folder / _SCANS / case.case_id
    place.mkdir(parents=True)
    if case.layout == MSD:
        path = case.sequences["t1"]
        whole = read_nifti(path, n_axes=4)
        geometry, _ = geometry_of(whole.header, path)
        for name in SEQUENCES:
            volume = whole.voxels[..., MSD_SEQUENCES.index(name)]
            file = place / f"{case.case_id}_{name}.nii.gz"
            geometry.save(geometry.to_lps(volume), file, dtype=volume.dtype)
    else:
        for name, path in case.sequences.items():
            ending = next(end for end in ENDINGS if path.name.lower().endswith(end))
            _link(path, place / f"{case.case_id}_{name}{ending}")
    return {
        name: next(place.glob(f"*_{name}.nii*")).relative_to(folder).as_posix()
        for name in SEQUENCES
    }


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one that has no links
        shutil.copyfile(source, target)


def _read_mask(case: CaseFiles, label_classes: Sequence[int] | None) -> _Mask | None:
    if case.mask is None:
        return None
    if case.layout == MSD and label_classes is None:
        check_labels(case.mask.parent.parent)
    nifti = read_nifti(case.mask, n_axes=3)
    geometry, _ = geometry_of(nifti.header, case.mask)
    first = case.sequences[SEQUENCES[0]]
    of_scan = read_geometry(first)
    if of_scan is None:
        raise UserError(f"{first}: cannot be read as NIfTI; copy or download it again")
    check_same_place(of_scan, geometry, of=first, path=case.mask)
    classes, _ = classes_of(nifti.voxels, case.mask, case.layout, label_classes)
    return _Mask(geometry.to_lps((classes != 0).astype(np.uint8)), geometry)


def _listed(tumour: NDArray[np.uint8], case: CaseFiles) -> Iterator[str]:
    """Which halves of which axial slices show tumour, such as R12-30, as the scan counts them."""
    geometry = read_geometry(case.sequences[SEQUENCES[0]])
    is_backwards = geometry is not None and geometry.counts_backwards(_LPS_Z)
    n = tumour.shape[_LPS_Z]
    for side in SIDES:
        slices = np.flatnonzero(half(tumour, side).any(axis=(1, 2)))
        numbers = sorted((n - slices if is_backwards else slices + 1).tolist())
        for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
            in_turn = [number for _, number in run]
            last = f"-{in_turn[-1]}" if len(in_turn) > 1 else ""
            yield f"{side[0].upper()}{in_turn[0]}{last}"


def _definition() -> dict[str, Any]:
    """The paper's task in the keys of scans of one's own."""
    task = PAPER_TASKS["brats"]
    rules = HalfSliceRules()
    return {
        "kind": KIND,
        "title": task.title,
        "channels": list(task.channels),
        "classes": dict(task.classes),
        "height": task.height,
        "width": task.width,
        "architecture": task.architecture,
        "segmentation_norm": task.segmentation_norm,
        "axis": "axial",
        "halves": True,
        "spacing_mm": [1.0, 1.0, 1.0],
        "unlabelled": "listed",
        "absent_from_present": "lists",
        "min_content_fraction": rules.min_brain_fraction,
        "min_target_fraction": rules.min_lesion_fraction,
    }


def _summary(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    for fold in ("train", "valid", "test"):
        of_fold = [row for row in rows if row["fold"] == fold]
        domains = Counter(row["domain"] for row in of_fold)
        n_masks = sum(bool(row["mask"]) for row in of_fold)
        line = f"{fold}: {domains[PRESENT]} present cases, {n_masks} of them with a mask"
        if n_listed := sum(bool(row["slices"]) for row in of_fold):
            line += f" and {n_listed} with a list of the slices that show the tumour"
        yield f"{line}; {domains[ABSENT]} absent"
    n_unknown = sum(row["domain"] == PRESENT and not (row["mask"] or row["slices"]) for row in rows)
    if n_unknown:
        yield (
            f"{n_unknown} cases came without a mask: nobody knows which of their slices show the "
            f"tumour, so none is used; list them in {TABLE}, or say unlabelled: all in {DEFINITION}"
        )

"""Parts of the data set `brats`: the half-slices of some patients, as an uncompressed .npz file."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from segtrans.atomic import atomic_path
from segtrans.data.cases import CaseFiles
from segtrans.data.half_slices import Domains, HalfSliceRules, HalfSlices, make_half_slices
from segtrans.data.store import DOMAINS, FOLDS
from segtrans.data.volumes import read_case
from segtrans.errors import UserError

SIDE_TYPE = "S5"

# What is known of one patient after preparation; a line of the report.
Patient = dict[str, Any]


def save_part(
    cases: Iterable[CaseFiles], output: Path, folds: dict[str, str], rules: HalfSliceRules
) -> None:
    """Prepare some patients and write their half-slices, by fold and domain.

    Args:
        cases: by case id.
        output: the .npz file; it appears whole or not at all.
        folds: fold by case id.
        rules: what to keep.

    Raises:
        UserError: a case is bad.
    """
    prepared = [_prepare(files, folds[files.case_id], rules) for files in cases]
    facts = {"patients": [patient for patient, _ in prepared], "rules": vars(rules)}
    arrays = {
        f"{fold}/{domain}/{name}": values
        for fold in FOLDS
        for domain in DOMAINS
        for name, values in _stacked(prepared, fold, domain).items()
    }
    with atomic_path(output) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)


def read_facts(parts: Sequence[Path]) -> tuple[list[Patient], dict[str, Any]]:
    """The patients of all parts, and the rules that all were prepared by.

    Raises:
        UserError: a part is damaged, or parts were prepared by different rules.
    """
    facts = [json.loads(str(read_arrays(part, "facts")[0])) for part in parts]
    for part, of_part in zip(parts, facts, strict=True):
        if of_part["rules"] != facts[0]["rules"]:
            raise UserError(
                f"{part}: prepared by {of_part['rules']}, {parts[0]} by {facts[0]['rules']}; "
                "prepare both by the same rules"
            )
    return [patient for of_part in facts for patient in of_part["patients"]], facts[0]["rules"]


def read_arrays(part: Path, name: str, *, optional: bool = False) -> list[NDArray[Any]]:
    """The array of a name; none when the part may lack it, since no patient is in that fold.

    Raises:
        UserError: the part is missing or damaged.
    """
    try:
        with part.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return [] if optional and name not in content else [content[name]]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"{part}: no part of prepared patients ({error}); prepare again") from error


def _prepare(files: CaseFiles, fold: str, rules: HalfSliceRules) -> tuple[Patient, Domains]:
    case = read_case(files, with_mask=True)
    if case.mask is None:
        raise UserError(f"{files.case_id}: no mask; a case to train on needs one")
    domains, intensities = make_half_slices(case.sequences, case.mask, rules, case_id=files.case_id)
    shape = next(iter(case.sequences.values())).shape
    patient = {
        "case_id": files.case_id,
        "grade": files.grade,
        "fold": fold,
        "labels": case.label_convention,
        "shape": list(shape),
        "spacing_mm": [round(mm, 4) for mm in case.geometry.spacing_mm],
        "sha256": _sha256({*files.sequences.values(), files.mask}),
        "lesion_voxels": int(np.count_nonzero(case.mask)),
        "n": domains.counts,
        "mean": intensities.mean,
        "sd": intensities.sd,
    }
    return patient, domains


def _sha256(files: Iterable[Path | None]) -> str:
    hashes = []
    for path in sorted(file for file in files if file is not None):
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _stacked(
    prepared: Sequence[tuple[Patient, Domains]], fold: str, domain: str
) -> dict[str, NDArray[Any]]:
    """The half-slices of a fold and domain as one array each; nothing when there is no patient."""
    chosen: list[tuple[Patient, HalfSlices]] = [
        (patient, getattr(domains, domain))
        for patient, domains in prepared
        if patient["fold"] == fold
    ]
    if not chosen:
        return {}
    columns = {
        name: np.concatenate([getattr(half_slices, name) for _, half_slices in chosen])
        for name in ("image", "mask", "side", "slice_index")
    }
    columns["side"] = columns["side"].astype(SIDE_TYPE)
    columns["case_id"] = np.concatenate(
        [
            np.full(len(half_slices.side), patient["case_id"].encode())
            for patient, half_slices in chosen
        ]
    )
    return columns

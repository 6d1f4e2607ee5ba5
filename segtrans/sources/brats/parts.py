"""Parts of the data set `brats`: the half-slices of some patients, as an uncompressed .npz file.

Arrays are written and read patient by patient: memory does not grow with their number.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from segtrans.atomic import atomic_path
from segtrans.config.refusals import validate
from segtrans.data.beside import NEITHER
from segtrans.data.store import DOMAINS
from segtrans.digests import file_sha256
from segtrans.errors import UserError
from segtrans.sources.brats.half_slices import Domains, HalfSlices, make_half_slices
from segtrans.sources.scans.cases import CaseFiles
from segtrans.sources.scans.duplicates import fingerprints, mask_fingerprint
from segtrans.sources.scans.masks import WHITE_MATTER_CLASSES, pathology_bits
from segtrans.sources.scans.volumes import Case, read_case
from segtrans.tasks.parameters import HalfSliceRules

SIDE_TYPE = "S5"
_FACTS = "facts"

# What is known of one patient after preparation; a line of the report.
Patient = dict[str, Any]


def save_part(
    cases: Iterable[CaseFiles],
    output: Path,
    folds: Mapping[str, str],
    rules: HalfSliceRules,
    pathologies: tuple[str, ...] = (),
) -> None:
    """Prepare some patients and write their half-slices, one patient after the other.

    Args:
        cases: by case id.
        output: the .npz file; it appears whole or not at all.
        folds: fold by case id.
        rules: what to keep.
        pathologies: names of tumour and white-matter lesions; none: the tumour is the target.

    Raises:
        UserError: a case is bad.
    """
    with atomic_path(output) as temporary, ZipFile(temporary, "x") as archive:
        patients = [
            _add(archive, files, folds[files.case_id], rules, pathologies) for files in cases
        ]
        facts = {"patients": patients, "rules": rules.facts, "pathologies": pathologies}
        _write_array(archive, _FACTS, np.array(json.dumps(facts)))


def read_facts(
    parts: Sequence[Path],
) -> tuple[list[Patient], HalfSliceRules, tuple[str, ...]]:
    """The patients of all parts, and the rules and pathologies that all were prepared by.

    Raises:
        UserError: a part is damaged or of an earlier version, or parts were prepared by different
            rules or for other pathologies.
    """
    facts = [_facts(part) for part in parts]
    for part, of_part in zip(parts, facts, strict=True):
        for what in ("rules", "pathologies"):
            if (found := of_part.get(what, [])) != (first := facts[0].get(what, [])):
                raise UserError(
                    f"{part}: prepared by {found}, {parts[0]} by {first}; prepare both by the same "
                    f"{what}"
                )
        if any("fingerprints" not in patient for patient in of_part["patients"]):
            raise UserError(
                f"{part}: prepared by an earlier version, which took no fingerprints of the scans; "
                "delete it and prepare it again"
            )
    rules = validate(HalfSliceRules, facts[0]["rules"], origin=str(parts[0]))
    patients = [patient for of_part in facts for patient in of_part["patients"]]
    return patients, rules, tuple(facts[0].get("pathologies", ()))


def read_column(
    parts: Sequence[Path], case_ids: Collection[str], domain: str, name: str
) -> Iterator[NDArray[Any]]:
    """One array of each of some patients, in the order of the parts.

    Args:
        parts: in the order of their jobs.
        case_ids: whose.
        domain: present, absent or neither.
        name: image, mask, side, slice_index, case_id, or shows_<name> of a pathology.

    Raises:
        UserError: a part is missing or damaged.
    """
    for part in parts:
        here = (patient["case_id"] for patient in _facts(part)["patients"])
        chosen = [case_id for case_id in here if case_id in case_ids]
        yield from _read_arrays(part, [_key(case_id, domain, name) for case_id in chosen])


def _facts(part: Path) -> dict[str, Any]:
    (text,) = _read_arrays(part, [_FACTS])
    facts: dict[str, Any] = json.loads(str(text))
    return facts


def _key(case_id: str, domain: str, name: str) -> str:
    return f"{case_id}/{domain}/{name}"


def _write_array(archive: ZipFile, name: str, values: NDArray[Any]) -> None:
    """Add an array as np.savez does, which would hold all of them in memory at once."""
    with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        np.lib.format.write_array(file, values, allow_pickle=False)


def _read_arrays(part: Path, names: Sequence[str]) -> Iterator[NDArray[Any]]:
    try:
        with part.open("rb") as file, np.load(file, allow_pickle=False) as content:
            for name in names:
                yield content[name]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"{part}: no part of prepared patients ({error}); prepare again") from error


def _add(
    archive: ZipFile,
    files: CaseFiles,
    fold: str,
    rules: HalfSliceRules,
    pathologies: tuple[str, ...],
) -> Patient:
    """Prepare one patient and write the half-slices; what is known of the patient is returned."""
    classes = WHITE_MATTER_CLASSES if pathologies else rules.label_classes
    case, own_mask = read_labelled(files, classes)
    mask = pathology_bits(own_mask) if pathologies else own_mask
    domains, intensities = make_half_slices(
        case.sequences, mask, rules, case_id=files.case_id, n_pathologies=len(pathologies)
    )
    for domain in (*DOMAINS, NEITHER):
        for name, values in _columns(files.case_id, domains, domain, pathologies).items():
            _write_array(archive, _key(files.case_id, domain, name), values)
    return {
        **facts_of(case, own_mask, fold),
        **{
            f"voxels_of_{name}": int(np.count_nonzero(mask & (1 << k)))
            for k, name in enumerate(pathologies)
        },
        "n": domains.counts | {NEITHER: len(domains.neither.side)},
        "mean": intensities.mean,
        "sd": intensities.sd,
    }


def read_labelled(
    files: CaseFiles, label_classes: Sequence[int] | None
) -> tuple[Case, NDArray[np.uint8]]:
    """A case to train on, and its mask.

    Raises:
        UserError: it is bad, or has none.
    """
    case = read_case(files, with_mask=True, label_classes=label_classes)
    if case.mask is None:
        raise UserError(f"{files.case_id}: no mask; a case to train on needs one")
    return case, case.mask


def facts_of(case: Case, mask: NDArray[np.uint8], fold: str) -> Patient:
    """What is known of a patient, whatever is made of the scan."""
    files, shape = case.files, next(iter(case.sequences.values())).shape
    return {
        "case_id": files.case_id,
        "grade": files.grade,
        "fold": fold,
        "labels": case.label_convention,
        "shape": list(shape),
        "spacing_mm": [round(mm, 4) for mm in case.geometry.spacing_mm],
        "patient": files.patient,
        "fingerprints": fingerprints(case.sequences),
        "mask_fingerprint": mask_fingerprint(mask),
        "sha256": _sha256({*files.sequences.values(), files.mask}),
        "lesion_voxels": int(np.count_nonzero(mask)),
    }


def _sha256(files: Iterable[Path | None]) -> str:
    hashes = [file_sha256(path) for path in sorted(file for file in files if file is not None)]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _columns(
    case_id: str, domains: Domains, domain: str, pathologies: tuple[str, ...]
) -> dict[str, NDArray[Any]]:
    """The half-slices of a patient in a domain, as what is stored of them."""
    half_slices: HalfSlices = getattr(domains, domain)
    shows = {f"shows_{name}": half_slices.shows[:, k] for k, name in enumerate(pathologies)}
    return {
        **shows,
        "image": half_slices.image,
        "mask": half_slices.mask,
        "side": half_slices.side.astype(SIDE_TYPE),
        "slice_index": half_slices.slice_index,
        "case_id": np.full(len(half_slices.side), case_id.encode()),
    }

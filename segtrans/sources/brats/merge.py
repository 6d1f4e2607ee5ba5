"""The parts of all patients as one store, with patients by id within each fold."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from tqdm import tqdm

from segtrans.config.versions import HALF_SLICES_VERSION
from segtrans.data.beside import NEITHER
from segtrans.data.pathologies import bit_labels
from segtrans.data.store import DOMAINS, FOLDS, write_store
from segtrans.data.store_writer import StoreWriter
from segtrans.errors import UserError
from segtrans.sources.brats.parts import SIDE_TYPE, Patient, read_column, read_facts
from segtrans.sources.brats.split_file import read_split
from segtrans.sources.brats.store_header import check_alike, header_of
from segtrans.sources.intensity import Z_SCORE_SCALE
from segtrans.sources.scans.case_names import SEQUENCES
from segtrans.sources.scans.duplicates import check_fingerprints

# What the classes of `segtrans.sources.scans.volumes` are.
LABELS = {
    0: "background",
    1: "necrotic or non-enhancing core",
    2: "oedema",
    3: "enhancing tumour",
}


def merge_parts(
    parts: Sequence[Path], split: Path, output: Path, *, task: str = "brats"
) -> list[Patient]:
    """Merge parts into one store, patients by id within each fold.

    Args:
        parts: in the order of their jobs.
        split: the split file.
        output: the HDF5 file; it appears whole or not at all.
        task: its name.

    Returns:
        What is known of each patient, its fold included, by case id.

    Raises:
        UserError: volumes differ in shape or spacing, two cases hold one scan, a part is damaged or
            another one's, or a fold has no half-slice of a domain, or that shows a pathology.
    """
    read = read_split(split)
    patients, rules, pathologies = read_facts(parts)
    check_alike(patients)
    if sorted(read.folds.items()) != [(p["case_id"], p["fold"]) for p in patients]:
        raise UserError(f"{split}: not the patients of the parts; prepare them again")
    check_fingerprints(patients)
    counts = _counts(patients)
    _check_folds(counts, read.folds)
    _check_shown(parts, pathologies, read.folds)
    header = header_of(
        patients,
        read,
        task=task,
        facts={**rules.facts, "half_slices_version": HALF_SLICES_VERSION},
        labels=bit_labels(pathologies) if pathologies else LABELS,
        pathologies=pathologies,
    )
    with write_store(output, header) as writer:
        for fold in FOLDS:
            for domain in (*DOMAINS, NEITHER):
                if n := counts[fold][domain]:
                    _write_domain(writer, fold, domain, parts, n, patients, pathologies)
    return patients


def _counts(patients: Sequence[Patient]) -> dict[str, dict[str, int]]:
    counts = {fold: dict.fromkeys((*DOMAINS, NEITHER), 0) for fold in FOLDS}
    for patient in patients:
        for domain in counts[patient["fold"]]:
            counts[patient["fold"]][domain] += patient["n"][domain]
    return counts


def _check_folds(counts: dict[str, dict[str, int]], folds: Mapping[str, str]) -> None:
    for fold in FOLDS:
        n_cases = list(folds.values()).count(fold)
        of = f"{n_cases} case{'s' if n_cases > 1 else ''}"
        for domain, what in (("present", "with a lesion"), ("absent", "without a lesion")):
            if not counts[fold][domain]:
                raise UserError(
                    f"fold {fold}: none of the half-slices of its {of} is {what} and large enough; "
                    "expected some in every fold: give more patients, or split with another seed"
                )


def _check_shown(parts: Sequence[Path], names: Sequence[str], folds: Mapping[str, str]) -> None:
    for fold, name in product(FOLDS, names):
        of_fold = {case_id for case_id, own in folds.items() if own == fold}
        if not any(
            (of == 1).any() for of in read_column(parts, of_fold, "present", f"shows_{name}")
        ):
            raise UserError(
                f"fold {fold}: none of its half-slices shows {name}, large enough; expected some "
                "in every fold: give more patients, or split with another seed"
            )


def _write_domain(
    writer: StoreWriter,
    fold: str,
    domain: str,
    parts: Sequence[Path],
    n: int,
    patients: Sequence[Patient],
    pathologies: Sequence[str],
) -> None:
    x, y, _ = patients[0]["shape"]
    case_ids = {patient["case_id"] for patient in patients if patient["fold"] == fold}
    width = max(len(patient["case_id"].encode()) for patient in patients)
    layout: dict[str, tuple[tuple[int, ...], str]] = {
        "image": ((len(SEQUENCES), y, x // 2), "float16"),
        "mask": ((y, x // 2), "uint8"),
        "side": ((), SIDE_TYPE),
        "slice_index": ((), "int64"),
        "case_id": ((), f"S{width}"),
    }
    if domain == "present":
        layout |= {f"shows_{name}": ((), "uint8") for name in pathologies}
    else:
        del layout["mask"]
    for name, (shape, dtype) in layout.items():
        scale = Z_SCORE_SCALE if name == "image" else None
        # One dataset after the other: the bytes do not depend on how patients were shared out.
        dataset = writer.add(fold, domain, name, shape=(n, *shape), dtype=dtype, scale=scale)
        columns = read_column(parts, case_ids, domain, name)
        bar = tqdm(columns, f"{fold} {domain} {name}", len(case_ids), unit="patient", disable=None)
        for values in bar:
            dataset.append(values.astype(dtype, copy=False))

"""The data set `brats`: patients are split, prepared in parts, and merged into one store.

The store is the same, byte for byte, for any number of parts.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from segtrans.atomic import write_json, write_text
from segtrans.config.versions import HALF_SLICES_VERSION
from segtrans.data.beside import NEITHER
from segtrans.data.split import split_patients
from segtrans.data.store import DOMAINS, FOLDS, StoreHeader, write_store
from segtrans.data.store_writer import StoreWriter
from segtrans.errors import UserError
from segtrans.sources.brats.parts import SIDE_TYPE, Patient, read_column, read_facts, save_part
from segtrans.sources.brats.split_file import SplitFile, check_patients, read_split
from segtrans.sources.intensity import Z_SCORE_SCALE
from segtrans.sources.scans.case_names import SEQUENCES
from segtrans.sources.scans.cases import PHANTOM, CaseFiles, describe, find_all_cases
from segtrans.sources.scans.duplicates import check_distinct, check_fingerprints
from segtrans.sources.scans.grids import PLANE, check_grids, describe_spacing
from segtrans.sources.scans.masks import describe_labels
from segtrans.tasks.parameters import HalfSliceRules

# What the classes of `segtrans.sources.scans.volumes` are.
LABELS = {
    0: "background",
    1: "necrotic or non-enhancing core",
    2: "oedema",
    3: "enhancing tumour",
}


def write_split(
    sources: Sequence[Path],
    output: Path,
    *,
    valid_fraction: float,
    test_fraction: float,
    rotation: int,
    data_seed: int,
    plane: tuple[int, int] = PLANE,
) -> None:
    """Find the cases below some folders and write which patient is in which fold.

    The file has the sentence on the source, the grades and the fold of each case id, and what
    the split was drawn with. It can be written by hand or changed.

    Args:
        sources: folders of the cases.
        output: the JSON file.
        valid_fraction: share of the patients to validate on.
        test_fraction: share of the patients to test on.
        rotation: k tests the k-th part of a cross-validation.
        data_seed: of the shuffle.
        plane: columns and rows that an axial slice must have.

    Raises:
        UserError: there is no case, one is incomplete, of another size or there under two ids, or
            there are too few for three folds.
    """
    cases = find_all_cases(sources)
    patients = {case.case_id: case.patient for case in cases}
    grades = {case.case_id: case.grade for case in cases}
    drawn = {
        "valid_fraction": valid_fraction,
        "test_fraction": test_fraction,
        "rotation": rotation,
        "data_seed": data_seed,
    }
    folds = split_patients(
        grades,
        patients=patients,
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        rotation=rotation,
        data_seed=data_seed,
    )
    # Before hours are spent on the voxels.
    grid = check_grids(cases, plane)
    check_distinct(cases)
    content = {
        "version": 1,
        "source": describe(cases) + describe_spacing(grid),
        "drawn": drawn,
        "grades": grades,
        "patients": {case_id: name for case_id, name in patients.items() if name != case_id},
        "folds": folds,
    }
    write_json(output, content)


def write_part(
    sources: Sequence[Path],
    split: Path,
    output: Path,
    *,
    rules: HalfSliceRules,
    job: int,
    n_jobs: int,
) -> None:
    """Prepare the patients of one of `n_jobs` jobs, neighbours in the order of case ids.

    Args:
        sources: folders of the cases.
        split: the split file; its patients are prepared and no others.
        output: the .npz file; it appears whole or not at all.
        rules: what to keep.
        job: number of this job, from 0.
        n_jobs: number of jobs that share the work.

    Raises:
        UserError: a case of the split is missing or bad, a patient is in two folds, or there are
            fewer patients than jobs.
    """
    folds = read_split(split).folds
    cases = _cases_of(sources, split, folds)
    if n_jobs > len(cases):
        raise UserError(
            f"n_jobs = {n_jobs}: {split} names {len(cases)} cases; expected at least one for each "
            f"job: set brats.n_jobs to at most {len(cases)}"
        )
    first, last = (len(cases) * number // n_jobs for number in (job, job + 1))
    save_part(tqdm(cases[first:last], unit="patient", disable=None), output, folds, rules)


def merge_parts(parts: Sequence[Path], split: Path, output: Path) -> list[Patient]:
    """Merge parts into one store, patients by id within each fold.

    Args:
        parts: in the order of their jobs.
        split: the split file.
        output: the HDF5 file; it appears whole or not at all.

    Returns:
        What is known of each patient, its fold included, by case id.

    Raises:
        UserError: volumes differ in shape or spacing, two cases hold one scan, a part is damaged or
            another one's, or a fold has no half-slice of a domain.
    """
    read = read_split(split)
    patients, rules = read_facts(parts)
    _check_alike(patients)
    if sorted(read.folds.items()) != [(p["case_id"], p["fold"]) for p in patients]:
        raise UserError(f"{split}: not the patients of the parts; prepare them again")
    check_fingerprints(patients)
    counts = _counts(patients)
    _check_folds(counts, read.folds)
    with write_store(output, _header(patients, read, rules)) as writer:
        for fold in FOLDS:
            for domain in (*DOMAINS, NEITHER):
                if n := counts[fold][domain]:
                    _write_domain(writer, fold, domain, parts, n, patients)
    return patients


def write_half_slices(
    source: Path,
    output: Path,
    *,
    rules: HalfSliceRules,
    split: Path | None,
    split_copy: Path,
    data_seed: int,
    plane: tuple[int, int] = PLANE,
) -> list[Patient]:
    """Do all of it in one process: split, prepare one patient after the other, merge.

    Args:
        source: folder of the cases.
        output: the HDF5 file; it appears whole or not at all.
        rules: what to keep.
        split: the split file; None splits 80 / 10 / 10 %.
        split_copy: where the split that was used is written.
        data_seed: of the split.
        plane: columns and rows that an axial slice must have.

    Returns:
        As `merge_parts`.

    Raises:
        UserError: as the functions above.
    """
    # Nothing is left when a case is bad: not even a folder for the output.
    place = next(path for path in output.absolute().parents if path.is_dir())
    with TemporaryDirectory(dir=place, prefix=".", suffix=".partial.parts") as name:
        folder = Path(name)
        used = split or folder / "split.json"
        if split is None:
            fractions = {"valid_fraction": 0.1, "test_fraction": 0.1}
            write_split([source], used, **fractions, rotation=0, data_seed=data_seed, plane=plane)
        folds = read_split(used).folds
        cases = _cases_of([source], used, folds)
        if split is not None:
            check_grids(cases, plane)
            check_distinct(cases)
        part = folder / "part.npz"
        save_part(tqdm(cases, unit="patient", disable=None), part, folds, rules)
        patients = merge_parts([part], used, output)
        write_text(split_copy, used.read_text(encoding="utf-8"))
    return patients


def _cases_of(sources: Sequence[Path], split: Path, folds: Mapping[str, str]) -> list[CaseFiles]:
    """The cases that a split names, by id."""
    by_id = {case.case_id: case for case in find_all_cases(sources)}
    for case_id in sorted(folds):
        if case_id not in by_id:
            places = ", ".join(map(str, sources))
            raise UserError(f"{places}: no case {case_id}, which {split} names; split again")
    cases = [by_id[case_id] for case_id in sorted(folds)]
    check_patients(split, folds, cases)
    return cases


def _check_alike(patients: Sequence[Patient]) -> None:
    first = patients[0]
    for patient in patients:
        for key in ("shape", "spacing_mm"):
            if patient[key] != first[key]:
                raise UserError(
                    f"{patient['case_id']}: {key.removesuffix('_mm')} is {patient[key]}, that of "
                    f"{first['case_id']} is {first[key]}; expected one for all: resample the scans"
                )
        if patient["shape"][0] % 2:
            raise UserError(
                f"{patient['case_id']}: {patient['shape'][0]} columns from right to left; expected "
                "an even number: crop or pad the scans"
            )


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


def _header(patients: Sequence[Patient], split: SplitFile, rules: HalfSliceRules) -> StoreHeader:
    labels = describe_labels({patient["case_id"]: patient["labels"] for patient in patients})
    everything = "".join(patient["sha256"] for patient in patients)
    return StoreHeader(
        task="brats",
        channels=SEQUENCES,
        parameters={
            **split.drawn.model_dump(exclude_unset=True),
            **rules.facts,
            "volume_shape": patients[0]["shape"],
            "spacing_mm": patients[0]["spacing_mm"],
            "half_slices_version": HALF_SLICES_VERSION,
            "phantoms": any(patient["case_id"].startswith(PHANTOM) for patient in patients),
        },
        source=f"{split.source.rstrip('.')}; {labels}.",
        source_sha256=hashlib.sha256(everything.encode()).hexdigest(),
        data_seed=split.drawn.data_seed,
        labels=LABELS,
    )


def _write_domain(
    writer: StoreWriter,
    fold: str,
    domain: str,
    parts: Sequence[Path],
    n: int,
    patients: Sequence[Patient],
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
    if domain != "present":
        del layout["mask"]
    for name, (shape, dtype) in layout.items():
        scale = Z_SCORE_SCALE if name == "image" else None
        # One dataset after the other: the bytes do not depend on how patients were shared out.
        dataset = writer.add(fold, domain, name, shape=(n, *shape), dtype=dtype, scale=scale)
        columns = read_column(parts, case_ids, domain, name)
        bar = tqdm(columns, f"{fold} {domain} {name}", len(case_ids), unit="patient", disable=None)
        for values in bar:
            dataset.append(values.astype(dtype, copy=False))

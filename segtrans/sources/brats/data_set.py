"""The data set `brats`: patients are split, prepared in parts, and merged into one store.

The store is the same, byte for byte, for any number of parts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from segtrans.atomic import write_json, write_text
from segtrans.data.split import split_patients
from segtrans.errors import UserError
from segtrans.sources.brats.merge import merge_parts
from segtrans.sources.brats.parts import Patient, save_part
from segtrans.sources.brats.split_file import check_patients, read_split
from segtrans.sources.scans.cases import CaseFiles, describe, find_all_cases
from segtrans.sources.scans.duplicates import check_distinct
from segtrans.sources.scans.grids import PLANE, check_grids, describe_spacing
from segtrans.tasks.parameters import HalfSliceRules


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
    pathologies: tuple[str, ...] = (),
) -> None:
    """Prepare the patients of one of `n_jobs` jobs, neighbours in the order of case ids.

    Args:
        sources: folders of the cases.
        split: the split file; its patients are prepared and no others.
        output: the .npz file; it appears whole or not at all.
        rules: what to keep.
        job: number of this job, from 0.
        n_jobs: number of jobs that share the work.
        pathologies: names of tumour and white-matter lesions; none: the tumour is the target.

    Raises:
        UserError: a case of the split is missing or bad, a patient is in two folds, or there are
            fewer patients than jobs.
    """
    folds = read_split(split).folds
    cases = cases_of(sources, split, folds)
    if n_jobs > len(cases):
        raise UserError(
            f"n_jobs = {n_jobs}: {split} names {len(cases)} cases; expected at least one for each "
            f"job: set brats.n_jobs to at most {len(cases)}"
        )
    first, last = (len(cases) * number // n_jobs for number in (job, job + 1))
    bar = tqdm(cases[first:last], unit="patient", disable=None)
    save_part(bar, output, folds, rules, pathologies)


def write_half_slices(
    source: Path,
    output: Path,
    *,
    rules: HalfSliceRules,
    split: Path | None,
    split_copy: Path,
    data_seed: int,
    plane: tuple[int, int] = PLANE,
    task: str = "brats",
    pathologies: tuple[str, ...] = (),
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
        task: name of the data set.
        pathologies: names of tumour and white-matter lesions; none: the tumour is the target.

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
        cases = cases_of([source], used, folds)
        if split is not None:
            check_grids(cases, plane)
            check_distinct(cases)
        part = folder / "part.npz"
        save_part(tqdm(cases, unit="patient", disable=None), part, folds, rules, pathologies)
        patients = merge_parts([part], used, output, task=task)
        write_text(split_copy, used.read_text(encoding="utf-8"))
    return patients


def cases_of(sources: Sequence[Path], split: Path, folds: Mapping[str, str]) -> list[CaseFiles]:
    """The cases that a split names, by id.

    Raises:
        UserError: one is missing, or a patient is in two folds.
    """
    by_id = {case.case_id: case for case in find_all_cases(sources)}
    for case_id in sorted(folds):
        if case_id not in by_id:
            places = ", ".join(map(str, sources))
            raise UserError(f"{places}: no case {case_id}, which {split} names; split again")
    cases = [by_id[case_id] for case_id in sorted(folds)]
    check_patients(split, folds, cases)
    return cases

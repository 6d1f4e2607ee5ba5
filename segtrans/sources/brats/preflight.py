"""Whether the patients of half-slices can be split as asked, and shared out to jobs."""

from collections.abc import Sequence
from pathlib import Path

from segtrans.config.params import Params
from segtrans.data.split import split_patients
from segtrans.errors import UserError
from segtrans.sources.brats.msd import N_MSD_CASES
from segtrans.sources.folders import check_directory
from segtrans.sources.phantom.grades import grade_of
from segtrans.sources.scans.cases import find_cases


def check(params: Params, tasks: Sequence[str]) -> None:
    """Refuse a split or a number of jobs that the patients do not allow.

    Raises:
        UserError: the patients cannot be split so, or shared out to so many jobs.
    """
    brats = params.brats
    check_directory("brats.directory", brats.directory, holds="patients")
    grades, patients = _known_cases(params)
    try:
        split_patients(
            grades,
            patients=patients,
            valid_fraction=brats.valid_fraction,
            test_fraction=brats.test_fraction,
            rotation=brats.rotation,
            data_seed=params.data_seed,
        )
    except UserError as error:
        raise UserError(f"brats: {error}") from None
    if brats.n_jobs > len(grades):
        raise UserError(
            f"brats.n_jobs = {brats.n_jobs}: at most one for each of the {len(grades)} cases"
        )


def _known_cases(params: Params) -> tuple[dict[str, str | None], dict[str, str]]:
    """Grade and patient by case id, from the names of files alone."""
    brats = params.brats
    if brats.source == "directory":
        cases = find_cases(Path(str(brats.directory)))
        grades = {case.case_id: case.grade for case in cases}
        return grades, {case.case_id: case.patient for case in cases}
    if brats.source == "msd":
        return {str(number): None for number in range(N_MSD_CASES)}, {}
    return {str(number): grade_of(number) for number in range(brats.n_patients)}, {}

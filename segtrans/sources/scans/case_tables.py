"""Tables beside the cases: grades of BraTS 2020, patients, channels of the Decathlon."""

import csv
import json
from collections.abc import Collection
from pathlib import Path

from segtrans.errors import UserError
from segtrans.sources.scans.case_names import MSD_SEQUENCES

GRADES = ("HGG", "LGG")
GRADE_TABLE = "name_mapping.csv"  # of BraTS 2020, anywhere below the folder of the cases
PATIENT_TABLE = "dataset.csv"  # the user's own, in the folder of the cases itself
CHANNEL_TABLE = "dataset.json"  # of the Decathlon, beside imagesTr

_MSD_NAMES = {"flair": "flair", "t1": "t1", "t1w": "t1", "t1gd": "t1c", "t2": "t2", "t2w": "t2"}
_COLUMNS = ("case_id", "patient")


def read_grades(path: Path) -> dict[str, str]:
    """Grades by case id, from the name_mapping.csv of BraTS 2020 (no row of other years').

    Raises:
        UserError: the file is no table.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, csv.Error) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); expected the table of BraTS 2020, or none"
        ) from error
    grades = ((row.get("BraTS_2020_subject_ID"), row.get("Grade")) for row in rows)
    return {case_id: grade for case_id, grade in grades if case_id and grade in GRADES}


def read_patients(path: Path, case_ids: Collection[str]) -> dict[str, str]:
    """Patients by case id, in small letters, from a table with a row for every case.

    Args:
        path: a CSV file in UTF-8 with the columns case_id and patient, and any others.
        case_ids: of the cases that were found.

    Raises:
        UserError: the file is no such table, or a case has no row, two rows or no patient.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = list(reader.fieldnames or ()), list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); expected a CSV file in UTF-8 with the columns "
            f"{' and '.join(_COLUMNS)}"
        ) from error
    if any(name not in columns for name in _COLUMNS):
        raise UserError(
            f"{path}: has the columns {', '.join(columns) or 'of no name'}; expected "
            f"{' and '.join(_COLUMNS)}, with commas between"
        )
    patients: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        case_id, patient = ((row[name] or "").strip() for name in _COLUMNS)
        problem = (
            f"case {case_id or '(empty)'} has no patient"
            if not (case_id and patient)
            else f"case {case_id} stands there twice"
            if case_id in patients
            else f"there is no case {case_id} in {path.parent}"
            if case_id not in case_ids
            else None
        )
        if problem:
            raise UserError(f"{path}: row {number}: {problem}; expected one row for each case")
        patients[case_id] = patient.casefold()  # P7 and p7 are one, as by the names of cases
    if missing := sorted(set(case_ids) - set(patients)):
        raise UserError(
            f"{path}: has no row for case {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
            + "; expected one row for each case"
        )
    return patients


def check_channels(path: Path) -> None:
    """Compare the channels that a dataset.json announces, if there is one, with MSD_SEQUENCES.

    Raises:
        UserError: it is damaged, or lists others.
    """
    if not path.is_file():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = content.get("modality", content.get("channel_names", {}))
        listed = [str(names[key]) for key in sorted(names, key=int)]
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); expected the dataset.json of the Medical "
            "Segmentation Decathlon, or none"
        ) from error
    if listed and [_MSD_NAMES.get(name.lower()) for name in listed] != list(MSD_SEQUENCES):
        raise UserError(
            f"{path}: lists the channels {', '.join(listed)}; expected FLAIR, T1w, t1gd, T2w, as "
            "in Task01_BrainTumour"
        )

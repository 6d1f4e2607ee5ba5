"""Tables beside the cases: grades of BraTS 2020, patients, channels and labels of the Decathlon."""

import csv
import io
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from segtrans.errors import UserError
from segtrans.sources.scans.case_names import MSD_LABELS, MSD_SEQUENCES

GRADES = ("HGG", "LGG")
GRADE_TABLE = "name_mapping.csv"  # of BraTS 2020, anywhere below the folder of the cases
PATIENT_TABLE = "dataset.csv"  # the user's own, in the folder of the cases itself
CHANNEL_TABLE = "dataset.json"  # of the Decathlon, beside imagesTr

_MSD_NAMES = {"flair": "flair", "t1": "t1", "t1w": "t1", "t1gd": "t1c", "t2": "t2", "t2w": "t2"}
_COLUMNS = ("case_id", "patient")
# What a label's name says of its class, the first that fits; whole tumours say nothing.
_CLASS_OF = {
    r"\bno[nt][\W_]?enhanc|necro|\bncr\b|\bnet\b": 1,
    r"enhanc|\bet\b": 3,
    r"edema|\bed\b": 2,
    r"core": 1,
    r"cavity|background": 0,
}


def find_table(folder: Path, name: str) -> Path | None:
    """The table of a name in a folder, in any capitals; None where there is none.

    Raises:
        UserError: there are two, one is a folder, or the folder cannot be read.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.name.lower() == name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from error
    if len(found) > 1:
        raise UserError(f"{found[0]} and {found[1].name}: two tables of one name; keep one")
    if found and not found[0].is_file():
        raise UserError(
            f"{found[0]}: is no file; expected the table of that name, or none: rename it"
        )
    return found[0] if found else None


def read_grades(path: Path) -> dict[str, str]:
    """Grades by case id, from the name_mapping.csv of BraTS 2020 (no row of other years').

    Raises:
        UserError: the file is no table.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
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
        text = path.read_text(encoding="utf-8-sig")
        if "\0" in text:
            raise ValueError("it holds NUL bytes")
        reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
        columns, rows = [name.strip() for name in reader.fieldnames or ()], []
        reader.fieldnames = columns
        rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); expected a CSV file in UTF-8 with the columns "
            f"{' and '.join(_COLUMNS)}"
        ) from error
    if any(name not in columns for name in _COLUMNS):
        raise UserError(
            f"{path}: has the columns {_shown(columns) or 'of no name'}; expected "
            f"{' and '.join(_COLUMNS)}, with commas between"
        )
    patients: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        case_id, patient = ((row[name] or "").strip() for name in _COLUMNS)
        shown = _shown([case_id]) or "(empty)"
        problem = (
            f"case {shown} has no patient"
            if not (case_id and patient)
            else f"case {shown} is listed twice"
            if case_id in patients
            else f"there is no case {shown} in {path.parent}"
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


def check_channels(folder: Path) -> None:
    """Compare the channels that a dataset.json announces, if there is one, with MSD_SEQUENCES.

    Args:
        folder: the Decathlon's, of imagesTr.

    Raises:
        UserError: it is damaged, or lists others.
    """
    path = find_table(folder, CHANNEL_TABLE)
    content = _read_channel_table(path) if path else {}
    try:
        names = content.get("modality", content.get("channel_names", {}))
        listed = [str(names[key]) for key in sorted(names, key=int)]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from error
    if listed and [_MSD_NAMES.get(name.lower()) for name in listed] != list(MSD_SEQUENCES):
        raise UserError(
            f"{path}: lists the channels {_shown(listed)}; expected FLAIR, T1w, t1gd, T2w, as "
            "in Task01_BrainTumour"
        )


def check_labels(folder: Path) -> None:
    """Compare the labels that a dataset.json names, if there is one, with MSD_LABELS.

    Args:
        folder: the Decathlon's, of labelsTr.

    Raises:
        UserError: it is damaged, or a name says another class.
    """
    path = find_table(folder, CHANNEL_TABLE)
    named = _named_labels(path) if path else {}
    classes = {label: _class_of(name) for label, name in named.items()}
    wrong = [
        label
        for label, found in sorted(classes.items())
        if label and found is not None and found != MSD_LABELS.get(label, 0)
    ]
    if wrong:
        said = _shown([f"{label} {named[label]}" for label in wrong])
        known = [classes.get(label) for label in range(1, max(classes) + 1)]
        meant = "" if None in known else f": {known}"
        raise UserError(
            f"{path}: names the labels {said}; expected 1 oedema, 2 core, 3 enhancing, as in "
            "Task01_BrainTumour: say what each label is with label_classes, in brats or in "
            f"--rules{meant}"
        )


def _named_labels(path: Path) -> dict[int, str]:
    """Names by label: the Decathlon's {"1": "edema"}, or nnU-Net's {"edema": 1} without regions."""
    try:
        labels = _read_channel_table(path).get("labels", {}).items()
        pairs = [(key, value) if str(key).isdecimal() else (value, key) for key, value in labels]
        return {int(label): str(name) for label, name in pairs if not isinstance(label, list)}
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error


def _class_of(name: str) -> int | None:
    return next((c for words, c in _CLASS_OF.items() if re.search(words, name.lower())), None)


def _read_channel_table(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    return content


def _damaged(path: Path | None, error: Exception) -> UserError:
    return UserError(
        f"{path}: cannot be read ({error}); expected the dataset.json of the Medical "
        "Segmentation Decathlon, or none"
    )


def _shown(names: Collection[str]) -> str:
    """Names with commas between; one that a terminal cannot show is written as Python would."""
    return ", ".join(name if name.isprintable() else repr(name) for name in names)

"""Cases: which files below a folder are one patient's scan, in every layout BraTS has had."""

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from segtrans.errors import UserError

SEQUENCES = ("t1", "t2", "t1c", "flair")  # the channel order of the task "brats"
GRADES = ("HGG", "LGG")
PHANTOM = "phantom_"  # what the ids of made-up cases begin with

BRATS_2017, BRATS_2023, MSD = "brats2017", "brats2023", "msd"
MSD_SEQUENCES = ("flair", "t1", "t1c", "t2")  # along the last axis of its 4D files

# What follows the case id in the name of each file.
_SUFFIXES = {
    BRATS_2017: {"t1": "_t1", "t2": "_t2", "t1c": "_t1ce", "flair": "_flair", "mask": "_seg"},
    BRATS_2023: {"t1": "-t1n", "t2": "-t2w", "t1c": "-t1c", "flair": "-t2f", "mask": "-seg"},
}
_TITLES = {
    BRATS_2017: "BraTS in the names of 2017 to 2021 (_t1, _t1ce, _t2, _flair, _seg)",
    BRATS_2023: "BraTS in the names of 2023 onward (-t1n, -t1c, -t2w, -t2f, -seg)",
    MSD: "the Medical Segmentation Decathlon, BraTS 2016 and 2017 (4D files in imagesTr)",
}
_MSD_IMAGES, _MSD_MASKS, _MSD_UNLABELLED = "imagesTr", "labelsTr", "imagesTs"
_MSD_NAMES = {"flair": "flair", "t1": "t1", "t1w": "t1", "t1gd": "t1c", "t2": "t2", "t2w": "t2"}
_ENDINGS = (".nii.gz", ".nii")
_YEAR = re.compile(r"brats(?:20)?(\d\d)_", re.IGNORECASE)  # Brats17_, BraTS20_, BraTS2021_


@dataclass(frozen=True)
class CaseFiles:
    """The files of one patient's scan.

    Attributes:
        case_id: what the names of its files have in common.
        grade: "HGG" (glioblastoma) or "LGG" (lower grade), None where nothing tells it.
        layout: BRATS_2017, BRATS_2023 or MSD.
        sequences: a file for each of SEQUENCES; one 4D file four times in the layout MSD.
        mask: the file of the lesion's labels, if there is one.
    """

    case_id: str
    grade: str | None
    layout: str
    sequences: dict[str, Path]
    mask: Path | None


@dataclass(frozen=True)
class _File:
    """A file whose name says what it is: a sequence, "mask", or "image" (4D)."""

    path: Path
    layout: str
    case_id: str
    role: str


def find_cases(folder: Path) -> list[CaseFiles]:
    """Find the cases to train on, however deep below a folder; hidden files are passed over.

    Returns:
        At least one case, sorted by case id; each has its mask.

    Raises:
        UserError: there is no case, a case lacks a sequence or its mask, has two files for one
            of them or lies there twice, layouts are mixed, or a dataset.json lists other channels.
    """
    cases = _find(folder)
    without = [case.case_id for case in cases if case.mask is None]
    if without:
        more = f" (nor have {len(without) - 1} more)" if len(without) > 1 else ""
        raise UserError(
            f"{folder}: case {without[0]} has no mask{more}, expected "
            f"{_expected_mask(cases[0].layout, without[0])}; cases to train on need one"
        )
    return cases


def find_case(path: Path) -> CaseFiles:
    """Find one case, with or without a mask.

    Args:
        path: the folder of one case, or a 4D file as the Medical Segmentation Decathlon has them.

    Raises:
        UserError: as `find_cases` (but for the mask), or there is more than one case.
    """
    if path.is_file():
        return _case_of_file(path)
    cases = _find(path)
    if len(cases) > 1:
        raise UserError(
            f"{path}: holds {len(cases)} cases ({cases[0].case_id}, {cases[1].case_id}...), "
            "expected one; give the folder or the 4D file of one case"
        )
    return cases[0]


def describe(cases: Sequence[CaseFiles]) -> str:
    """Say in one sentence what was found: layout, year where the names tell it, and grades.

    Args:
        cases: at least one, all of one layout.
    """
    n, title = len(cases), _TITLES[cases[0].layout]
    years = sorted({f"20{match[1]}" for case in cases if (match := _YEAR.match(case.case_id))})
    year = f", year {' and '.join(years)} by their ids" if years else ""
    counts = Counter(case.grade for case in cases)
    grades = [f"{counts[grade]} {grade}" for grade in GRADES if counts[grade]]
    if counts[None]:
        grades.append(f"{counts[None]} of unknown grade")
    of = f"of {title}{year}"
    if all(case.case_id.startswith(PHANTOM) for case in cases):
        of = "made up from the MNI152 brain (phantoms, no patients)"
    return f"{n} {'case' if n == 1 else 'cases'} {of}: {', '.join(grades)}"


def _find(folder: Path) -> list[CaseFiles]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder or file; expected cases of BraTS")
    paths = list(_walk(folder))
    files = [file for path in paths if (file := _recognise(path)) is not None]
    if not files:
        raise UserError(
            f"{folder}: no case in it; expected NIfTI files (.nii or .nii.gz) of "
            f"{', or '.join(_TITLES.values())}"
        )
    _check_one_layout(folder, files)
    for images in {file.path.parent for file in files if file.layout == MSD}:
        _check_channels(images.parent / "dataset.json")
    grades: dict[str, str] = {}
    for path in paths:
        if path.name == "name_mapping.csv":
            grades |= _read_grades(path)
    groups: dict[tuple[str, Path], list[_File]] = {}
    for file in files:
        groups.setdefault((file.case_id, file.path.parent), []).append(file)
    cases = [_assemble(group, grades) for _, group in sorted(groups.items())]
    _check_once(cases)
    return cases


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder in a fixed order, but hidden ones; linked folders only once."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error

    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))


def _recognise(path: Path) -> _File | None:
    stem = _stem(path)
    if stem is None or path.parent.name in {_MSD_MASKS, _MSD_UNLABELLED}:
        return None
    if path.parent.name == _MSD_IMAGES:
        return _File(path, MSD, stem, "image")
    for layout, suffixes in _SUFFIXES.items():
        for role, suffix in suffixes.items():
            case_id = stem.removesuffix(suffix)
            if case_id not in ("", stem):
                return _File(path, layout, case_id, role)
    return None


def _stem(path: Path) -> str | None:
    for ending in _ENDINGS:
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return None


def _check_one_layout(folder: Path, files: list[_File]) -> None:
    examples = {file.layout: file.path for file in reversed(files)}
    if len(examples) > 1:
        listed = " and ".join(f"{path} ({_TITLES[name]})" for name, path in examples.items())
        raise UserError(f"{folder}: mixes layouts: {listed}; keep each in a folder of its own")


def _check_channels(path: Path) -> None:
    """Compare the channels that a dataset.json announces, if there is one, with MSD_SEQUENCES."""
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


def _read_grades(path: Path) -> dict[str, str]:
    """Grades by case id, from the name_mapping.csv of BraTS 2020 (no row of other years')."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, csv.Error) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); expected the table of BraTS 2020, or none"
        ) from error
    grades = ((row.get("BraTS_2020_subject_ID"), row.get("Grade")) for row in rows)
    return {case_id: grade for case_id, grade in grades if case_id and grade in GRADES}


def _assemble(group: list[_File], grades: dict[str, str]) -> CaseFiles:
    """Make a case of the files of one id in one folder."""
    case_id, layout, folder = group[0].case_id, group[0].layout, group[0].path.parent
    paths: dict[str, Path] = {}
    for file in group:
        if file.role in paths:
            raise UserError(
                f"{folder}: case {case_id} has two files for its {file.role}: "
                f"{paths[file.role].name} and {file.path.name}; keep one"
            )
        paths[file.role] = file.path
    grade = _grade_by_folder(folder) or grades.get(case_id)
    if layout == MSD:
        return _msd_case(paths["image"], case_id, grade)
    missing = [name for name in SEQUENCES if name not in paths]
    if missing:
        expected = ", ".join(f"{case_id}{_SUFFIXES[layout][name]}" for name in missing)
        raise UserError(
            f"{folder}: case {case_id} lacks {', '.join(missing)}; expected {expected}, each as "
            f".nii.gz or .nii{_strangers(folder)}"
        )
    sequences = {name: paths[name] for name in SEQUENCES}
    return CaseFiles(case_id, grade, layout, sequences, paths.get("mask"))


def _grade_by_folder(folder: Path) -> str | None:
    above = (folder.absolute(), *folder.absolute().parents)
    return next((place.name for place in above if place.name in GRADES), None)


def _strangers(folder: Path) -> str:
    """Name the NIfTI files whose names say nothing: the missing one may be among them."""
    names = sorted(
        path.name
        for path in folder.iterdir()
        if _stem(path) and not path.name.startswith(".") and _recognise(path) is None
    )
    return f"; {', '.join(names[:3])} beside it has no such name" if names else ""


def _msd_case(image: Path, case_id: str, grade: str | None) -> CaseFiles:
    masks = [image.parent.parent / _MSD_MASKS / f"{case_id}{ending}" for ending in _ENDINGS]
    there = [path for path in masks if path.is_file() and image.parent.name == _MSD_IMAGES]
    if len(there) > 1:
        raise UserError(
            f"{there[0].parent}: case {case_id} has two files for its mask: {there[0].name} and "
            f"{there[1].name}; keep one"
        )
    sequences = dict.fromkeys(SEQUENCES, image)
    return CaseFiles(case_id, grade, MSD, sequences, there[0] if there else None)


def _case_of_file(path: Path) -> CaseFiles:
    stem, file = _stem(path), _recognise(path)
    if stem is None:
        raise UserError(f"{path}: no NIfTI file by its name; expected .nii.gz or .nii")
    if file is not None and file.layout != MSD:
        raise UserError(
            f"{path}: is the {file.role} of a case alone; give the folder that holds all its files"
        )
    if path.parent.name in {_MSD_IMAGES, _MSD_UNLABELLED}:
        _check_channels(path.parent.parent / "dataset.json")
    return _msd_case(path, stem, _grade_by_folder(path.parent))


def _check_once(cases: list[CaseFiles]) -> None:
    for first, second in pairwise(cases):  # sorted by id
        if first.case_id == second.case_id:
            places = " and ".join(str(case.sequences["t1"].parent) for case in (first, second))
            raise UserError(f"case {first.case_id} lies in {places}; keep one of them")


def _expected_mask(layout: str, case_id: str) -> str:
    if layout == MSD:
        return f"{_MSD_MASKS}/{case_id}.nii.gz"
    return f"{case_id}{_SUFFIXES[layout]['mask']}.nii.gz beside its sequences"

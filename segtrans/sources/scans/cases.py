"""Cases: which files below a folder are one patient's scan, in every layout BraTS has had."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path

from segtrans.data.walk import walk
from segtrans.errors import UserError
from segtrans.sources.scans.case_messages import listed, lone_mask, passed_over, strangers
from segtrans.sources.scans.case_names import (
    ENDINGS,
    MSD,
    MSD_IMAGES,
    MSD_MASKS,
    MSD_UNLABELLED,
    SEQUENCES,
    TITLES,
    NamedFile,
    expected_name,
    is_output,
    patient_of,
    recognise,
    stem,
)
from segtrans.sources.scans.case_tables import (
    CHANNEL_TABLE,
    GRADE_TABLE,
    GRADES,
    PATIENT_TABLE,
    check_channels,
    find_table,
    read_grades,
    read_patients,
)
from segtrans.sources.scans.dicom import CONVERT, find_dicom

PHANTOM = "phantom_"  # what the ids of synthetic phantoms begin with
_YEAR = re.compile(r"brats(?:20)?(\d\d)_", re.IGNORECASE)  # Brats17_, BraTS20_, BraTS2021_
_TABLES = (GRADE_TABLE, PATIENT_TABLE, CHANNEL_TABLE)


@dataclass(frozen=True)
class CaseFiles:
    """The files of one scan of a patient.

    Attributes:
        case_id: what the names of its files have in common.
        patient: whose scan it is: by the name of the case or the table of the user, else the case
            id itself.
        grade: "HGG" (glioblastoma) or "LGG" (lower grade), None where nothing tells it.
        layout: BRATS_2017, BRATS_2023 or MSD.
        sequences: a file for each of SEQUENCES; one 4D file four times in the layout MSD.
        mask: the file of the lesion's labels, if there is one.
    """

    case_id: str
    patient: str
    grade: str | None
    layout: str
    sequences: dict[str, Path]
    mask: Path | None


def find_cases(folder: Path, *, may_lack_masks: bool = False) -> list[CaseFiles]:
    """Find the cases to train on, however deep below a folder.

    Hidden files, and what `segtrans predict` wrote, are passed over.

    Args:
        folder: of the cases.
        may_lack_masks: whether a case without a mask is one, too.

    Returns:
        At least one case, sorted by case id; each has its mask, unless it may lack it.

    Raises:
        UserError: there is no case, a case lacks a sequence or its mask, has two files for one
            of them or lies there twice, a mask has no scans, layouts are mixed, a dataset.json
            lists other channels, or a dataset.csv does not say whose scan each case is.
    """
    files = source_files(folder)
    cases, masks = _find(folder, files)
    if masks:
        folders = {case.case_id: case.sequences["t1"].parent for case in cases}
        raise UserError(lone_mask(masks[0], folders))
    without = [case for case in cases if case.mask is None]
    if without and not may_lack_masks:
        more = f" (nor have {len(without) - 1} more)" if len(without) > 1 else ""
        name = expected_name(without[0].layout, without[0].case_id, "mask")
        place = "" if without[0].layout == MSD else " beside its sequences"
        raise UserError(
            f"{folder}: case {without[0].case_id} has no mask{more}, expected {name}.nii.gz"
            f"{place}; cases to train on need one{strangers(without[0].sequences['t1'].parent)}"
        )
    table = find_table(folder, PATIENT_TABLE)
    for path in files:
        if path.name.lower() == PATIENT_TABLE and path.parent != folder:
            raise UserError(
                f"{path}: a table of patients below the source; give its folder as the source, "
                f"or move it to {folder / PATIENT_TABLE}"
            )
    if table is not None:
        patients = read_patients(table, [case.case_id for case in cases])
        cases = [replace(case, patient=patients[case.case_id]) for case in cases]
    return cases


def find_all_cases(folders: Sequence[Path]) -> list[CaseFiles]:
    """The cases to train on of several folders, as `find_cases` finds those of each.

    Raises:
        UserError: as there.
    """
    cases = sorted(chain.from_iterable(map(find_cases, folders)), key=lambda case: case.case_id)
    _check_one_layout(folders[0], {case.layout: case.sequences["t1"] for case in cases})
    _check_once(cases)
    return cases


def find_case(path: Path) -> CaseFiles:
    """Find one case, with or without a mask.

    Args:
        path: the folder of one case; a file of one, or what the names of its files begin with,
            where several lie in one folder; or a 4D file as the Medical Segmentation Decathlon
            has them.

    Raises:
        UserError: as `find_cases` (but for masks and tables of patients), or there is more than
            one case.
    """
    if path.is_file():
        return _case_of_file(path)
    if not path.exists() and (beside := _of_one_case(path.parent, path.name)):
        return _find(path.parent, beside)[0][0]
    cases, _ = _find(path, source_files(path))
    if len(cases) > 1:
        example = cases[0].sequences["t1"]
        raise UserError(
            f"{path}: holds {len(cases)} cases ({cases[0].case_id}, {cases[1].case_id}...), "
            f"expected one; give the folder of one case, or one of its files, such as {example}"
        )
    return cases[0]


def source_files(folder: Path) -> list[Path]:
    """The files below a folder that decide what its cases are: NIfTI files, and the tables.

    Raises:
        UserError: as `segtrans.data.walk.walk`.
    """
    files = walk(folder)
    there = set(files)
    return [
        path
        for path in files
        if path.name.lower() in _TABLES or (stem(path) is not None and not is_output(path, there))
    ]


def describe(cases: Sequence[CaseFiles]) -> str:
    """Say in one sentence what was found: layout, year where the names tell it, and grades.

    Args:
        cases: at least one, all of one layout.
    """
    n, title = len(cases), TITLES[cases[0].layout]
    years = sorted({f"20{match[1]}" for case in cases if (match := _YEAR.match(case.case_id))})
    year = f", year {' and '.join(years)} by their ids" if years else ""
    counts = Counter(case.grade for case in cases)
    grades = [f"{counts[grade]} {grade}" for grade in GRADES if counts[grade]]
    if counts[None]:
        grades.append(f"{counts[None]} of unknown grade")
    of = f"of {title}{year}"
    if all(case.case_id.startswith(PHANTOM) for case in cases):
        of = "of synthetic phantoms made from the MNI152 brain (no patients)"
    n_patients = len({case.patient for case in cases})
    if n_patients < n:
        of = f"of {n_patients} patient{'s' if n_patients > 1 else ''} {of}"
    return f"{n} {'case' if n == 1 else 'cases'} {of}: {', '.join(grades)}"


def _find(folder: Path, paths: list[Path]) -> tuple[list[CaseFiles], list[NamedFile]]:
    """The cases among some files, by id, and the masks that no scan of their case lies beside."""
    files = [file for path in paths if (file := recognise(path)) is not None]
    _check_channels_together(paths, files)
    groups: dict[tuple[str, Path], list[NamedFile]] = {}
    for file in files:
        groups.setdefault((file.case_id, file.path.parent), []).append(file)
    whole = [group for _, group in sorted(groups.items()) if {f.role for f in group} != {"mask"}]
    if not whole:
        if (dicom := find_dicom(walk(folder))) is not None:
            raise UserError(f"{folder}: no case in it: {dicom.relative_to(folder)} {CONVERT}")
        raise UserError(
            f"{folder}: no case in it; expected NIfTI files (.nii or .nii.gz) of "
            f"{', or '.join(TITLES.values())}; {listed(folder)}{passed_over(walk(folder))}"
        )
    _check_one_layout(folder, {f.layout: f.path for group in reversed(whole) for f in group[::-1]})
    for images in {file.path.parent for file in files if file.layout == MSD}:
        check_channels(images.parent)
    grades: dict[str, str] = {}
    for place in dict.fromkeys([folder, *(path.parent for path in paths)]):
        if (table := find_table(place, GRADE_TABLE)) is not None:
            grades |= read_grades(table)
    cases = [_assemble(group, grades) for group in whole]
    _check_once(cases)
    masks = [g[0] for _, g in sorted(groups.items()) if {file.role for file in g} == {"mask"}]
    return cases, masks


def _check_one_layout(folder: Path, examples: dict[str, Path]) -> None:
    if len(examples) > 1:
        listed = " and ".join(f"{path} ({TITLES[name]})" for name, path in examples.items())
        raise UserError(f"{folder}: mixes layouts: {listed}; keep each in a folder of its own")


def _check_channels_together(paths: list[Path], files: list[NamedFile]) -> None:
    """Refuse a file for each channel by its number, as nnU-Net has them."""
    if any(file.layout != MSD for file in files):
        return
    stems = {stem(path): path for path in paths}
    for name, path in stems.items():
        first = (name or "").removesuffix("_0000")
        if first not in ("", name) and f"{first}_0001" in stems:
            raise UserError(
                f"{path}: is one channel of a case by its number, as nnU-Net names them, which "
                "does not say what sequence it is; rename each by its dataset.json, such as "
                f"{first}_flair.nii.gz, and put the mask beside them as {first}_seg.nii.gz"
            )


def _assemble(group: list[NamedFile], grades: dict[str, str]) -> CaseFiles:
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
        expected = ", ".join(expected_name(layout, case_id, name) for name in missing)
        there = ", ".join(sorted(path.name for path in paths.values()))
        raise UserError(
            f"{folder}: case {case_id} lacks {', '.join(missing)}; expected {expected}, each as "
            f".nii.gz or .nii, beside {there}{strangers(folder)}"
        )
    sequences = {name: paths[name] for name in SEQUENCES}
    patient = patient_of(case_id)
    return CaseFiles(case_id, patient, grade, layout, sequences, paths.get("mask"))


def _grade_by_folder(folder: Path) -> str | None:
    above = (folder.absolute(), *folder.absolute().parents)
    return next((place.name for place in above if place.name in GRADES), None)


def _msd_case(image: Path, case_id: str, grade: str | None) -> CaseFiles:
    masks = [image.parent.parent / MSD_MASKS / f"{case_id}{ending}" for ending in ENDINGS]
    there = [path for path in masks if path.is_file() and image.parent.name == MSD_IMAGES]
    if len(there) > 1:
        raise UserError(
            f"{there[0].parent}: case {case_id} has two files for its mask: {there[0].name} and "
            f"{there[1].name}; keep one"
        )
    sequences, mask = dict.fromkeys(SEQUENCES, image), there[0] if there else None
    return CaseFiles(case_id, patient_of(case_id), grade, MSD, sequences, mask)


def _case_of_file(path: Path) -> CaseFiles:
    name, file = stem(path), recognise(path)
    if name is None:
        if find_dicom([path]) is not None:
            raise UserError(f"{path}: {CONVERT}")
        raise UserError(f"{path}: no NIfTI file by its name; expected .nii.gz or .nii")
    if file is not None and file.layout != MSD:
        if path not in (beside := _of_one_case(path.parent, file.case_id)):
            raise UserError(
                f"{path}: is hidden, or named as an output of `segtrans predict`; expected a file "
                "of a scan, or its folder"
            )
        return _find(path.parent, beside)[0][0]
    if path.parent.name in {MSD_IMAGES, MSD_UNLABELLED}:
        check_channels(path.parent.parent)
    return _msd_case(path, name, _grade_by_folder(path.parent))


def _of_one_case(folder: Path, case_id: str) -> list[Path]:
    """The files of one case in a folder itself, for there may be much below it."""
    if not folder.is_dir():
        return []
    there = {path for path in folder.iterdir() if path.name[0] != "." and path.is_file()}
    named = [file for path in sorted(there) if (file := recognise(path)) is not None]
    return [f.path for f in named if f.case_id == case_id and not is_output(f.path, there)]


def _check_once(cases: list[CaseFiles]) -> None:
    for first, second in pairwise(cases):  # sorted by id
        if first.case_id == second.case_id:
            places = " and ".join(str(case.sequences["t1"].parent) for case in (first, second))
            raise UserError(f"case {first.case_id} lies in {places}; keep one of them")

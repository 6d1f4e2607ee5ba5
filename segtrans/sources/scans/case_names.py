"""What the names of files say: which sequence of which case, in every layout BraTS has had."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

SEQUENCES = ("t1", "t2", "t1c", "flair")  # the channel order of the task "brats"

BRATS_2017, BRATS_2023, MSD = "brats2017", "brats2023", "msd"
MSD_SEQUENCES = ("flair", "t1", "t1c", "t2")  # along the last axis of its 4D files
MSD_LABELS = {1: 2, 2: 1, 3: 3}  # class by label of its masks
MSD_IMAGES, MSD_MASKS, MSD_UNLABELLED = "imagesTr", "labelsTr", "imagesTs"
TITLES = {
    BRATS_2017: "BraTS in the names of 2017 to 2021 (_t1, _t1ce, _t2, _flair, _seg)",
    BRATS_2023: "BraTS in the names of 2023 onward (-t1n, -t1c, -t2w, -t2f, -seg)",
    MSD: "the Medical Segmentation Decathlon, BraTS 2016 and 2017 (4D files in imagesTr)",
}
ENDINGS = (".nii.gz", ".nii")

# What follows the case id in the name of each file, in any case of letters: the layout's own
# first, then what others write (UPENN-GBM: T1GD; UCSF-PDGM: T1c, tumor_segmentation).
_SUFFIXES: dict[str, dict[str, tuple[str, ...]]] = {
    BRATS_2017: {
        "t1": ("_t1",),
        "t2": ("_t2",),
        "t1c": ("_t1ce", "_t1c", "_t1gd"),
        "flair": ("_flair",),
        "mask": ("_seg", "_segm", "_tumor_segmentation"),
    },
    BRATS_2023: {
        "t1": ("-t1n",),
        "t2": ("-t2w",),
        "t1c": ("-t1c",),
        "flair": ("-t2f",),
        "mask": ("-seg",),
    },
}
# What `segtrans predict` writes beside or below the scans.
_OUTPUT = re.compile(rf".+_(translation|residual)_({'|'.join(SEQUENCES)})")
_PICTURE = "_overview.png"
# Behind the case's id, where its picture lies beside.
_BESIDE_PICTURE = re.compile(r"_(seg|probability|residual|without)_")

# Patients that are scanned more than once, by the names of their cases. Only what names a time
# point is left out: a number alone is as often another patient's.
_DATE = r"(?:19|20)\d\d(?:\.\d\d\.\d\d|-\d\d-\d\d)"
_DAY = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_NUMBER = r"[-_]?\d+(?:[-_.]\d+)?"
_PATIENT = re.compile(
    r"(brats[-_][a-z]+(?:[-_]rt)?[-_]\d+)[-_]\d+"  # BraTS-GLI-00000-001, of 2023 onward
    r"|(brats1[789]_[a-z0-9]+_[a-z0-9]+)_\d+"  # Brats17_TCIA_010_1
    r"|(brats_[a-z0-9]+_pat\d+)_\d+"  # brats_tcia_pat117_0001, of 2013 to 2015
    r"|(bratsreg_\d+)_.+"  # BraTSReg_001_01_0106
    r"|(upenn-gbm-\d+)_\d+"
    r"|(ucsf-pdgm-\d+)_.+"
    r"|(1\d{5})[a-z]"  # 100101B: UCSF-BMSR
    r"|(oas[12]_\d{4})_.+"  # OASIS: OAS1_0061_MR2
    r"|(oas[34]\d{4})_.+"  # OAS30001_MR_d0129
    r"|(rhuh-\d+)_\d+"
    r"|(tcga[-_][a-z0-9]{2}[-_][a-z0-9]{4})[\W_].+"
    r"|(sub-[a-z0-9]+)_.+"  # BIDS
    r"|(patientid_\d+)_.+"  # MU-Glioma-Post
    r"|(patient-\d+)[-_].+"  # LUMIERE: Patient-001_week-056
    rf"|(.+?)_{_DATE}"  # as TCIA has them
    rf"|(.+?)[-_](?:ses|session|visit|time|time-?point|week){_NUMBER}"  # 100002_time2: UCSF-ALPTDG
    # Short for a time point only behind what numbers the patient.
    rf"|(.*\d.*?)[-_](?:{_DAY}|(?:tp|fu){_NUMBER})",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class NamedFile:
    """A file whose name says what it is: a sequence, "mask", or "image" (4D)."""

    path: Path
    layout: str
    case_id: str
    role: str


def recognise(path: Path) -> NamedFile | None:
    """What a file is by its name and its folder's; None when they say nothing."""
    name = stem(path)
    if name is None or path.parent.name in {MSD_MASKS, MSD_UNLABELLED}:
        return None
    if path.parent.name == MSD_IMAGES:
        return NamedFile(path, MSD, name, "image")
    for layout, roles in _SUFFIXES.items():
        for role, suffixes in roles.items():
            for suffix in suffixes:
                if name.lower().endswith(suffix) and len(name) > len(suffix):
                    return NamedFile(path, layout, name[: -len(suffix)], role)
    return None


def stem(path: Path) -> str | None:
    """The name of a NIfTI file without its ending, None of any other file."""
    for ending in ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return None


def expected_name(layout: str, case_id: str, role: str) -> str:
    """The name that a layout has for a file, without its ending."""
    if layout == MSD:
        return f"{MSD_MASKS if role == 'mask' else MSD_IMAGES}/{case_id}"
    return f"{case_id}{_SUFFIXES[layout][role][0]}"


def is_output(path: Path, there: Collection[Path]) -> bool:
    """Whether `segtrans predict` wrote a file, which is then no part of a case.

    Args:
        path: a NIfTI file.
        there: the files beside it; with each prediction lies its picture.
    """
    return bool(_OUTPUT.fullmatch(stem(path) or "")) or _by_picture(path, there) is not None


def is_mask_output(path: Path, there: Collection[Path]) -> bool:
    """Whether `segtrans predict` wrote a file as a mask, by the picture that lies with each."""
    return _by_picture(path, there) == "seg"


def _by_picture(path: Path, there: Collection[Path]) -> str | None:
    """What `segtrans predict` wrote a file as, if the picture of the case lies beside it."""
    name = f"{stem(path) or ''}_"
    for found in _BESIDE_PICTURE.finditer(name):
        if path.with_name(f"{name[: found.start()]}{_PICTURE}") in there:
            return found[1]
    return None


def patient_of(case_id: str) -> str:
    """The patient of a case, in small letters, where its name tells; else each is a patient."""
    match = _PATIENT.fullmatch(case_id)
    patient = next(group for group in match.groups() if group) if match else case_id
    return patient.casefold()

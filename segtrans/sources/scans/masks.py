"""From the labels of a mask's file to classes: every year of BraTS has had its own.

Classes are 1 necrotic or non-enhancing core, 2 oedema, 3 enhancing; 0 is no lesion. Phantoms may
have white-matter lesions: 4, or 4 more than the tumour's class there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.scans.case_names import BRATS_2023, MSD, MSD_LABELS

_BRATS_LABELS = {1: 1, 2: 2, 3: 3, 4: 3}
# Classes of labels 1, 2, 3... where 5 more is a white-matter lesion: alone, or within the tumour.
WHITE_MATTER_CLASSES = (1, 2, 3, 3, 4, 5, 6, 7, 7)
_WHITE_MATTER = 4
_ROUNDING, _MOST_ROUNDING = 1e-3, 0.05
_N_LABELS = 256
# What 3 and 4 are where both stand in one mask; files do not tell which it is.
_WITH_3_AND_4 = (
    "in BraTS 2013 and 2015 3 is non-enhancing core and 4 enhancing ([1, 2, 1, 3]), in "
    "BraTS-PED 1 is enhancing, 2 and 3 core and 4 oedema ([3, 1, 1, 2]), in BraTS 2024 after "
    "treatment 4 is a resection cavity ([1, 2, 3, 0])"
)


def classes_of(
    stored: NDArray[Any], path: Path, layout: str, label_classes: Sequence[int] | None
) -> tuple[NDArray[np.uint8], str | None]:
    """A mask in classes, and which labels it had; None when the mask does not tell.

    Args:
        stored: the labels, of any type; a rounding error from whole is mended.
        path: names the file in errors.
        layout: of its case.
        label_classes: class of each label 1, 2, 3... in turn; None: as the layout has them.

    Raises:
        UserError: a label is unknown, or it may mean several things.
    """
    found = _labels(stored)
    known = MSD_LABELS if layout == MSD else _BRATS_LABELS
    if label_classes is not None:
        known = dict(enumerate(label_classes, start=1))
    error = rounding_error(found[-1])
    labels = sorted({round(value) for value in found if abs(value - round(value)) <= error})
    _check_known(found, known, path, layout if label_classes is None else "label_classes")
    if label_classes is None and layout != MSD:
        _check_clear(labels, path, layout)
    if stored.dtype.kind == "f":
        stored = np.rint(stored)
    classes = np.zeros(_N_LABELS, np.uint8)
    classes[list(known)] = list(known.values())
    mask = stored.astype(np.uint8)
    if any(known[label] != label for label in labels if label != 0):
        mask = classes[mask]
    if label_classes is not None:
        return mask, f"1 to {len(known)} as classes {','.join(map(str, label_classes))}"
    return mask, _convention(layout, labels)


def pathology_bits(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Classes as bits of two pathologies, of any shape: bit 0 tumour, bit 1 white-matter lesion."""
    is_tumour, is_white_matter = classes % _WHITE_MATTER != 0, classes >= _WHITE_MATTER
    bits: NDArray[np.uint8] = is_tumour + np.uint8(2) * is_white_matter
    return bits


def rounding_error(largest: float) -> float:
    """How far from whole a label may lie in a file, by the largest label of its mask.

    Labels saved as floats under a header of 8 bits are stored with a slope that makes the largest
    255: nibabel gives 1, 2 and 4 back as 1.0039, 1.9922 and 4. The largest stays whole.
    """
    if abs(largest - round(largest)) > _ROUNDING:
        return _ROUNDING
    return min(max(_ROUNDING, largest / 500), _MOST_ROUNDING)


def describe_labels(of_case: Mapping[str, str | None]) -> str:
    """A clause on which labels the masks had, and which case had which where they differ.

    Args:
        of_case: what `classes_of` says, by case id.
    """
    cases: dict[str, list[str]] = {}
    for case_id, labels in of_case.items():
        if labels is not None:
            cases.setdefault(labels, []).append(case_id)
    if not cases:
        return "no label above 2 in any mask"
    if len(cases) == 1:
        return f"labels {next(iter(cases))}"
    named = (
        f"{labels} ({ids[0]}{f' and {len(ids) - 1} more' if len(ids) > 1 else ''})"
        for labels, ids in sorted(cases.items())
    )
    return f"labels {' and '.join(named)}"


def _labels(stored: NDArray[Any]) -> list[float]:
    """The values of a mask, ascending."""
    flat = stored.ravel(order="K")
    # A lesion is small: to sort its voxels alone is faster than to count them all.
    values = np.unique(flat[flat != 0]).tolist()
    return [0.0, *map(float, values)]


def _check_known(found: Sequence[float], known: dict[int, int], path: Path, by: str) -> None:
    error = rounding_error(found[-1])
    unknown = [
        value
        for value in found
        if abs(value - round(value)) > error or round(value) not in (0, *known)
    ]
    if unknown:
        named = ", ".join(f"{value:.9g}" for value in unknown[:5])
        raise UserError(
            f"{path}: label {named} is unknown; expected 0 and {', '.join(map(str, known))}, as "
            f"{by} has them"
        )


def _check_clear(labels: Sequence[int], path: Path, layout: str) -> None:
    """In the names of 2023 onward nothing that enhances was ever 4, whether or not there is a 3."""
    if 4 not in labels or (3 not in labels and layout != BRATS_2023):
        return
    said = "labels 3 and 4 together" if 3 in labels else f"label 4 in the layout {BRATS_2023}"
    raise UserError(
        f"{path}: has {said}, which may mean several things: {_WITH_3_AND_4}; expected 1, 2, 4 "
        "(until 2021) or 1, 2, 3 (2023); say which with label_classes, in brats or in --rules (of "
        "`segtrans import`: --label-classes)"
    )


def _convention(layout: str, found: Sequence[int]) -> str | None:
    if layout == MSD:
        return "1 (oedema), 2 (core), 3 (enhancing)"
    for last in (3, 4):
        if last in found:
            return f"1, 2, {last}"
    return None

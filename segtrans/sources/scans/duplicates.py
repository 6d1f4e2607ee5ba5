"""The same scan under two names, which would train on what it is tested on."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.digests import file_sha256
from segtrans.errors import UserError
from segtrans.sources.scans.cases import CaseFiles

_SAMPLE_BYTES = 2**16
_SAMPLE_VOXELS = 2**17  # of a volume: some 20,000 are brain, no two scans agree in their order

File = tuple[str, Path]  # of a case, by its id


def check_distinct(cases: Sequence[CaseFiles]) -> None:
    """Refuse cases that share the content of a sequence, byte for byte, before they are prepared.

    Only files of one size are read, and as a whole only those that agree in their middle: scans
    that are not packed have one size all, but differ there.

    Raises:
        UserError: one line that names both files, or a file cannot be read.
    """
    files = [(case.case_id, path) for case in cases for path in set(case.sequences.values())]
    for step in (_size, _middle, file_sha256):
        files = [file for group in _alike(files, step) for file in group]
    for group in _alike(files, file_sha256):
        (first, path), (second, other) = sorted({case: (case, p) for case, p in group}.values())[:2]
        raise UserError(
            f"{path} and {other}: the same scan under two ids, {first} and {second} (equal "
            "SHA-256); keep one of the two cases, or mend the file that was copied by mistake"
        )


def fingerprints(volumes: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """By sequence, what two copies of a scan have in common however each is stored.

    It is the hash of the order of the brain's intensities, on a grid of voxels: another type,
    packing, axis order, unit or slope, with its errors of rounding, leaves it as it is.

    Args:
        volumes: (X, Y, Z) in LPS orientation by sequence; the background is 0.
    """
    size = next(iter(volumes.values())).size
    step = max(1, round((size / _SAMPLE_VOXELS) ** (1 / 3)))
    samples = {name: volume[::step, ::step, ::step] for name, volume in volumes.items()}
    brain = np.logical_or.reduce([sample != 0 for sample in samples.values()])
    place = np.packbits(brain).tobytes()
    prints = {}
    for name, sample in samples.items():
        order = np.unique(sample[brain], return_inverse=True)[1].astype("<u4")
        prints[name] = hashlib.blake2b(place + order.tobytes(), digest_size=16).hexdigest()
    return prints


def mask_fingerprint(mask: NDArray[np.uint8]) -> str | None:
    """What two copies of a mask have in common; None of one without a lesion.

    Args:
        mask: (X, Y, Z) in LPS orientation, compact classes.
    """
    if not mask.any():
        return None
    content = str(mask.shape).encode() + np.ascontiguousarray(mask).tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def check_fingerprints(patients: Sequence[Mapping[str, Any]]) -> None:
    """Refuse prepared cases that share a sequence, those of two folds before others.

    And cases of two patients that share a mask: scans of one patient may have one for all.

    Args:
        patients: case_id, fold and `fingerprints` of each; `mask_fingerprint` and patient, which
            earlier versions did not take.

    Raises:
        UserError: one line that names both cases.
    """
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for patient in patients:
        for name, value in patient["fingerprints"].items():
            groups.setdefault(value, []).append((patient["case_id"], patient["fold"], name))
    pairs = [
        pair
        for group in groups.values()
        for pair in combinations(group, 2)
        if pair[0][0] != pair[1][0]
    ]
    for (first, fold, name), (second, other, name_2) in sorted(
        pairs, key=lambda pair: pair[0][1] == pair[1][1]
    )[:1]:
        raise UserError(
            f"{first} (fold {fold}) and {second} (fold {other}): the same scan under two ids (the "
            f"intensities of {name} and of {name_2} are equal, however they are stored); keep one "
            "of the two cases, or mend the file that was copied by mistake, and split again"
        )

    masks: dict[str, Mapping[str, Any]] = {}
    for patient in patients:
        value = patient.get("mask_fingerprint")
        if value is None:
            continue
        owner = masks.setdefault(value, patient)
        if owner["patient"] != patient["patient"]:
            raise UserError(
                f"{owner['case_id']} (fold {owner['fold']}) and {patient['case_id']} (fold "
                f"{patient['fold']}): the same mask, voxel by voxel, of two patients; mend the one "
                "that was copied by mistake, or name them one patient's in dataset.csv"
            )


def _alike(files: Iterable[File], of: Callable[[Path], object]) -> list[list[File]]:
    """Groups of files of more than one case that have something in common."""
    groups: dict[object, list[File]] = {}
    for case_id, path in files:
        try:
            key = of(path)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}); mend it or take its case out"
            ) from error
        groups.setdefault(key, []).append((case_id, path))
    return [group for group in groups.values() if len({case_id for case_id, _ in group}) > 1]


def _size(path: Path) -> object:
    return path.stat().st_size


def _middle(path: Path) -> object:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, (size - _SAMPLE_BYTES) // 2))
        return size, hashlib.sha256(file.read(_SAMPLE_BYTES)).digest()

"""The data set of half-volumes: one patient after the other, then all of them as one store.

A half-volume on the reduced grid takes about a megabyte, so those of all patients are held in
memory until they are written.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segtrans.config.versions import HALF_VOLUMES_VERSION
from segtrans.data.store import DOMAINS, FOLDS, write_store
from segtrans.errors import UserError
from segtrans.sources.brats.data_set import cases_of
from segtrans.sources.brats.half_volumes import HalfVolume, make_half_volumes
from segtrans.sources.brats.parts import SIDE_TYPE, Patient, facts_of, read_labelled
from segtrans.sources.brats.split_file import SplitFile, read_split
from segtrans.sources.brats.store_header import check_alike, header_of
from segtrans.sources.intensity import Z_SCORE_SCALE
from segtrans.sources.scans.duplicates import check_fingerprints
from segtrans.tasks.half_volumes import HalfVolumes
from segtrans.tasks.parameters import HalfSliceRules

_Images = dict[tuple[str, str], list[tuple[str, HalfVolume]]]


def write_half_volumes(
    sources: Sequence[Path],
    split: Path,
    output: Path,
    *,
    rules: HalfSliceRules,
    task: HalfVolumes,
    name: str,
) -> None:
    """Cut the patients of a split into half-volumes, and write those of P and of A.

    Args:
        sources: folders of the cases.
        split: the split file; its patients are prepared and no others.
        output: the HDF5 file; it appears whole or not at all.
        rules: `normalisation`, `mirror_right` and `label_classes` hold for half-volumes too.
        task: says the grid.
        name: of the task.

    Raises:
        UserError: a case is missing or bad, volumes differ in shape or spacing, two cases hold one
            scan, or a fold has no half-volume of a domain.
    """
    read = read_split(split)
    patients: list[Patient] = []
    made: _Images = {(fold, domain): [] for fold in FOLDS for domain in DOMAINS}
    for files in tqdm(cases_of(sources, split, read.folds), unit="patient", disable=None):
        case, mask = read_labelled(files, rules.label_classes)
        patients.append(facts_of(case, mask, read.folds[files.case_id]))
        for of_side in make_half_volumes(case.sequences, mask, rules, task, case_id=files.case_id):
            if of_side.domain in DOMAINS:
                made[read.folds[files.case_id], of_side.domain].append((files.case_id, of_side))
    check_alike(patients)
    check_fingerprints(patients)
    _check_folds(made, read)
    used = {"normalisation", "mirror_right", "label_classes"}
    facts = {
        **{key: value for key, value in rules.facts.items() if key in used},
        "min_lesion_fraction": task.min_lesion_fraction,
        "grid": list(task.image_size),
        "half_volumes_version": HALF_VOLUMES_VERSION,
    }
    labels = {0: "background", 1: next(iter(task.classes))}
    header = header_of(patients, read, task=name, facts=facts, labels=labels)
    with write_store(output, header) as writer:
        for (fold, domain), halves in made.items():
            for column, (values, scale) in _columns(halves, domain).items():
                writer.add(
                    fold, domain, column, shape=values.shape, dtype=values.dtype, scale=scale
                ).append(values)


def _columns(
    halves: list[tuple[str, HalfVolume]], domain: str
) -> dict[str, tuple[NDArray[Any], float | None]]:
    """What is stored of some half-volumes, and the scale of images."""
    columns: dict[str, tuple[NDArray[Any], float | None]] = {
        "image": (np.stack([of.image for _, of in halves]), Z_SCORE_SCALE),
        "side": (np.array([of.side for _, of in halves], SIDE_TYPE), None),
        "case_id": (np.array([case_id.encode() for case_id, _ in halves]), None),
    }
    if domain == "present":
        columns["mask"] = (np.stack([of.mask for _, of in halves]), None)
    return columns


def _check_folds(made: _Images, split: SplitFile) -> None:
    for (fold, domain), halves in made.items():
        if not halves:
            n_cases = sum(of == fold for of in split.folds.values())
            what = "with a lesion, large enough" if domain == "present" else "without a lesion"
            raise UserError(
                f"fold {fold}: none of the half-volumes of its {n_cases} cases is {what}; expected "
                "some in every fold: give more patients, or split with another seed"
            )

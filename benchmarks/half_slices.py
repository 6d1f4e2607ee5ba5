"""Seconds from one patient's NIfTI files to the store, on one core, step by step."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmarks.floors import DEFLATED, copied_bytes_per_second, deflating_seconds
from benchmarks.lines import Line, best_seconds, use_one_core
from benchmarks.samples import N_PATIENTS, RULES, split_patients, write_patients
from segtrans.data.store import DOMAINS, FOLDS, Store
from segtrans.sources.brats.data_set import write_part
from segtrans.sources.brats.half_slices import make_half_slices
from segtrans.sources.brats.merge import merge_parts
from segtrans.sources.scans.cases import CaseFiles, find_cases
from segtrans.sources.scans.volumes import read_case

REPEATS = 3
READ = "nibabel unpacks the files and does nothing else"


def lines() -> Iterator[Line]:
    """Each step on synthetic phantoms, then the whole chain."""
    use_one_core()
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "patients"
        write_patients(source)
        line = partial(Line, part="half_slices", unit="s a patient")
        cases = find_cases(source)
        reading = per_patient(lambda: read_plainly(cases))
        yield line(
            case="read and check a case",
            value=per_patient(lambda: [read_case(files, with_mask=True) for files in cases]),
            floor=reading,
            floor_is=READ,
        )
        yield line(
            case="normalise, cut and sort half-slices",
            value=per_patient(cutting(cases)),
            floor=bytes_of_volumes(cases[0]) / copied_bytes_per_second(),
            floor_is="the four volumes copied once",
        )
        preparing, merging, deflating = chain(source, Path(name))
        yield line(
            case="a part: both, hashed and written", value=preparing, floor=reading, floor_is=READ
        )
        yield line(case="merge into the store", value=merging, floor=deflating, floor_is=DEFLATED)
        yield line(
            case="the whole chain",
            value=preparing + merging,
            floor=reading + deflating,
            floor_is=f"{READ}, and {DEFLATED}",
        )


def per_patient(step: Callable[[], object]) -> float:
    """Seconds of the best of some runs, for each patient."""
    return best_seconds(step, repeats=REPEATS) / N_PATIENTS


def read_plainly(cases: list[CaseFiles]) -> None:
    """Every voxel of every file."""
    for files in cases:
        for path in {*files.sequences.values(), files.mask}:
            np.asanyarray(nib.load(path).dataobj)


def cutting(cases: list[CaseFiles]) -> Callable[[], None]:
    """A step that makes half-slices of cases read beforehand."""
    loaded = [read_case(files, with_mask=True) for files in cases]

    def cut() -> None:
        for case in loaded:
            assert case.mask is not None
            make_half_slices(case.sequences, case.mask, RULES, case_id=case.files.case_id)

    return cut


def bytes_of_volumes(files: CaseFiles) -> int:
    """Of a case's sequences in memory."""
    return sum(volume.nbytes for volume in read_case(files, with_mask=True).sequences.values())


def chain(source: Path, folder: Path) -> tuple[float, float, float]:
    """Seconds a patient of a part, of merging it, and of compressing what the store then holds."""
    split, part, store = (folder / name for name in ("split.json", "part.npz", "store.h5"))
    split_patients(source, split)
    preparing = per_patient(lambda: write_part([source], split, part, rules=RULES, job=0, n_jobs=1))
    merging = per_patient(lambda: merge_parts([part], split, store))
    return preparing, merging, deflating_seconds(stored_arrays(store)) / N_PATIENTS


def stored_arrays(path: Path) -> list[NDArray[Any]]:
    """Images and masks of every fold."""
    store = Store(path)
    images = [store.images(fold, domain) for fold in FOLDS for domain in DOMAINS]
    return [*images, *(store.masks(fold) for fold in FOLDS)]

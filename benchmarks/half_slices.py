"""Seconds from one patient's NIfTI files to the store, on one core, step by step.

The floor is reading the files: decompressing them with nibabel and nothing else.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from segtrans.data.brats import merge_parts, write_part, write_split
from segtrans.data.cases import find_cases
from segtrans.data.half_slices import HalfSliceRules, make_half_slices
from segtrans.data.phantom import write_phantoms
from segtrans.data.volumes import read_case

N_PATIENTS = 4
RULES = HalfSliceRules(
    min_brain_fraction=0.25,
    min_lesion_fraction=0.01,
    normalisation="per_sequence",
    mirror_right=False,
)


def main() -> None:
    """Measure on phantoms, or on the cases of a folder given as the only argument."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "phantoms"
        if len(sys.argv) == 1:
            write_phantoms(source, first=0, last=N_PATIENTS, n_patients=N_PATIENTS, data_seed=0)
        measure(source, folder)


def measure(source: Path, folder: Path) -> None:
    """Print seconds per patient; each step is the best of three."""
    cases = find_cases(source)
    loaded = [read_case(files, with_mask=True) for files in cases]
    split, part, store = (folder / name for name in ("split.json", "part.npz", "store.h5"))
    write_split(source, split, valid_fraction=0.2, test_fraction=0.2, rotation=0, data_seed=0)
    steps: dict[str, Callable[[], object]] = {
        "floor: nibabel reads the files": lambda: [
            np.asanyarray(nib.load(path).dataobj)
            for files in cases
            for path in {*files.sequences.values(), files.mask}
        ],
        "read_case": lambda: [read_case(files, with_mask=True) for files in cases],
        "make_half_slices": lambda: [
            make_half_slices(case.sequences, case.mask, RULES, case_id=case.files.case_id)
            for case in loaded
        ],
        "part, reading and hashing included": lambda: write_part(
            source, split, part, rules=RULES, job=0, n_jobs=1
        ),
        "merge into the store": lambda: merge_parts([part], split, store),
    }
    seconds = {name: best_of_three(step) / len(cases) for name, step in steps.items()}
    for name, value in seconds.items():
        print(f"{name:38} {value:6.3f} s per patient")
    whole = seconds["part, reading and hashing included"] + seconds["merge into the store"]
    print(f"{'whole chain':38} {whole:6.3f} s per patient, {1.9 / whole:.1f} times 1.9 s")


def best_of_three(step: Callable[[], object]) -> float:
    """Seconds of the fastest of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()

"""Seconds a phantom patient takes on one core, made and written.

Run `python benchmarks/phantom.py`.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

from segtrans.data.phantom import grade_of, load_template, make_patient, write_phantoms

N_PATIENTS = 6


def main() -> None:
    """Print the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    start = time.process_time()
    template = load_template()
    rows = [["nilearn and template, once a process", time.process_time() - start]]
    start = time.process_time()
    for patient in range(N_PATIENTS):
        make_patient(np.random.default_rng(patient), grade_of(patient), template)
    rows.append(["a patient, in memory", (time.process_time() - start) / N_PATIENTS])
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        write_phantoms(Path(folder), first=0, last=N_PATIENTS, n_patients=N_PATIENTS, data_seed=0)
    rows.append(["a patient, made and written", (time.process_time() - start) / N_PATIENTS])
    print(tabulate(rows, headers=["what", "seconds"], floatfmt=".2f", tablefmt="github"))


if __name__ == "__main__":
    main()

"""Seconds that a synthetic phantom takes on one core, in memory and to the finished files."""

import gzip
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.lines import Line, best_seconds, use_one_core
from segtrans.sources.phantom.anatomy import Template, load_template
from segtrans.sources.phantom.grades import grade_of
from segtrans.sources.phantom.patients import make_patient, write_phantoms

N_PATIENTS = 2
REPEATS = 2

Volumes = dict[str, NDArray[np.integer]]


def lines() -> Iterator[Line]:
    """The template, a patient in memory, a patient written."""
    use_one_core()
    yield Line(
        part="phantom",
        case="nilearn and its template, once a process",
        value=best_seconds(load_template, repeats=1),
        unit="s",
    )
    template = load_template()
    patients = make_patients(template)
    line = partial(Line, part="phantom", unit="s")
    drawing = best_seconds(lambda: least_work(patients), repeats=REPEATS) / N_PATIENTS
    yield line(
        case="a patient, in memory",
        value=best_seconds(lambda: make_patients(template), repeats=REPEATS) / N_PATIENTS,
        floor=drawing,
        floor_is="a normal number drawn for each voxel of the head, all volumes copied once",
    )
    packing = best_seconds(lambda: pack(patients), repeats=REPEATS) / N_PATIENTS
    yield line(
        case="a patient, made and written",
        value=best_seconds(write_patients, repeats=REPEATS) / N_PATIENTS,
        floor=drawing + packing,
        floor_is="the same, and the files packed once by gzip at its fastest",
    )


def make_patients(template: Template) -> list[Volumes]:
    """The first patients of a set."""
    return [
        make_patient(np.random.default_rng(patient), grade_of(patient), template)
        for patient in range(N_PATIENTS)
    ]


def least_work(patients: list[Volumes]) -> None:
    """What NumPy cannot do without: draw noise once for all sequences, write the volumes."""
    for volumes in patients:
        n_voxels = np.count_nonzero(volumes["t1"])
        np.random.default_rng(0).standard_normal(n_voxels, dtype=np.float32)
        for volume in volumes.values():
            volume.copy(order="K")


def pack(patients: list[Volumes]) -> None:
    """Compress every volume in memory."""
    for volumes in patients:
        for volume in volumes.values():
            gzip.compress(volume.tobytes(order="F"), 1)


def write_patients() -> None:
    """From nothing to the files."""
    with tempfile.TemporaryDirectory() as folder:
        write_phantoms(Path(folder), first=0, last=N_PATIENTS, n_patients=N_PATIENTS, data_seed=0)

"""Synthetic phantoms: warped MNI brains with tumours, written as BraTS 2017 writes real ones.

They stand in for BraTS where it is not at hand, so that every step runs on files of the real
kind. They look like scans, they are none: a score on them says nothing about patients.
"""

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segtrans.atomic import atomic_path, write_text
from segtrans.config.versions import PHANTOM_VERSION, WHITE_MATTER_VERSION
from segtrans.digests import file_sha256
from segtrans.errors import UserError
from segtrans.sources.phantom.anatomy import (
    GRID,
    Template,
    draw_pose,
    load_template,
    template_coordinates,
)
from segtrans.sources.phantom.contrast import LOOKS, acquire, draw_details
from segtrans.sources.phantom.fields import Box
from segtrans.sources.phantom.grades import Grade, grade_of
from segtrans.sources.phantom.tissue import make_tissue
from segtrans.sources.phantom.tumour import draw_tumour, grow, push
from segtrans.sources.phantom.white_matter import LABEL, draw_spots

# BraTS's own: voxels of 1 mm in LPS, stored with the sign of RAS.
_AFFINE = np.array([[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]], float)
_PACKING = 1  # of 9: noise hardly shrinks, so the fastest
_SPOTS_STREAM = 2**32 - 3  # beside the patients' own draws, which spots leave as they are

Stored = TypeVar("Stored", np.int16, np.uint8)


def write_phantoms(
    output: Path,
    *,
    first: int,
    last: int,
    n_patients: int,
    data_seed: int,
    white_matter_lesions: bool = False,
) -> None:
    """Make patients `first` to `last` - 1 and write them.

    A patient depends on `data_seed` and its own number only, not on the batch it is made in. Each
    folder appears whole; one that is there already is made again.

    Args:
        output: gets `HGG/phantom_0000/phantom_0000_{t1,t1ce,t2,flair,seg}.nii.gz` and so on; one
            in four is LGG. 240 x 240 x 155 voxels of 1 mm, int16, 0 is background; the
            segmentation is uint8 with labels 1 (necrotic or not enhancing), 2 (oedema) and
            4 (enhancing).
        first: number of the first patient, from 0.
        last: number after the last patient.
        n_patients: of the whole set.
        data_seed: 0 or more.
        white_matter_lesions: with these too (`segtrans.sources.phantom.white_matter`), of
            label 5, or 5 more than that of the tumour there.

    Raises:
        UserError: there is no such patient or seed, nilearn is missing, or the disk is full,
            read-only or not ours.
    """
    if not 0 <= first < last <= n_patients:
        raise UserError(
            f"phantom: patients {first} to {last - 1} of {n_patients}: expected at least one, "
            f"numbered 0 to {n_patients - 1}"
        )
    if data_seed < 0:
        raise UserError(f"phantom: data_seed {data_seed}: expected 0 or more")
    template = load_template()
    for patient in tqdm(range(first, last), unit="patient", disable=None):
        grade = grade_of(patient)
        rng = np.random.default_rng((data_seed, PHANTOM_VERSION, patient))
        seed = (data_seed, WHITE_MATTER_VERSION, _SPOTS_STREAM, patient)
        spots = np.random.default_rng(seed) if white_matter_lesions else None
        folder = output / grade / f"phantom_{patient:04d}"
        try:
            _write_case(folder, make_patient(rng, grade, template, spots))
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be written ({error.strerror}); nothing was left half-written; "
                "free space there or choose another place"
            ) from error


def write_checksums(folder: Path, output: Path) -> None:
    """List the SHA-256 of every file below a folder, as `sha256sum` does."""
    files = sorted(folder.rglob("*.nii.gz"))
    lines = [f"{file_sha256(file)}  {file.relative_to(folder)}\n" for file in files]
    write_text(output, "".join(lines))


def make_patient(
    rng: np.random.Generator,
    grade: Grade,
    template: Template,
    spots_rng: np.random.Generator | None = None,
) -> dict[str, NDArray[np.integer]]:
    """One patient's four sequences (int16) and `seg` (uint8), each (240, 240, 155) in LPS.

    With white-matter lesions where a generator is given that draws them.
    """
    pose = draw_pose(rng)
    tumour = draw_tumour(rng, grade, pose, template)
    tissue = make_tissue(rng, template, template_coordinates(rng, pose, push(tumour, pose)))
    lesion = grow(rng, tumour, tissue)
    details = draw_details(rng, tissue)
    spots = draw_spots(spots_rng, tissue, lesion) if spots_rng else None
    volumes: dict[str, NDArray[np.integer]] = {
        name: _in_grid(acquire(rng, look, tissue, lesion, details, spots), tissue.box)
        for name, look in LOOKS.items()
    }
    seg = _in_grid(lesion.labels, lesion.box)
    if spots is not None:
        seg[tissue.box] += np.uint8(LABEL) * spots.mask
    return {**volumes, "seg": seg}


def _in_grid(volume: NDArray[Stored], box: Box) -> NDArray[Stored]:
    grid = np.zeros(GRID, volume.dtype, order="F")  # the order in which NIfTI stores it
    grid[box] = volume
    return grid


def _write_case(folder: Path, volumes: Mapping[str, NDArray[np.integer]]) -> None:
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for name, volume in volumes.items():
            _write_volume(temporary / f"{folder.name}_{name}.nii.gz", volume)
        if folder.exists():
            shutil.rmtree(folder)


def _write_volume(path: Path, volume: NDArray[np.integer]) -> None:
    image = nib.Nifti1Image(volume, _AFFINE)
    image.set_qform(_AFFINE, 1)
    image.set_sform(_AFFINE, 1)
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        # A time stamp would give the same patient other bytes on another day.
        temporary.write_bytes(gzip.compress(image.to_bytes(), _PACKING, mtime=0))

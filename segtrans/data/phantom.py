"""Made-up patients: a real average brain, warped and scanned anew, with a tumour on one side.

Anatomy is the MNI152 template that nilearn ships (T1, grey and white matter, at 1 mm); what is
made up are its warp, four sequences, and the tumour. Patients are written as BraTS 2017 files, so
that the whole pipeline runs on a laptop without a download. No figure measured on them says
anything about real tumours.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter, map_coordinates
from tqdm import tqdm

from segtrans.atomic import atomic_path
from segtrans.data.cases import PHANTOM
from segtrans.data.phantom_contrast import scan_of
from segtrans.data.phantom_fields import smooth_field, texture
from segtrans.data.phantom_tumour import Tumour, draw_tumour, push
from segtrans.errors import UserError
from segtrans.versions import PHANTOM_VERSION

SHAPE = (240, 240, 155)
# Columns, lines and slices that hold the brain; the rest is background.
WINDOW = (slice(34, 206), slice(28, 232), slice(0, 152))
# As BraTS writes it: LPS, 1 mm.
_AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
_MIDDLE = np.array([119.5, 131.5, 74.0])  # of a brain in BraTS, voxels
_TEMPLATE_MIDDLE = np.array([98.0, 115.0, 80.0])
_FILES = {"t1": "t1", "t1c": "t1ce", "t2": "t2", "flair": "flair"}
_STREAM = 3001

Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Anatomy:
    """A head before it is scanned; n voxels of WINDOW are brain.

    Attributes:
        brain: (X, Y, Z), whether a voxel belongs to it.
        tissues: (3, n), shares of white matter, grey matter and fluid, which add up to 1.
        detail: (n,), what the template's brightness has beyond its tissues', -0.2 to 0.2.
    """

    brain: NDArray[np.bool_]
    tissues: Volume
    detail: Volume


def write_phantoms(output: Path, *, first: int, last: int, n_patients: int, data_seed: int) -> None:
    """Write patients first to last - 1 of n_patients below `output`, as BraTS 2017 does.

    Each is a folder HGG/phantom_0000 or LGG/phantom_0000 with the files _t1, _t1ce, _t2, _flair
    (int16) and _seg (uint8: 1 necrotic or non-enhancing core, 2 oedema, 4 enhancing), 240 x 240 x
    155 at 1 mm. A patient depends on the seed and its number alone.

    Args:
        output: folder; made when absent.
        first: number of the first patient to write, from 0.
        last: number after the last one.
        n_patients: in all; checked to hold the range.
        data_seed: not negative.

    Raises:
        UserError: the range is not one of the patients.
    """
    if not 0 <= first <= last <= n_patients:
        raise UserError(f"patients {first} to {last} of {n_patients}: no such range")
    for number in tqdm(range(first, last), unit="patient", disable=None):
        write_phantom(output, number, data_seed=data_seed)


def write_phantom(output: Path, number: int, *, data_seed: int) -> Path:
    """Write one patient; returns its folder."""
    grade = "LGG" if number % 4 == 3 else "HGG"  # 75 of 285 in BraTS 2017
    rng = np.random.default_rng((data_seed, _STREAM, PHANTOM_VERSION, number))
    sequences, labels = make_phantom(rng, grade)
    name = f"{PHANTOM}{number:04d}"
    folder = output / grade / name
    for sequence, suffix in _FILES.items():
        _write(folder / f"{name}_{suffix}.nii.gz", sequences[sequence])
    _write(folder / f"{name}_seg.nii.gz", labels)
    return folder


def make_phantom(
    rng: np.random.Generator, grade: str
) -> tuple[dict[str, NDArray[np.int16]], NDArray[np.uint8]]:
    """A patient's four sequences and labels, (240, 240, 155) in LPS orientation.

    Args:
        rng: the only source of randomness.
        grade: HGG (with a necrotic core and an enhancing rim, as a rule) or LGG.
    """
    coordinates = _warp(rng)
    tumour = _place_tumour(rng, coordinates, grade)
    anatomy = _anatomy(rng, coordinates - push(tumour, coordinates.shape[1:]))
    labels = tumour.labels(rng, anatomy.brain, anatomy.tissues)
    scans = scan_of(rng, anatomy, labels, grade)
    whole = {name: np.zeros(SHAPE, np.int16, order="F") for name in scans}
    for name, scan in scans.items():
        whole[name][WINDOW] = scan
    whole_labels = np.zeros(SHAPE, np.uint8, order="F")
    whole_labels[WINDOW] = labels
    return whole, whole_labels


@cache
def _template() -> tuple[Volume, Volume, Volume, Volume]:
    """T1, grey matter, white matter and the inside of MNI152, LPS orientation, each in [0, 1]."""
    # The import alone takes seconds.
    from nilearn.datasets import (
        load_mni152_gm_template,
        load_mni152_template,
        load_mni152_wm_template,
    )

    loaders = (load_mni152_template, load_mni152_gm_template, load_mni152_wm_template)
    t1, grey, white = (
        np.ascontiguousarray(np.asarray(load(resolution=1).dataobj, np.float32)[::-1, ::-1])
        for load in loaders
    )
    inside = gaussian_filter(binary_fill_holes(t1 > 0.12).astype(np.float32), 1.2)
    return t1, grey, white, inside


def _window_shape() -> tuple[int, int, int]:
    x, y, z = (len(range(*side.indices(n))) for side, n in zip(WINDOW, SHAPE, strict=True))
    return x, y, z


def _warp(rng: np.random.Generator) -> Volume:
    """Where each voxel of the window lies in the template, (3, X, Y, Z): another head each time."""
    shape = _window_shape()
    size = rng.normal(0.955, 0.02) * rng.normal(1, 0.015, 3)
    angles = np.deg2rad(rng.normal(0, [2.0, 1.0, 1.5]))
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        rotation = np.eye(3)
        rotation[[i, i, j, j], [i, j, i, j]] = (
            *(np.cos(angle), -np.sin(angle)),
            *(np.sin(angle), np.cos(angle)),
        )
        turn = turn @ rotation
    matrix = turn / size
    start = np.array([side.start for side in WINDOW])
    middle = _MIDDLE + rng.normal(0, [0.6, 2.0, 1.5])
    offset = _TEMPLATE_MIDDLE + matrix @ (start - middle)
    axes = [np.arange(n, dtype=np.float32) for n in shape]
    coordinates = np.empty((3, *shape), np.float32)
    for axis in range(3):
        x, y, z = (matrix[axis, i] * axes[i] for i in range(3))
        coordinates[axis] = (offset[axis] + x)[:, None, None] + y[:, None] + z
        coordinates[axis] += smooth_field(rng, shape, spacing=36) * np.float32(2.6)
        coordinates[axis] += smooth_field(rng, shape, spacing=16) * np.float32(0.9)
    return coordinates


def _place_tumour(rng: np.random.Generator, coordinates: Volume, grade: str) -> Tumour:
    """Draw a tumour in white matter of one side, in slices with much brain."""
    step = 4  # a coarse look is enough to choose a place
    coarse = coordinates[:, ::step, ::step, ::step]
    white = map_coordinates(_template()[2], coarse, order=1)
    return draw_tumour(rng, white, step=step, grade=grade, middle=_MIDDLE[0] - WINDOW[0].start)


def _anatomy(rng: np.random.Generator, coordinates: Volume) -> Anatomy:
    """Look the template up, and make its averaged borders those of one brain again."""
    shape = coordinates.shape[1:]
    near = _near_brain(coordinates)
    t1, grey, white, inside = (
        map_coordinates(volume, coordinates[:, near], order=1) for volume in _template()
    )
    is_brain = inside + 0.12 * smooth_field(rng, shape, spacing=9)[near] > 0.5
    brain = np.zeros(shape, bool)
    brain[near] = is_brain
    t1, grey, white = t1[is_brain], grey[is_brain], white[is_brain]
    fine, coarse = texture(rng, shape, sd=0.9)[brain], texture(rng, shape, sd=2.0)[brain]
    fluid = np.clip(1 - grey - white, 0, 1)
    cortex = 4 * grey * (1 - grey) * (1 - white)
    # The average has soft folds: noise decides where a fold of this brain lies.
    odds = np.stack(
        [
            white + 0.03 * fine + 0.05 * coarse,
            grey - 0.06 * coarse,
            0.92 * fluid + 0.25 * np.clip(0.58 - t1, 0, 0.4) + 0.36 * cortex * coarse,
        ]
    )
    tissues = np.exp(8 * (odds - odds.max(axis=0)), dtype=np.float32)
    tissues /= tissues.sum(axis=0)
    detail = t1 - np.array([0.87, 0.65, 0.25], np.float32) @ tissues
    return Anatomy(brain, tissues, np.clip(detail, -0.2, 0.2))


def _near_brain(coordinates: Volume) -> NDArray[np.bool_]:
    """Where the brain can be: found on every other voxel, since looking all up takes long."""
    coarse = map_coordinates(_template()[3], coordinates[:, ::2, ::2, ::2], order=1)
    near: NDArray[np.bool_] = coarse > 0.02
    for axis, n in enumerate(coordinates.shape[1:]):
        near = np.repeat(near, 2, axis=axis).take(range(n), axis=axis)
    return near


def _write(path: Path, voxels: NDArray[Any]) -> None:
    image = nib.Nifti1Image(voxels, _AFFINE)
    image.header.set_xyzt_units("mm")
    content = gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)

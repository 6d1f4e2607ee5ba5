"""Volumes in NIfTI files, cut into axial slices: a slice is a picture."""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.image_folder.imports.layout import Layout, Picture, check_shape, mapped
from segtrans.sources.scans.nifti import read_nifti

# Keys of dataset.yaml: slices of a case stay together, and no type says a scan's range.
SETTINGS: dict[str, Any] = {
    "group": r"^(.+)__\d+$",
    "intensity": {"mode": "percentile", "low": 0.5, "high": 99.5},
}


def add_slices(
    layout: Layout, case: str, files: Sequence[Path], label: Path | None, values: dict[int, int]
) -> None:
    """Add the axial slices of a case as pictures, but for those of one value all over.

    A case that cannot be read is a fault.

    Args:
        layout: takes them.
        case: its name.
        files: one of three or four axes, or one for each channel.
        label: of the volume, or None.
        values: what each label becomes.
    """
    try:
        layout.pictures += _slices(case, files, label, values)
    except UserError as error:
        layout.faults.append(str(error))


def _slices(
    case: str, files: Sequence[Path], label: Path | None, values: dict[int, int]
) -> Iterator[Picture]:
    volume = _volume(tuple(files))
    if label is not None:
        check_shape(label, _labels(label).shape, volume.shape[:3])
    for index in range(volume.shape[2]):
        plane = volume[:, :, index]
        if (plane == plane[:1, :1]).all():
            continue
        yield Picture(
            f"{case}__{index:03d}",
            label=None if label is None else partial(_label, label, index, values),
            case=case,
            planes=partial(_planes, tuple(files), index),
        )


@lru_cache(maxsize=1)
def _volume(files: tuple[Path, ...]) -> NDArray[np.float32]:
    """(X, Y, Z, C): right, anterior, superior."""
    volumes = [_oriented(path) for path in files]
    for path, volume in zip(files, volumes, strict=True):
        check_shape(path, volume.shape, volumes[0].shape)
    return np.concatenate(volumes, axis=3).astype(np.float32)


@lru_cache(maxsize=1)
def _labels(path: Path) -> NDArray[Any]:
    volume: NDArray[Any] = _oriented(path)[..., 0]
    return volume


def _oriented(path: Path) -> NDArray[Any]:
    """(X, Y, Z, C) along the axes of the head."""
    try:
        nifti = read_nifti(path, n_axes=3)
        voxels = nifti.voxels[..., None]
    except UserError:
        nifti = read_nifti(path, n_axes=4)
        voxels = nifti.voxels
    turns = nib.io_orientation(nifti.header.get_best_affine())
    oriented: NDArray[Any] = nib.apply_orientation(voxels, turns)
    return oriented


def _planes(files: tuple[Path, ...], index: int) -> NDArray[np.float32]:
    return _seen(_volume(files)[:, :, index])


def _label(
    path: Path, index: int, values: dict[int, int], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    plane = _seen(_labels(path)[:, :, index])
    check_shape(path, plane.shape, shape)
    return mapped(plane, values, path)


def _seen(plane: NDArray[Any]) -> NDArray[Any]:
    """(Y, X, ...) with the front on top, of (X, Y, ...)."""
    return np.ascontiguousarray(plane.swapaxes(0, 1)[::-1])

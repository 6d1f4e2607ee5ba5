"""Read the volumes of a scan, NIfTI files or DICOM series, in one orientation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.scan_folder import dicom
from segtrans.sources.scan_folder.item import ScanFiles
from segtrans.sources.scans.geometry import Geometry, check_same_place, geometry_of
from segtrans.sources.scans.grids import Grid, read_grid
from segtrans.sources.scans.nifti import read_nifti

_ROUNDING = 1e-3  # of a voxel's size, in headers


@dataclass(frozen=True)
class Volume:
    """What a NIfTI file or a DICOM series holds.

    Attributes:
        voxels: (X, Y, Z) in LPS orientation, of the stored type, or float32 where they are scaled.
        geometry: where it lies.
        notes: what was guessed or chosen, a sentence each.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    notes: tuple[str, ...]


def read_volume(path: Path) -> Volume:
    """Read a NIfTI file, or a folder with one DICOM series.

    Raises:
        UserError: names the file; it cannot be read, is no volume, or nobody knows where it lies.
    """
    if path.is_dir():
        series = dicom.find_series(path)
        geometry, notes = geometry_of(series.header, path)
        stored = dicom.read_voxels(series)
    else:
        nifti = read_nifti(path, n_axes=3)
        geometry, notes = geometry_of(nifti.header, path)
        stored = nifti.voxels
    return Volume(geometry.to_lps(stored), geometry, tuple(notes))


def read_headers(files: ScanFiles) -> Grid:
    """The voxels of a scan by its headers: how many along X, Y and Z of the LPS orientation.

    Raises:
        UserError: names a file that cannot be read, or whose grid is not that of the first.
    """
    first: tuple[Path, Grid] | None = None
    for path in files.channels.values():
        grid = _grid_of(path)
        first = first or (path, grid)
        is_alike = np.allclose(grid.spacing_mm, first[1].spacing_mm, rtol=_ROUNDING, atol=0)
        if grid.shape != first[1].shape or not is_alike:
            raise UserError(
                f"{path}: has {grid}, {first[0].name} has {first[1]}; expected one grid for all "
                f"channels of {files.case_id}: resample one to the other"
            )
    if first is None:
        raise ValueError(f"{files.case_id}: a scan without channels")
    return first[1]


def source_files(path: Path) -> tuple[Path, ...]:
    """The file, or the files of the one DICOM series in a folder, by position.

    Raises:
        UserError: there is no such series.
    """
    return dicom.find_series(path).files if path.is_dir() else (path,)


def read_volumes(files: ScanFiles) -> dict[str, Volume]:
    """All channels of a scan, of one place.

    Raises:
        UserError: as `read_volume`, or a channel lies elsewhere than the first.
    """
    volumes: dict[str, Volume] = {}
    first = next(iter(files.channels))
    for name, path in files.channels.items():
        volumes[name] = read_volume(path)
        check_same_place(
            volumes[first].geometry, volumes[name].geometry, of=files.channels[first], path=path
        )
    return volumes


def _grid_of(path: Path) -> Grid:
    grid = None
    if path.is_dir():
        geometry, _ = geometry_of(dicom.find_series(path).header, path)
    elif (grid := read_grid(path)) is None:
        geometry, _ = geometry_of(read_nifti(path, n_axes=3).header, path)  # says what is wrong
    if grid is None:
        x, y, z = (round(mm, 4) for mm in geometry.spacing_mm)
        grid = Grid(geometry.shape, (x, y, z))
    return grid

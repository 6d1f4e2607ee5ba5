"""Size and spacing of all scans, from their headers alone: before hours of work on their voxels."""

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from segtrans.errors import UserError
from segtrans.sources.scans.cases import CaseFiles
from segtrans.sources.scans.geometry import Geometry, geometry_of
from segtrans.tasks.registry import PAPER_TASKS

# Columns and rows of an axial slice: the task's networks see half of the columns.
PLANE = (2 * PAPER_TASKS["brats"].width, PAPER_TASKS["brats"].height)
SPACING_MM = 1.0  # of BraTS

_HEADER_BYTES = 540  # of NIfTI-2, the longer one
_GZIP_MAGIC = b"\x1f\x8b"
_TOLERANCE_MM = 0.01


@dataclass(frozen=True)
class Grid:
    """The voxels of a scan along X, Y and Z of the LPS orientation: how many, and their size."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def __str__(self) -> str:
        """As a message shows it."""
        shape, spacing = (" x ".join(f"{n:g}" for n in v) for v in (self.shape, self.spacing_mm))
        return f"{shape} voxels of {spacing} mm"


def check_grids(cases: Sequence[CaseFiles], plane: tuple[int, int]) -> Grid | None:
    """Compare all files of all cases with what the networks take, and with each other.

    Args:
        cases: those of the data set.
        plane: columns and rows that an axial slice must have.

    Returns:
        The grid of them all; None when no header tells it, which reading the case then explains.

    Raises:
        UserError: one line that names the file and its case.
    """
    first: tuple[Path, Grid] | None = None
    for case in cases:
        for path in _files(case):
            grid = read_grid(path)
            if grid is None:
                continue
            if grid.shape[:2] != plane:
                raise UserError(
                    f"{path}: has {grid}, from right to left, back and up; the networks of the "
                    f"task take axial slices of {plane[0]} x {plane[1]}: resample, crop or pad the "
                    f"scans of {case.case_id}"
                )
            first = first or (path, grid)
            if grid != first[1]:
                raise UserError(
                    f"{path}: has {grid}, {first[0]} has {first[1]}; expected one grid for all "
                    f"cases of a data set: resample, crop or pad the scans of {case.case_id}"
                )
    return first and first[1]


def describe_spacing(grid: Grid | None) -> str:
    """What to add to a sentence on the cases when their voxels are not those of BraTS."""
    if grid is None or max(abs(mm - SPACING_MM) for mm in grid.spacing_mm) <= _TOLERANCE_MM:
        return ""
    spacing = " x ".join(f"{mm:g}" for mm in grid.spacing_mm)
    return f"; voxels of {spacing} mm, not of {SPACING_MM:g} mm as BraTS has them"


def _files(case: CaseFiles) -> Iterator[Path]:
    yield from dict.fromkeys(case.sequences.values())
    if case.mask is not None:
        yield case.mask


def read_grid(path: Path) -> Grid | None:
    """The grid that a header announces; None of a file whose reading will be refused."""
    geometry = read_geometry(path)
    if geometry is None:
        return None
    x, y, z = (round(mm, 4) for mm in geometry.spacing_mm)
    return Grid(geometry.shape, (x, y, z))


def read_geometry(path: Path) -> Geometry | None:
    """Where a file's voxels lie, by its header alone; None of one whose reading will be refused.

    Raises:
        UserError: as `geometry_of`.
    """
    try:
        with path.open("rb") as file:
            is_packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            file.seek(0)
            content = (gzip.GzipFile(fileobj=file) if is_packed else file).read(_HEADER_BYTES)
        header = _parse(content)
        if header is None or len(header.get_data_shape()) < 3:
            return None
        return geometry_of(header, path)[0]
    except (OSError, EOFError, zlib.error, ValueError, HeaderDataError, WrapStructError):
        return None


def _parse(content: bytes) -> nib.Nifti1Header | None:
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        if kind.may_contain_header(content):
            return kind.from_fileobj(io.BytesIO(content), check=False)
    return None

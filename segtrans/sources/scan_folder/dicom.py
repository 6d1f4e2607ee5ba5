"""Read one DICOM series, a folder of it: a volume, and where it lies.

By SimpleITK: it reads the compressed transfer syntaxes that scanners and archives write, and
applies the rescale slope and intercept of each file. Slices are put in order by their positions
here, and what makes no volume is refused: SimpleITK would stack it all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.scans.nifti import check_numbers

Vector = NDArray[np.float64]

_POSITION, _ORIENTATION, _SPACING = "0020|0032", "0020|0037", "0028|0030"
_ROWS, _COLUMNS = "0028|0010", "0028|0011"
_N_FRAMES, _N_SAMPLES, _DESCRIPTION = "0028|0008", "0028|0002", "0008|103e"
_MODALITY = "0008|0060"
_UNEVEN = 0.05  # of the distance between slices
_TILT = 1e-3  # of it: how far a slice is shifted against the one before
_TURN = 1e-3  # of a direction's length
_CONVERT = "convert it to NIfTI, as by `dcm2niix -z y -o OUT FOLDER`, and look at what comes out"
_RAS_OF_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Series:
    """A series by its headers.

    Attributes:
        files: of the slices, by position along the normal of their plane.
        shape: columns, rows and slices.
        affine: (4, 4), from column, row and slice to mm, to the right, the front and the head.
    """

    files: tuple[Path, ...]
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def header(self) -> nib.Nifti1Header:
        """As NIfTI has it; names no patient."""
        header = nib.Nifti1Header()
        header.set_data_shape(self.shape)
        header.set_xyzt_units("mm")
        header.set_qform(self.affine, 1)
        header.set_sform(header.get_qform(), 1)
        return header


@dataclass(frozen=True)
class _Slice:
    path: Path
    position: Vector
    directions: tuple[Vector, Vector]
    spacing: tuple[float, float]
    shape: tuple[int, int]


def find_series(folder: Path) -> Series:
    """The one series of a folder, from the headers of its files; sub-folders are passed over.

    Raises:
        UserError: there is none or several, a slice is missing or twice, slices are tilted against
            the axis of the scanner or not parallel, or a file is no single grey slice.
    """
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # on stderr, whatever is done about it
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not names:
        raise UserError(f"{folder}: no DICOM series in it; expected the files of one")
    files = {
        name: SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), name)
        for name in names
    }
    if len(files) > 1:
        raise UserError(
            f"{folder}: {len(files)} DICOM series ({', '.join(map(_described, files.values()))}); "
            "expected one: give each a folder of its own"
        )
    (paths,) = files.values()
    slices = [_read_slice(Path(path)) for path in paths]
    return _stacked(folder, slices)


def read_voxels(series: Series) -> NDArray[np.float32]:
    """Voxels (columns, rows, slices) of a series, rescaled as each file says.

    Raises:
        UserError: a file cannot be read, or holds no numbers.
    """
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in series.files])
    # Slices may have slopes of their own; the type of the first would cut off others' fractions.
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    folder = series.files[0].parent
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise UserError(
            f"{folder}: cannot be read as DICOM ({_one_line(error)}); copy the series again, or "
            f"{_CONVERT}"
        ) from error
    voxels: NDArray[np.float32] = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
    if voxels.shape != series.shape:
        raise UserError(f"{folder}: slices of several sizes; expected one; {_CONVERT}")
    check_numbers(voxels, folder)
    return voxels


def _described(paths: Sequence[str]) -> str:
    try:
        named = _tags(Path(paths[0])).get(_DESCRIPTION, "").strip()
    except UserError:
        named = ""
    return f"{named or 'without a name'}, {len(paths)} files"


def _tags(path: Path) -> dict[str, str]:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UserError(
            f"{path}: cannot be read as an image of DICOM ({_one_line(error)}); copy it again, or "
            "take it out"
        ) from error
    return {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}


def _read_slice(path: Path) -> _Slice:
    tags = _tags(path)
    if tags.get(_MODALITY, "").strip() == "SEG":
        # Its frames are of several segments, and slices without any are left out.
        raise UserError(
            f"{path}: a DICOM segmentation; expected slices of a scan, or a mask as NIfTI: convert "
            "it, as by dcmqi's `segimage2itkimage` or highdicom, to the grid of its scan"
        )
    n_frames, n_samples = (
        int(_numbers(tags, k, 1, path, default=1)[0]) for k in (_N_FRAMES, _N_SAMPLES)
    )
    if n_frames != 1 or n_samples != 1:
        what = f"{n_frames} frames" if n_frames != 1 else f"{n_samples} colours"
        raise UserError(f"{path}: {what} in one file; expected one grey slice; {_CONVERT}")
    directions = _numbers(tags, _ORIENTATION, 6, path)
    by_row, by_column = _numbers(tags, _SPACING, 2, path)
    n_rows, n_columns = (int(_numbers(tags, key, 1, path)[0]) for key in (_ROWS, _COLUMNS))
    return _Slice(
        path,
        _numbers(tags, _POSITION, 3, path),
        (directions[:3], directions[3:]),
        (float(by_column), float(by_row)),
        (n_columns, n_rows),
    )


def _numbers(
    tags: Mapping[str, str], key: str, n: int, path: Path, *, default: float | None = None
) -> Vector:
    text = tags.get(key, "")
    if not text.strip() and default is not None:
        return np.array([default] * n)
    try:
        found = np.array([float(part) for part in text.split("\\")])
    except ValueError:
        found = np.empty(0)
    if len(found) != n or not np.isfinite(found).all():
        raise UserError(
            f"{path}: its tag ({key.replace('|', ',')}) is {text.strip() or 'missing'}, so nobody "
            f"knows where it lies; expected {n} number{'s' * (n > 1)}; {_CONVERT}"
        )
    return found


def _stacked(folder: Path, slices: Sequence[_Slice]) -> Series:
    first = slices[0]
    normal = np.cross(*first.directions)
    for other in slices:
        turn = max(
            float(np.linalg.norm(a - b))
            for a, b in zip(first.directions, other.directions, strict=True)
        )
        if turn > _TURN or not np.allclose(first.spacing, other.spacing, rtol=1e-3):
            raise UserError(
                f"{folder}: {first.path.name} and {other.path.name} have other directions or pixel "
                "sizes; expected parallel slices of one volume (a scout among them?); take it out"
            )
        if other.shape != first.shape:
            raise UserError(
                f"{folder}: {first.path.name} and {other.path.name} have other sizes; expected "
                "slices of one volume; take one out"
            )
    if len(slices) < 2:
        raise UserError(f"{folder}: one slice ({first.path.name}); expected a volume")
    ordered = sorted(slices, key=lambda one: float(one.position @ normal))
    step = _step(folder, ordered, normal)
    affine = np.eye(4)
    directions = zip((*first.directions, step), (*first.spacing, 1.0), strict=True)
    affine[:3, :3] = np.stack([direction * size for direction, size in directions], axis=1)
    affine[:3, 3] = ordered[0].position
    shape = (*first.shape, len(ordered))
    return Series(tuple(one.path for one in ordered), shape, _RAS_OF_LPS @ affine)


def _step(folder: Path, ordered: Sequence[_Slice], normal: Vector) -> Vector:
    """From one slice to the next, in mm."""
    moves = [after.position - before.position for before, after in pairwise(ordered)]
    along = np.array([float(move @ normal) for move in moves])
    usual = float(np.median(along))
    for distance, (before, after) in zip(along.tolist(), pairwise(ordered), strict=True):
        names = f"{before.path.name} and {after.path.name}"
        if abs(distance) < 1e-3:
            raise UserError(
                f"{folder}: {names} lie at one place; expected one slice for each (several time "
                "points or echoes?): give each volume a folder of its own"
            )
        if abs(distance - usual) > _UNEVEN * usual:
            raise UserError(
                f"{folder}: {distance:.4g} mm between {names}, {usual:.4g} mm elsewhere; expected "
                "even distances (a slice is missing?): put it there, or resample the scan"
            )
    total = ordered[-1].position - ordered[0].position
    length = float(total @ normal)
    aside = float(np.linalg.norm(total - length * normal))
    if aside > _TILT * length:
        degrees = np.degrees(np.arctan(aside / length))
        raise UserError(
            f"{folder}: each slice is shifted against the one before, by {degrees:.2g} degrees in "
            f"all (gantry tilt); expected slices above each other; {_CONVERT}"
        )
    step: Vector = normal * length / (len(ordered) - 1)
    return step


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:160] if lines else type(error).__name__

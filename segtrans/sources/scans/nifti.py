"""Read one NIfTI file: its header, and its voxels as they are stored. What is wrong is refused."""

import gzip
import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from segtrans.errors import UserError, one_line
from segtrans.sources.scans.dicom import CONVERT, is_dicom

_READ_ERRORS = (OSError, EOFError, zlib.error, ValueError, HeaderDataError, WrapStructError)
_GZIP_MAGIC = b"\x1f\x8b"
# No scan has such intensities; fill values (FLT_MAX, 1e200) end as NaN in what is computed.
_LARGEST = 1e30


@dataclass(frozen=True)
class Nifti:
    """A file's content.

    Attributes:
        header: as it stands in the file.
        voxels: of the shape asked for, as stored, or float32 where the file scales.
        step: what one step of the stored type is worth where the file has an intercept, so that
            a background of 0 may have become something else; 0 where 0 is stored exactly.
    """

    header: nib.Nifti1Header
    voxels: NDArray[Any]
    step: float


def read_nifti(path: Path, *, n_axes: int) -> Nifti:
    """Read a .nii or .nii.gz file of 3 or 4 axes; axes of length one at the end are dropped.

    Raises:
        UserError: it is missing, truncated, DICOM, no NIfTI or of another shape; its voxels begin
            within its header, are no real numbers, NaN, infinite or beyond 1e30.
    """
    try:
        content = _content(path)
        if is_dicom(content):
            raise UserError(f"{path}: {CONVERT}")
        header = _parse(content)
        shape = _shape_of(header, path, n_axes=n_axes)
        dtype, offset = header.get_data_dtype(), _offset(header, path)
        slope, intercept = (
            default if value is None else value
            for value, default in zip(header.get_slope_inter(), (1.0, 0.0), strict=True)
        )
        n_voxels = math.prod(shape)
        n_bytes = offset + n_voxels * dtype.itemsize
        if len(content) < n_bytes:
            raise EOFError(f"{len(content)} bytes, of {n_bytes} that its header announces")
        if (slope, intercept) == (1.0, 0.0):
            stored = np.frombuffer(content, dtype, n_voxels, offset)
        else:
            proxy = ArrayProxy(io.BytesIO(content), (shape, dtype, offset, slope, intercept))
            with np.errstate(over="ignore"):  # infinite then, which is refused below
                stored = np.asanyarray(proxy, dtype=np.float32)
    except _READ_ERRORS as error:
        raise UserError(
            f"{path}: cannot be read as NIfTI ({one_line(error)}); expected a whole .nii or "
            ".nii.gz file; copy or download it again"
        ) from error
    voxels: NDArray[Any] = stored.reshape(shape, order="F")
    voxels = voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    check_numbers(voxels, path)
    return Nifti(header, voxels, abs(slope) if intercept else 0.0)


def _content(path: Path) -> bytes:
    """A file's bytes, unpacked as a whole: only so is the check sum at its end compared."""
    content = path.read_bytes()
    return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content


def _parse(content: bytes) -> nib.Nifti1Header:
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(content):
            header = kind.header_class.from_fileobj(io.BytesIO(content))
            # nibabel makes 1 mm of a size of 0, and only logs it.
            size = kind.header_class.template_dtype.itemsize
            stored = kind.header_class(content[:size], check=False)["pixdim"]
            header["pixdim"][1:4][stored[1:4] == 0] = 0
            return header
    raise ValueError("it does not begin with a NIfTI header")


def _shape_of(header: nib.Nifti1Header, path: Path, *, n_axes: int) -> tuple[int, ...]:
    """The shape, without what follows its axes and has length one."""
    whole: tuple[int, ...] = header.get_data_shape()
    shape = whole
    while len(shape) > n_axes and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != n_axes or min(shape) < 2:
        raise UserError(
            f"{path}: has the shape {' x '.join(map(str, whole))}; expected {n_axes} axes"
            + (" (three of space, one of sequences)" if n_axes == 4 else ", a volume")
        )
    return shape


def _offset(header: nib.Nifti1Header, path: Path) -> int:
    offset = int(header.get_data_offset())
    # nibabel takes 0 at its word and reads the header as voxels; other readers begin at 348.
    if offset < header.single_vox_offset:
        raise UserError(
            f"{path}: its header says that voxels begin at byte {offset} (vox_offset), within the "
            f"header; expected {header.single_vox_offset} or more; write the file again"
        )
    return offset


def check_numbers(voxels: NDArray[Any], path: Path) -> None:
    """Refuse voxels that no scan has.

    Raises:
        UserError: they are no real numbers, NaN, infinite or beyond 1e30.
    """
    if voxels.dtype.kind not in "iuf":
        raise UserError(f"{path}: voxels of type {voxels.dtype}; expected whole or real numbers")
    if voxels.dtype.kind != "f":
        return
    if not np.isfinite(voxels).all():
        n_bad = int(voxels.size - np.count_nonzero(np.isfinite(voxels)))
        raise UserError(
            f"{path}: {n_bad} voxels are NaN or infinite; expected numbers; mend the file"
        )
    lowest, highest = float(voxels.min()), float(voxels.max())
    if max(-lowest, highest) > _LARGEST:
        value = highest if highest > _LARGEST else lowest
        raise UserError(
            f"{path}: has voxels of {value:.3g}; expected intensities within {_LARGEST:g}; if that "
            "fills the background, set it to 0"
        )

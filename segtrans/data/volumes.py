"""Read the volumes of a case in one orientation, and write volumes back in the scan's own.

Whatever the stored axis order, arrays are (X, Y, Z) in LPS orientation: X grows to the patient's
left, Y to the back, Z to the top, as BraTS stores them. Axes are turned, never resampled: of an
oblique scan each takes the nearest direction.
"""

import gzip
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import DTypeLike, NDArray

from segtrans.atomic import atomic_path
from segtrans.data.case_names import BRATS_2023, MSD, MSD_SEQUENCES, SEQUENCES
from segtrans.data.cases import CaseFiles
from segtrans.errors import UserError

_LPS = axcodes2ornt(("L", "P", "S"))
_AFFINE_TOLERANCE = 1e-3  # mm
_READ_ERRORS = (OSError, EOFError, zlib.error, ValueError, HeaderDataError, WrapStructError)
_GZIP_MAGIC = b"\x1f\x8b"

# From stored labels to classes: 1 necrotic or non-enhancing core, 2 oedema, 3 enhancing.
_BRATS_LABELS = {1: 1, 2: 2, 3: 3, 4: 3}
_MSD_LABELS = {1: 2, 2: 1, 3: 3}


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a scan lie in its file.

    Attributes:
        header: of the scan's file; its first three axes are the volume's.
        affine: (4, 4), voxels to mm.
    """

    header: nib.Nifti1Header
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Size of a voxel along X, Y and Z of the LPS orientation."""
        sizes = voxel_sizes(self.affine)
        x, y, z = (float(sizes[int(axis)]) for axis in np.argsort(_orientation(self.affine)[:, 0]))
        return x, y, z

    def to_lps(self, stored: NDArray[Any]) -> NDArray[Any]:
        """A view of a stored volume, (X, Y, Z) in LPS orientation."""
        turned: NDArray[Any] = apply_orientation(
            stored, ornt_transform(_orientation(self.affine), _LPS)
        )
        return turned

    def to_stored(self, volume: NDArray[Any]) -> NDArray[Any]:
        """A view of a volume (X, Y, Z) in LPS orientation, in the file's own axis order."""
        turned: NDArray[Any] = apply_orientation(
            volume, ornt_transform(_LPS, _orientation(self.affine))
        )
        return turned

    def save(self, volume: NDArray[Any], path: Path, *, dtype: DTypeLike) -> None:
        """Write a volume as .nii.gz with the scan's affine, shape, units and codes.

        Args:
            volume: (X, Y, Z) in LPS orientation.
            path: ends in .nii.gz; the file appears whole or not at all, the same content with the
                same bytes.
            dtype: stored type, uint8 or float32.
        """
        stored = self.to_stored(volume).astype(dtype)
        header = self.header.copy()
        header.set_data_shape(stored.shape)
        header.set_data_dtype(dtype)
        # What belongs to the intensities of the scan, not to those of the volume.
        header.set_slope_inter(1, 0)
        header["cal_min"] = header["cal_max"] = 0
        image = nib.Nifti1Image(stored, None, header)
        # Without name and time: neither is content.
        content = gzip.compress(image.to_bytes(), compresslevel=3, mtime=0)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)


@dataclass(frozen=True)
class Case:
    """A patient's scan in memory.

    Attributes:
        files: where it comes from.
        sequences: by name, in channel order, (X, Y, Z) in LPS orientation; as stored, or float32
            where the file scales.
        mask: (X, Y, Z) uint8: 0 background, 1 necrotic or non-enhancing core, 2 oedema,
            3 enhancing; None when it was not asked for.
        label_convention: which stored labels those were; None when the mask does not tell.
        geometry: of the files.
    """

    files: CaseFiles
    sequences: dict[str, NDArray[Any]]
    mask: NDArray[np.uint8] | None
    label_convention: str | None
    geometry: Geometry


def read_case(files: CaseFiles, *, with_mask: bool) -> Case:
    """Read the four sequences of a case, and its mask if asked for.

    Raises:
        UserError: a file is missing, truncated, no NIfTI, or not of three dimensions (four in the
            Decathlon's layout); shapes or affines disagree; a voxel is NaN or infinite; there is no
            brain; a label is unknown.
    """
    if files.layout == MSD:
        image, stored = _read(files.sequences["t1"], n_axes=4)
        geometry = _geometry(image, files.sequences["t1"])
        if stored.shape[3] != len(MSD_SEQUENCES):
            raise UserError(
                f"{files.sequences['t1']}: {stored.shape[3]} volumes along the last axis; expected "
                f"{len(MSD_SEQUENCES)}: {', '.join(MSD_SEQUENCES)}"
            )
        volumes = {name: stored[..., MSD_SEQUENCES.index(name)] for name in SEQUENCES}
    else:
        read = {name: _read(path, n_axes=3) for name, path in files.sequences.items()}
        geometry = _geometry(read[SEQUENCES[0]][0], files.sequences[SEQUENCES[0]])
        for name, (image, _) in read.items():
            _check_alike(geometry, image, files.sequences[SEQUENCES[0]], files.sequences[name])
        volumes = {name: read[name][1] for name in SEQUENCES}
    sequences = {name: geometry.to_lps(volume) for name, volume in volumes.items()}
    if not any(volume.any() for volume in sequences.values()):
        raise UserError(
            f"{files.case_id}: every voxel of every sequence is zero; expected a brain on a zero "
            "background; take the case out or mend its files"
        )
    mask, convention = None, None
    if with_mask:
        mask, convention = _read_mask(files, geometry)
    return Case(files, sequences, mask, convention, geometry)


def _read(path: Path, *, n_axes: int) -> tuple[nib.Nifti1Image, NDArray[Any]]:
    """An image and its voxels: as stored, or float32 where a slope or an intercept applies."""
    try:
        content = _content(path)
        image = _parse(content)
        shape = _shape_of(image, path, n_axes=n_axes)
        proxy = image.dataobj
        n_voxels = math.prod(shape)
        n_bytes = proxy.offset + n_voxels * proxy.dtype.itemsize
        if len(content) < n_bytes:
            raise EOFError(f"{len(content)} bytes, of {n_bytes} that its header announces")
        if (proxy.slope, proxy.inter) == (1.0, 0.0):
            stored = np.frombuffer(content, proxy.dtype, n_voxels, proxy.offset)
        else:
            with np.errstate(over="ignore"):  # infinite then, which is refused below
                stored = image.get_fdata(dtype=np.float32)
    except _READ_ERRORS as error:
        raise UserError(
            f"{path}: cannot be read as NIfTI ({_one_line(error)}); expected a whole .nii or "
            ".nii.gz file; copy or download it again"
        ) from error
    voxels: NDArray[Any] = stored.reshape(shape, order="F")
    voxels = voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    if voxels.dtype.kind not in "iuf":
        raise UserError(f"{path}: voxels of type {voxels.dtype}; expected whole or real numbers")
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        n_bad = int(voxels.size - np.count_nonzero(np.isfinite(voxels)))
        raise UserError(
            f"{path}: {n_bad} voxels are NaN or infinite; expected numbers; mend the file"
        )
    return image, voxels


def _content(path: Path) -> bytes:
    """A file's bytes, unpacked as a whole: only so is the check sum at its end compared."""
    content = path.read_bytes()
    return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content


def _parse(content: bytes) -> nib.Nifti1Image:
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(content):
            return kind.from_bytes(content)
    raise ValueError("it does not begin with a NIfTI header")


def _shape_of(image: nib.Nifti1Image, path: Path, *, n_axes: int) -> tuple[int, ...]:
    """The image's shape, without what follows its axes and has length one."""
    shape: tuple[int, ...] = image.shape
    while len(shape) > n_axes and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != n_axes or min(shape) < 2:
        raise UserError(
            f"{path}: has the shape {' x '.join(map(str, image.shape))}; expected {n_axes} axes"
            + (" (three of space, one of sequences)" if n_axes == 4 else ", a volume")
        )
    return shape


def _geometry(image: nib.Nifti1Image, path: Path) -> Geometry:
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise UserError(
            f"{path}: its affine has no inverse, so nobody knows left from right; expected voxel "
            "axes in mm (sform or qform); mend the header"
        )
    return Geometry(image.header, affine)


def _check_alike(geometry: Geometry, image: nib.Nifti1Image, first: Path, other: Path) -> None:
    expected = geometry.header.get_data_shape()[:3]
    if image.shape[:3] != expected:
        raise UserError(
            f"{other}: has the shape {image.shape[:3]}, {first.name} has {expected}; expected one "
            "for the whole case; register the scans to each other"
        )
    if not np.allclose(image.affine, geometry.affine, atol=_AFFINE_TOLERANCE):
        off = float(np.nanmax(np.abs(image.affine - geometry.affine)))
        raise UserError(
            f"{other}: its affine differs from that of {first.name} by up to {off:.3g}; expected "
            "one for the whole case; register the scans to each other"
        )


def _read_mask(files: CaseFiles, geometry: Geometry) -> tuple[NDArray[np.uint8], str | None]:
    if files.mask is None:
        raise UserError(f"{files.case_id}: has no mask; a case to train on needs one")
    image, stored = _read(files.mask, n_axes=3)
    _check_alike(geometry, image, files.sequences[SEQUENCES[0]], files.mask)
    found = _labels(stored)
    known = _MSD_LABELS if files.layout == MSD else _BRATS_LABELS
    unknown = [label for label in found if label != 0 and label not in known]
    if unknown:
        named = ", ".join(f"{label:g}" for label in unknown[:5])
        raise UserError(
            f"{files.mask}: label {named} is unknown; expected 0 and "
            f"{', '.join(map(str, known))}, as {files.layout} has them"
        )
    # In the names of 2023 onward nothing but a cavity was ever 4, whether or not there is a 3.
    if 4 in found and (3 in found or files.layout == BRATS_2023):
        said = "labels 3 and 4 together" if 3 in found else f"label 4 in the layout {BRATS_2023}"
        raise UserError(
            f"{files.mask}: has {said}, as BraTS 2024 after treatment, where 4 is a resection "
            "cavity; expected 1, 2, 4 (until 2021) or 1, 2, 3 (2023)"
        )
    classes = np.zeros(256, np.uint8)
    classes[list(known)] = list(known.values())
    mask = stored.astype(np.uint8)
    if any(known[int(label)] != label for label in found if label != 0):
        mask = classes[mask]
    return geometry.to_lps(mask), _convention(files.layout, found)


def _labels(stored: NDArray[Any]) -> list[float]:
    """The values of a mask, ascending."""
    flat = stored.ravel(order="K")
    # A lesion is small: to sort its voxels alone is faster than to count them all.
    values = np.unique(flat[flat != 0]).tolist()
    return [0.0, *map(float, values)]


def _convention(layout: str, found: Sequence[float]) -> str | None:
    if layout == MSD:
        return "1 (oedema), 2 (core), 3 (enhancing)"
    for last in (3, 4):
        if last in found:
            return f"1, 2, {last}"
    return None


def _orientation(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    orientation: NDArray[np.float64] = io_orientation(affine)
    return orientation


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__

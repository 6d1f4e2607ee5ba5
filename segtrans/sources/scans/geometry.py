"""Where a scan lies: from a NIfTI header's forms to one affine, and back so that readers agree.

A header has two forms, sform and qform, each with a code; readers choose between them by rules of
their own (nibabel takes the sform; ITK the qform where the sform's code is 2 or 4, or where the
sform is sheared). Where they differ one is taken, which is said, and what is written has only that.
"""

import zlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.orientations import (
    aff2axcodes,
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import DTypeLike, NDArray

from segtrans.atomic import atomic_path
from segtrans.errors import UserError

Affine = NDArray[np.float64]

_LPS = axcodes2ornt(("L", "P", "S"))
_GZIP = 31  # header, window of 32 kB, check sum at the end
_MM = {"meter": 1000.0, "micron": 0.001}
_SPACING_MM = (0.01, 100.0)  # what a scan may have
_SAID_MM = 0.1  # two forms that differ by less are one
_EQUAL_MM = 1e-3
_SHEAR = 1e-3  # cosine between two axes
_ITK_SHEAR = 1e-5  # well below what ITK refuses
_QUATERNION = 1e-3  # rounded numbers may make its length that much more than 1
_SAME_PLACE = 0.05  # of a voxel: what corners of two files of one case may lie apart


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a scan lie in its file.

    Attributes:
        header: of the scan's file, in mm, its forms alike; its first three axes are the volume's.
        affine: (4, 4), voxels to mm.
    """

    header: nib.Nifti1Header
    affine: Affine

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Size of a voxel along X, Y and Z of the LPS orientation."""
        sizes = voxel_sizes(self.affine)
        x, y, z = (float(sizes[int(axis)]) for axis in np.argsort(_orientation(self.affine)[:, 0]))
        return x, y, z

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along X, Y and Z of the LPS orientation."""
        stored = self.header.get_data_shape()
        x, y, z = (int(stored[int(a)]) for a in np.argsort(_orientation(self.affine)[:, 0]))
        return x, y, z

    @property
    def lps_affine(self) -> Affine:
        """(4, 4), from voxels of `to_lps` to mm, to the right, the front and the head."""
        turns = ornt_transform(_orientation(self.affine), _LPS)
        affine: Affine = self.affine @ inv_ornt_aff(turns, self.header.get_data_shape()[:3])
        return affine

    def counts_backwards(self, axis: int) -> bool:
        """Whether the file counts voxels against an axis (0 to 2) of the LPS orientation."""
        orientation = _orientation(self.affine)
        (direction,) = orientation[orientation[:, 0] == axis, 1]
        return bool(direction != _LPS[axis, 1])

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
        """Write a volume as .nii.gz; the file appears whole or not at all.

        Args:
            volume: as `encoded`.
            path: ends in .nii.gz.
            dtype: stored type, uint8 or float32.
        """
        content = self.encoded(volume, dtype=dtype)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)

    def encoded(self, volume: NDArray[Any], *, dtype: DTypeLike) -> bytes:
        """A volume as .nii.gz with the scan's affine, shape, units and codes.

        Args:
            volume: (X, Y, Z) in LPS orientation.
            dtype: stored type, uint8 or float32.

        Returns:
            Of the same volume the same bytes.
        """
        stored = self.to_stored(volume).astype(dtype)
        header = self.header.copy()
        header.set_data_shape(stored.shape)
        header.set_data_dtype(dtype)
        # What belongs to the intensities of the scan, not to those of the volume.
        header.set_slope_inter(1, 0)
        header["cal_min"] = header["cal_max"] = 0
        image = nib.Nifti1Image(stored, None, header)
        # Of repetitions only runs: between numbers of a brain there are no others to be found.
        # The header has neither name nor time, which are no content.
        packer = zlib.compressobj(1, wbits=_GZIP, strategy=zlib.Z_RLE)
        return packer.compress(image.to_bytes()) + packer.flush()


def check_same_place(first: Geometry, other: Geometry, *, of: Path, path: Path) -> None:
    """Refuse two files of one case that show other places, however their voxels are ordered.

    Args:
        first: of the file that the other is held against.
        other: of the other one.
        of: names the first in errors.
        path: names the other.

    Raises:
        UserError: the sizes differ, or a corner lies elsewhere.
    """
    if first.shape != other.shape:
        shapes = [" x ".join(map(str, geometry.shape)) for geometry in (other, first)]
        raise UserError(
            f"{path}: has {shapes[0]} voxels to the left, back and head, {of.name} has "
            f"{shapes[1]}; expected one grid for all files of a case: resample one to the other"
        )
    last = [(0, size - 1) for size in first.shape]
    corners = np.array(list(product(*last)), np.float64)
    places = [apply_affine(geometry.lps_affine, corners) for geometry in (first, other)]
    off = float(np.linalg.norm(places[0] - places[1], axis=1).max())
    if off > _SAME_PLACE * min(first.spacing_mm):
        raise UserError(
            f"{path}: lies up to {off:.3g} mm from where {of.name} lies; expected one place for "
            "all files of a case: register one to the other"
        )


def geometry_of(header: nib.Nifti1Header, path: Path) -> tuple[Geometry, list[str]]:
    """Where a file's voxels lie, and what had to be guessed or chosen, a sentence each.

    Raises:
        UserError: nobody can know: no form has an inverse, both disagree on directions, the axes
            are sheared, or voxels are too small or large for a scan.
    """
    header, notes = header.copy(), []
    _shorten_quaternion(header)
    scale = _MM.get(header.get_xyzt_units()[0], 1.0)
    qform, sform = _form(header, "qform", scale), _form(header, "sform", scale)
    affine = sform if sform is not None else qform
    if sform is not None and qform is not None:
        if aff2axcodes(sform) != aff2axcodes(qform):
            raise UserError(
                f"{path}: its sform says that axes run to {''.join(aff2axcodes(sform))}, its qform "
                f"to {''.join(aff2axcodes(qform))}, so nobody knows left from right; expected one "
                "of both; mend the header"
            )
        use_qform = _shear(sform) > _SHEAR >= _shear(qform)
        affine = qform if use_qform else sform
        off = _distance(sform, qform, header)
        if off > _SAID_MM:
            taken = "the qform was taken, the sform is sheared" if use_qform else "took the sform"
            notes.append(f"its sform and qform differ by up to {off:.3g} mm: {taken}")
    elif affine is not None:
        other = "qform" if qform is None else "sform"
        if header[f"{other}_code"] > 0:
            notes.append(f"its {other} has no inverse or is no rotation: took the other form")
    if affine is None:
        affine = _unset(header, path, scale)
        notes.append(
            "has neither sform nor qform, so left and right are a guess: took the first axis to "
            f"run to {aff2axcodes(affine)[0]}; compare the picture with the patient"
        )
    _check(affine, path, header)
    return Geometry(_in_mm(header, affine, qform, sform, scale), affine), notes


def _shorten_quaternion(header: nib.Nifti1Header) -> None:
    """Make a quaternion whose rounded numbers are a little longer than 1 one of length 1."""
    names = ("quatern_b", "quatern_c", "quatern_d")
    length = float(np.sqrt(sum(float(header[name]) ** 2 for name in names)))
    if 1 < length <= 1 + _QUATERNION:
        for name in names:
            header[name] = float(header[name]) / length


def _form(header: nib.Nifti1Header, name: str, scale: float) -> Affine | None:
    """A form in mm; None where its code is 0 or it has no inverse."""
    try:
        found = getattr(header, f"get_{name}")(coded=True)[0]
    except ValueError:  # a quaternion that is none
        return None
    if found is None or not np.isfinite(found).all():
        return None
    affine = np.array(found, np.float64)
    if not _has_inverse(affine):
        return None
    affine[:3] *= scale
    return affine


def _unset(header: nib.Nifti1Header, path: Path, scale: float) -> Affine:
    """What nibabel takes where no form is set: a guess."""
    names = [name for name in ("sform", "qform") if header[f"{name}_code"] > 0]
    affine = np.array(header.get_base_affine(), np.float64)
    if names or not np.isfinite(affine).all() or not _has_inverse(affine):
        raise UserError(
            f"{path}: its affine has no inverse (by its {' and '.join(names) or 'pixdim'}), so "
            "nobody knows left from right; expected voxel axes in mm (sform or qform); mend the "
            "header"
        )
    affine[:3] *= scale
    return affine


def _has_inverse(affine: Affine) -> bool:
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    return bool((sizes > 0).all() and abs(np.linalg.det(affine[:3, :3] / sizes)) > 1e-3)


def _check(affine: Affine, path: Path, header: nib.Nifti1Header) -> None:
    shear = _shear(affine)
    if shear > _SHEAR:
        raise UserError(
            f"{path}: its axes are sheared (cosine {shear:.3g} between two of them); expected "
            "right angles; resample the scan"
        )
    sizes = voxel_sizes(affine)
    if min(sizes) < _SPACING_MM[0] or max(sizes) > _SPACING_MM[1]:
        unit = header.get_xyzt_units()[0]
        raise UserError(
            f"{path}: its voxels are {' x '.join(f'{size:.3g}' for size in sizes)} mm, by the unit "
            f"{unit} of its header; expected {_SPACING_MM[0]:g} to {_SPACING_MM[1]:g} mm; mend "
            "the header"
        )


def _in_mm(
    header: nib.Nifti1Header,
    affine: Affine,
    qform: Affine | None,
    sform: Affine | None,
    scale: float,
) -> nib.Nifti1Header:
    """The header itself where every reader finds the affine in it; else its forms set anew."""
    set_forms = [form for form in (qform, sform) if form is not None]
    is_alike = all(_distance(form, affine, header) <= _EQUAL_MM for form in set_forms)
    is_straight = _shear(affine) <= _ITK_SHEAR
    has_all = bool(set_forms) and all(
        (form is None) == (header[f"{name}_code"] <= 0)
        for name, form in (("qform", qform), ("sform", sform))
    )
    zooms = np.array(header.get_zooms()[:3]) * scale
    has_spacing = np.allclose(zooms, voxel_sizes(affine), rtol=1e-3)
    if scale == 1 and is_alike and is_straight and has_all and has_spacing:
        return header
    codes = [int(header[f"{name}_code"]) for name in ("qform", "sform")]
    code = max(*codes, 1)
    if scale != 1:
        header.set_xyzt_units("mm", header.get_xyzt_units()[1])
    header.set_qform(affine, codes[0] if codes[0] > 0 else code)
    header.set_sform(header.get_qform(), codes[1] if codes[1] > 0 else code)
    return header


def _distance(first: Affine, second: Affine, header: nib.Nifti1Header) -> float:
    """How far apart two affines put a corner of the volume, at most, in mm."""
    last = [size - 1 for size in header.get_data_shape()[:3]]
    corners = np.array(list(product(*((0, index) for index in last))), np.float64)
    off = apply_affine(first, corners) - apply_affine(second, corners)
    return float(np.linalg.norm(off, axis=1).max())


def _shear(affine: Affine) -> float:
    """The largest cosine between two of the axes: 0 where all angles are right."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def _orientation(affine: Affine) -> NDArray[np.float64]:
    orientation: NDArray[np.float64] = io_orientation(affine)
    return orientation

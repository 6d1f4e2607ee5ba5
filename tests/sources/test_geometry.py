"""Where scans lie: two readers beside each other, and what is guessed is said."""

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from segtrans.errors import UserError
from segtrans.sources.scans.geometry import geometry_of
from segtrans.sources.scans.nifti import read_nifti

SHAPE = (6, 7, 8)
AFFINE = np.array([[-1, 0, 0, 90], [0, -1.5, 0, 120], [0, 0, 2, -70], [0, 0, 0, 1.0]])
MOVED = AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 12])
RAS_OF_LPS = np.diag([-1, -1, 1, 1.0])


def turned(degrees):
    turn, angle = np.eye(4), np.deg2rad(degrees)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ AFFINE


def sheared(cosine):
    affine = AFFINE.copy()
    affine[0, 1] = cosine * 1.5
    return affine


def write(path, *, qform=None, sform=None, codes=(1, 1), units="mm", scale=1.0):
    """A scan of ones with these forms; a code of 0 where there is none."""
    image = nib.Nifti1Image(np.ones(SHAPE, np.int16), None)
    millimetres = np.diag([scale, scale, scale, 1])
    image.header.set_qform(millimetres @ (AFFINE if qform is None else qform))
    image.header["qform_code"] = codes[0] if qform is not None else 0
    image.header.set_sform(millimetres @ (np.eye(4) if sform is None else sform))
    image.header["sform_code"] = codes[1] if sform is not None else 0
    image.header.set_xyzt_units(units)
    nib.Nifti1Image(np.ones(SHAPE, np.int16), None, image.header).to_filename(path)
    return path


def itk_affine(path):
    """Voxels to mm as SimpleITK has them, in the directions of nibabel."""
    image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction @ np.diag(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return RAS_OF_LPS @ affine


BOTH = [(q, s) for q in range(1, 5) for s in range(1, 5)]
CASES = {
    **{
        f"codes {q} {s}": ({"qform": AFFINE, "sform": AFFINE, "codes": (q, s)}, AFFINE, "")
        for q, s in BOTH
    },
    **{
        f"differ, codes {q} {s}": (
            {"qform": MOVED, "sform": AFFINE, "codes": (q, s)},
            AFFINE,
            "differ by up to 12 mm",
        )
        for q, s in BOTH
    },
    "only a qform": ({"qform": turned(20)}, turned(20), ""),
    "only an sform": ({"sform": turned(20)}, turned(20), ""),
    "a little sheared": ({"sform": sheared(8e-4)}, AFFINE, ""),
    "sheared sform": ({"qform": AFFINE, "sform": sheared(0.1)}, AFFINE, "the sform is sheared"),
    "metres": ({"qform": AFFINE, "sform": AFFINE, "units": "meter", "scale": 1e-3}, AFFINE, ""),
    "microns": ({"qform": AFFINE, "sform": AFFINE, "units": "micron", "scale": 1e3}, AFFINE, ""),
    "microns, only a qform": ({"qform": AFFINE, "units": "micron", "scale": 1e3}, AFFINE, ""),
    "none": ({}, None, "left and right are a guess"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_lies_at_one_place_in_every_reader(tmp_path, name):
    forms, expected, said = CASES[name]
    read = read_nifti(write(tmp_path / "in.nii.gz", **forms), n_axes=3)
    geometry, notes = geometry_of(read.header, tmp_path / "in.nii.gz")
    assert len(notes) == bool(said)
    assert said in "".join(notes)
    geometry.save(np.ones(SHAPE), tmp_path / "out.nii.gz", dtype=np.uint8)
    in_nibabel, in_itk = nib.load(tmp_path / "out.nii.gz"), itk_affine(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(in_nibabel.affine, in_itk, atol=1e-3)
    np.testing.assert_allclose(in_nibabel.affine, geometry.affine, atol=2e-3)
    if expected is not None:
        np.testing.assert_allclose(geometry.affine, expected, atol=2e-3)
        assert geometry.spacing_mm == pytest.approx((1, 1.5, 2), rel=1e-3)
    codes = forms.get("codes", (1, 1))
    for form, code in zip(("qform", "sform"), codes, strict=True):
        if form in forms:
            assert in_nibabel.header[f"{form}_code"] == code


@pytest.mark.parametrize("excess", [1e-7, 1e-5, 1e-4])
def test_a_quaternion_of_rounded_numbers_is_read(tmp_path, excess):
    path = write(tmp_path / "in.nii", qform=AFFINE)  # half a turn: its fourth number is 0
    content = bytearray(path.read_bytes())
    b, c, d = struct.unpack_from("<3f", content, 256)
    length = np.sqrt(b * b + c * c + d * d)
    struct.pack_into("<3f", content, 256, *(value / length * (1 + excess) for value in (b, c, d)))
    path.write_bytes(bytes(content))
    geometry, notes = geometry_of(read_nifti(path, n_axes=3).header, path)
    np.testing.assert_allclose(geometry.affine, AFFINE, atol=0.05)
    np.testing.assert_allclose(geometry.affine, itk_affine(path), atol=0.05)
    assert not notes


def test_a_form_without_inverse_beside_a_whole_one_is_said(tmp_path):
    path = write(tmp_path / "in.nii", qform=AFFINE, sform=AFFINE)
    content = bytearray(path.read_bytes())
    struct.pack_into("<12f", content, 280, *[0.0] * 12)
    path.write_bytes(bytes(content))
    geometry, notes = geometry_of(read_nifti(path, n_axes=3).header, path)
    np.testing.assert_allclose(geometry.affine, AFFINE, atol=1e-3)
    assert "its sform has no inverse" in notes[0]
    geometry.save(np.ones(SHAPE), tmp_path / "out.nii.gz", dtype=np.uint8)
    np.testing.assert_allclose(nib.load(tmp_path / "out.nii.gz").affine, AFFINE, atol=1e-3)
    np.testing.assert_allclose(itk_affine(tmp_path / "out.nii.gz"), AFFINE, atol=1e-3)


def test_headers_that_agree_come_back_as_they_were(tmp_path):
    path = write(tmp_path / "in.nii.gz", qform=turned(20), sform=turned(20), codes=(1, 4))
    geometry, _ = geometry_of(read_nifti(path, n_axes=3).header, path)
    geometry.save(np.ones(SHAPE), tmp_path / "out.nii.gz", dtype=np.int16)
    given, saved = (gzip.decompress((tmp_path / f"{n}.nii.gz").read_bytes()) for n in ("in", "out"))
    assert saved == given


def test_a_scan_of_metres_that_are_none_is_refused(tmp_path):
    path = write(tmp_path / "in.nii", sform=AFFINE, units="meter")
    with pytest.raises(UserError, match=r"1e\+03 x 1.5e\+03 x 2e\+03 mm, by the unit meter"):
        geometry_of(read_nifti(path, n_axes=3).header, path)

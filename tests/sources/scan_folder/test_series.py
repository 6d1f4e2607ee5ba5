"""DICOM series, as SimpleITK writes them: read as it reads them, and refused where it would not."""

import locale

import numpy as np
import pytest
import SimpleITK

from segtrans.errors import UserError
from segtrans.sources.scan_folder.dicom import find_series
from segtrans.sources.scan_folder.reading import read_headers, read_volume, source_files
from segtrans.sources.scan_folder.scan import read_scan
from tests.sources.scan_folder.scan_files import (
    SERIES,
    files_of,
    make_task,
    write_dicom,
    write_nifti,
    write_series,
)

TURNED = [[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]]
CORONAL = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
SAGITTAL = [[0, 0, -1], [1, 0, 0], [0, -1, 0]]
RAS_OF_LPS = np.diag([-1, -1, 1, 1.0])


def ct(shape=(16, 18, 6), seed=0):
    return np.random.default_rng(seed).integers(-1000, 2000, shape).astype(np.int16)


def affine_of(image):
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction @ np.diag(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return RAS_OF_LPS @ affine


@pytest.mark.parametrize("turn", [None, TURNED, CORONAL, SAGITTAL])
def test_a_series_is_read_by_position_as_a_volume(tmp_path, turn):
    volume, encoding = ct(), locale.getencoding()
    image = write_series(tmp_path / "s", volume, spacing=(0.7, 0.9, 2.5), turn=turn)
    (tmp_path / "s/notes.txt").write_text("no DICOM")
    (tmp_path / "s/._IM000.dcm").write_bytes(b"\0\5\x16\7")
    series = find_series(tmp_path / "s")
    np.testing.assert_allclose(series.affine, affine_of(image), atol=1e-5)
    assert series.shape == volume.shape
    read = read_volume(tmp_path / "s")
    assert read.notes == ()
    stored = read.geometry.to_stored(read.voxels)
    np.testing.assert_array_equal(stored, volume)
    # The same as of the NIfTI that SimpleITK makes of it.
    SimpleITK.WriteImage(image, str(tmp_path / "a.nii.gz"))
    as_nifti = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(as_nifti.voxels, read.voxels)
    np.testing.assert_allclose(as_nifti.geometry.lps_affine, read.geometry.lps_affine, atol=1e-4)
    grids = [read_headers(files_of(tmp_path / name)) for name in ("s", "a.nii.gz")]
    assert grids[0] == grids[1]
    assert len(source_files(tmp_path / "s")) == 6
    assert locale.getencoding() == encoding  # as texts are read and written after it


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path):
    volume = ct(seed=1)
    slopes = [1, 2, 0.5, 0.25, 1, 3]
    scaled = np.stack([volume[..., k] * slopes[k] for k in range(6)], axis=2)
    whole = SimpleITK.GetImageFromArray(volume.transpose(2, 1, 0))
    assert whole.GetPixelID() == SimpleITK.sitkInt16
    # The writer divides by the slope: what is written are the numbers of `volume`.
    write_series(
        tmp_path / "s",
        scaled.astype(np.float64),
        tags={
            "0028|1053": lambda k: str(slopes[k]),
            "0028|1052": "0",
            "0028|0100": "16",
            "0028|0101": "16",
            "0028|0102": "15",
            "0028|0103": "1",
        },
    )
    read = read_volume(tmp_path / "s")
    assert read.voxels.dtype == np.float32
    np.testing.assert_allclose(read.geometry.to_stored(read.voxels), scaled, atol=1e-3)


def test_a_compressed_series_is_read_too(tmp_path):
    volume = ct(seed=2)
    write_series(tmp_path / "s", volume)
    for path in sorted((tmp_path / "s").iterdir()):
        one = SimpleITK.ReadImage(str(path))
        write_dicom(one, path, is_compressed=True)
        assert b"1.2.840.10008.1.2.4." in path.read_bytes()  # a transfer syntax of JPEG
    read = read_volume(tmp_path / "s")
    np.testing.assert_array_equal(read.geometry.to_stored(read.voxels), volume)


def tilted(k, at):
    return (at[0], at[1] + 0.3 * k, at[2])


def uneven(k, at):
    return (at[0], at[1], at[2] + (1.0 if k > 3 else 0.0))


def twice(k, at):
    return (at[0], at[1], at[2] - (1.0 if k == 4 else 0.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": tilted}, r"s: each slice is shifted .* by 17 degrees .*gantry tilt"),
        (
            {"positions": uneven},
            r"s: 2 mm between IM\d+\.dcm and IM\d+\.dcm, 1 mm elsewhere",
        ),
        ({"positions": twice}, r"s: IM\d+\.dcm and IM\d+\.dcm lie at one place"),
        (
            {"tags": {"0020|0037": lambda k: "1\\0\\0\\0\\1\\0" if k else "0\\1\\0\\0\\0\\-1"}},
            r"s: IM\d+\.dcm and IM\d+\.dcm have other directions",
        ),
    ],
)
def test_what_is_no_even_stack_is_refused(tmp_path, options, message):
    write_series(tmp_path / "s", ct(), **options)
    with pytest.raises(UserError, match=message):
        read_volume(tmp_path / "s")


def test_a_folder_of_other_than_one_whole_series_is_refused(tmp_path):
    write_series(tmp_path / "two", ct())
    for path in sorted((tmp_path / "two").iterdir()):
        path.rename(path.with_name(f"a{path.name}"))
    write_series(tmp_path / "two", ct(), series=f"{SERIES}.77", tags={"0008|103e": "Scout"})
    with pytest.raises(UserError, match=r"two: 2 DICOM series \(.*Thorax, 6 files") as caught:
        read_volume(tmp_path / "two")
    assert "Scout, 6 files" in str(caught.value)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"none: no DICOM series in it"):
        read_volume(tmp_path / "none")
    write_series(tmp_path / "one", ct((16, 18, 1)))
    with pytest.raises(UserError, match=r"one: one slice \(IM000\.dcm\); expected a volume"):
        read_volume(tmp_path / "one")
    write_series(tmp_path / "cut", ct())
    path = tmp_path / "cut/IM002.dcm"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"cut"):
        read_volume(tmp_path / "cut")


def test_a_dicom_segmentation_is_called_so(tmp_path):
    write_series(tmp_path / "s", ct(), tags={"0008|0060": "SEG"})
    with pytest.raises(UserError, match=r"IM\d+\.dcm: a DICOM segmentation; .*a mask as NIfTI"):
        read_volume(tmp_path / "s")


def test_a_mask_as_nifti_lies_on_a_series(tmp_path):
    volume = np.full((20, 20, 6), -1000, np.int16)
    volume[3:-3, 3:-3, 1:-1] = ct((14, 14, 4)) + 1001
    image = write_series(tmp_path / "s", volume, spacing=(1, 1, 3))
    mask = SimpleITK.GetImageFromArray((volume > 1500).astype(np.uint8).transpose(2, 1, 0))
    mask.CopyInformation(image)
    SimpleITK.WriteImage(mask, str(tmp_path / "m.nii.gz"))
    scan = read_scan(files_of(tmp_path / "s"), make_task(), spacing_mm=(1, 1, 3))
    np.testing.assert_array_equal(scan.own_content, volume > -1000)
    assert (scan.masks(tmp_path / "m.nii.gz")["whole"] == 1).sum() == (volume > 1500).sum()
    with pytest.raises(UserError, match=r"n\.nii\.gz: lies up to .* mm from where s lies"):
        scan.masks(write_nifti(tmp_path / "n.nii.gz", (volume > 1500).astype(np.uint8)))

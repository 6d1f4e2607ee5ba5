"""Scans become images by anatomy, at one spacing, and what is made of them goes back."""

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from segtrans.errors import UserError
from segtrans.sources.brats.half_slices import brain_of, intensities_of, normalised
from segtrans.sources.scan_folder.scan import read_headers, read_scan, stored_scale
from segtrans.sources.scans.cases import find_case
from segtrans.sources.scans.volumes import read_case
from segtrans.tasks.base import VOID
from tests.sources.scan_folder.scan_files import files_of, make_task, write_nifti

REAL = Path(__file__).parents[4] / "shared" / "data" / "tcga-du-7294"
ONE = (1.0, 1.0, 1.0)
HU = {"mode": "window", "low": -1000, "high": 1000}
CODES = ["".join(codes) for axes in permutations(("LR", "PA", "SI")) for codes in product(*axes)]


def blob(shape=(20, 22, 12), seed=0, *, border=3):
    """Whole numbers of 100 to 900 on a background of 0."""
    rng = np.random.default_rng(seed)
    volume = np.zeros(shape, np.int16)
    inside = tuple(slice(border, n - border) for n in shape)
    volume[inside] = rng.integers(100, 900, volume[inside].shape)
    return volume


def smooth(shape):
    """A smooth volume within -900 to 900, and -1000 around it."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    values = 500 * np.sin(3 * x + y) + 300 * np.cos(2 * y - 3 * z)
    return np.where(x**2 + y**2 + z**2 < 0.8, values, -1000).astype(np.float32)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real case is not there")
def test_a_real_case_gives_the_half_slices_of_the_paper_bit_for_bit():
    case = read_case(find_case(REAL), with_mask=True)
    channels = ("t1", "t2", "t1c", "flair")
    task = make_task(channels=channels, halves=True, height=240, width=120)
    files = files_of(*(case.files.sequences[name] for name in channels), names=channels)
    scan = read_scan(files, task, spacing_mm=ONE)
    brain = brain_of(case.sequences)
    np.testing.assert_array_equal(scan.own_content, brain)
    levels = intensities_of(case.sequences, brain, normalisation="per_sequence", case_id="P1")
    for side in ("right", "left"):
        expected = normalised(
            case.sequences, brain, levels, side=side, slices=np.arange(155), mirror=side == "right"
        )
        np.testing.assert_array_equal(scan.images[side], expected)
    assert stored_scale(task.intensity) == 0.2
    assert read_headers(files).shape == (240, 240, 155)


@pytest.mark.parametrize("codes", CODES)
def test_slices_are_by_anatomy_whatever_the_axis_order(tmp_path, codes):
    volume = blob((20, 22, 12))
    path = write_nifti(tmp_path / "a.nii.gz", volume, spacing=(1, 2, 3), codes=codes)
    stored = np.asarray(nib.load(path).dataobj)
    of_axis = {
        "axial": (2, volume.transpose(2, 1, 0), (1, 2, 3)),
        "coronal": (1, volume.transpose(1, 2, 0)[:, ::-1], (1, 3, 2)),
        "sagittal": (0, volume.transpose(0, 2, 1)[:, ::-1], (2, 3, 1)),
    }
    for axis, (across, slices, spacing) in of_axis.items():
        task = make_task(axis=axis, intensity={"mode": "window", "low": 0, "high": 1000})
        scan = read_scan(files_of(path), task, spacing_mm=spacing)
        top, left = (32 - slices.shape[1]) // 2, (32 - slices.shape[2]) // 2
        rows, columns = slice(top, top + slices.shape[1]), slice(left, left + slices.shape[2])
        seen = scan.images["whole"][:, 0]
        expected = np.where(slices, slices / 500 - 1, -1)
        np.testing.assert_allclose(seen[:, rows, columns], expected, atol=1e-3)
        assert (seen.sum() + seen.size) == pytest.approx((expected + 1).sum(), rel=1e-2)
        # Numbers are those of the file, from 1.
        file_axis = next(k for k, code in enumerate(codes) if code in ("LR", "PA", "SI")[across])
        for k in (0, 5):
            plane = np.take(stored, scan.slice_numbers[k] - 1, axis=file_axis)
            assert sorted(plane.ravel()) == sorted(slices[k].ravel())


@pytest.mark.parametrize("codes", ["LPS", "RAS", "SLP", "PIR"])
@pytest.mark.parametrize(
    ("axis", "halves"), [("axial", False), ("axial", True), ("coronal", True), ("sagittal", False)]
)
@pytest.mark.parametrize("shape", [(20, 22, 12), (21, 40, 13)])
def test_what_was_not_resampled_goes_back_as_it_was(tmp_path, codes, axis, halves, shape):
    volume = blob(shape, border=5)
    path = write_nifti(tmp_path / "a.nii.gz", volume, spacing=(2, 2, 2), codes=codes)
    task = make_task(axis=axis, halves=halves, width=12 if halves else 32)
    scan = read_scan(files_of(path), task, spacing_mm=(2, 2, 2))
    stored = {side: images[:, 0].astype(np.float32) for side, images in scan.images.items()}
    back = scan.put_back(stored)
    values = scan.levels["scan"].undo(back, is_difference=False)
    np.testing.assert_allclose(values[volume > 0], volume[volume > 0], atol=0.5)
    assert not back[volume == 0].any()
    scan.geometry.save(back > -9, tmp_path / "b.nii.gz", dtype=np.uint8)
    written, read = nib.load(tmp_path / "b.nii.gz"), nib.load(path)
    assert written.shape == read.shape
    np.testing.assert_array_equal(written.affine, read.affine)


SPACINGS = [(1.7, 1.3, 2.1), (0.6, 0.8, 1.1), (3.1, 2.3, 0.9)]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_resampling_is_that_of_simpleitk(tmp_path, spacing):
    volume = smooth((24, 26, 18))
    path = write_nifti(tmp_path / "a.nii.gz", volume, spacing=(1.0, 1.2, 2.0))
    task = make_task(height=64, width=64, intensity=HU)
    scan = read_scan(files_of(path), task, spacing_mm=spacing)
    n = scan.n_slices
    expected = resampled(path, spacing, SimpleITK.sitkLinear)
    assert len(expected) == n == round(18 * 2.0 / spacing[2])
    inside = expected > -995  # where neither mixes with what is beyond the content
    seen = scan.images["whole"][:, 0].astype(np.float32)
    content = scan.content["whole"]
    top, left = ((64 - m) // 2 for m in expected.shape[1:])
    cut = (slice(None), slice(top, top + expected.shape[1]), slice(left, left + expected.shape[2]))
    both = inside & content[cut]
    assert both.sum() > 0.7 * content.sum()
    np.testing.assert_allclose(seen[cut][both] * 1000, expected[both], atol=1.5)
    assert (seen[~content] == -1).all()

    mask = (volume > 100).astype(np.uint8) + (volume > 400)
    write_nifti(tmp_path / "m.nii.gz", mask, spacing=(1.0, 1.2, 2.0))
    of_two = make_task(height=64, width=64, intensity=HU, classes={"low": 1, "high": 2})
    scan = read_scan(files_of(path), of_two, spacing_mm=spacing)
    nearest = resampled(tmp_path / "m.nii.gz", spacing, SimpleITK.sitkNearestNeighbor)
    np.testing.assert_array_equal(scan.masks(tmp_path / "m.nii.gz")["whole"][cut], nearest)


def resampled(path, spacing, how):
    """(Z, Y, X) by SimpleITK, on a grid with the same middle."""
    image = SimpleITK.ReadImage(str(path))
    own, size = np.array(image.GetSpacing()), np.array(image.GetSize())
    new = np.maximum(1, np.round(size * own / spacing)).astype(int)
    middle = np.array(image.TransformContinuousIndexToPhysicalPoint(((size - 1) / 2).tolist()))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    origin = middle - direction @ (np.array(spacing) * (new - 1) / 2)
    # At the rim the scan goes on as it is.
    edge = SimpleITK.ResampleImageFilter()
    edge.SetSize(new.tolist())
    edge.SetOutputSpacing(spacing)
    edge.SetOutputOrigin(origin.tolist())
    edge.SetOutputDirection(image.GetDirection())
    edge.SetInterpolator(how)
    edge.SetUseNearestNeighborExtrapolator(True)
    return SimpleITK.GetArrayFromImage(edge.Execute(image))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_what_was_resampled_comes_back_near_to_what_it_was(tmp_path, spacing):
    volume = smooth((24, 26, 18))
    path = write_nifti(tmp_path / "a.nii.gz", volume, spacing=(1.0, 1.2, 2.0), codes="RAS")
    scan = read_scan(
        files_of(path), make_task(height=64, width=64, intensity=HU), spacing_mm=spacing
    )
    back = scan.put_back({"whole": scan.images["whole"][:, 0].astype(np.float32)})
    inside = volume > -1000
    off = np.abs(scan.levels["scan"].undo(back, is_difference=False) - volume)[inside]
    assert np.median(off) < 40
    assert np.percentile(off, 95) < 250  # of 1,600; at the rim images mix with the background
    ones = scan.put_back({"whole": np.ones_like(scan.content["whole"], np.float32)})
    assert (ones[~inside] == 0).all()
    assert np.mean(ones[inside] > 0.999) > 0.97


def test_only_background_is_cut_off(tmp_path):
    volume = np.zeros((60, 50, 3), np.int16)
    volume[31:59, 2:30] = np.arange(1, 29)[None, :, None] * 10
    path = write_nifti(tmp_path / "a.nii.gz", volume)
    scan = read_scan(files_of(path), make_task(), spacing_mm=ONE)
    assert scan.content["whole"].sum() == (volume > 0).sum()
    assert scan.windows["whole"].column == 59 - 32  # moved from the middle, as far as needed
    back = scan.put_back({"whole": scan.images["whole"][:, 0].astype(np.float32)})
    np.testing.assert_array_equal(back != 0, volume > 0)
    with pytest.raises(
        UserError, match=r"P1: 28 rows and 28 columns are not .* images have 27 and 32: crop"
    ):
        read_scan(files_of(path), make_task(height=27), spacing_mm=ONE)
    with pytest.raises(UserError, match=r"28 rows and 29 columns of each half are not background"):
        read_scan(files_of(path), make_task(width=28, halves=True), spacing_mm=ONE)
    fits = read_scan(files_of(path), make_task(width=28, height=28), spacing_mm=ONE)
    assert fits.content["whole"].all(axis=(1, 2)).all()


def test_what_is_background(tmp_path):
    ct = np.full((24, 24, 8), -1024, np.int16)
    ct[4:-4, 4:-4] = np.random.default_rng(0).integers(-80, 80, ct[4:-4, 4:-4].shape)
    ct[2:-2, 2:-2][ct[2:-2, 2:-2] == -1024] = -990  # air
    path = write_nifti(tmp_path / "ct.nii.gz", ct)
    scan = read_scan(files_of(path), make_task(intensity=HU), spacing_mm=ONE)
    np.testing.assert_array_equal(scan.own_content, ct > -1024)
    scan = read_scan(files_of(path), make_task(intensity=HU, background=-900), spacing_mm=ONE)
    np.testing.assert_array_equal(scan.own_content, ct > -900)
    assert scan.notes == ()

    noisy = np.random.default_rng(0).normal(100, 10, (24, 24, 8)).astype(np.float32)
    path = write_nifti(tmp_path / "noisy.nii.gz", noisy)
    scan = read_scan(files_of(path), make_task(), spacing_mm=ONE)
    assert scan.own_content.sum() == noisy.size - 1
    assert "scan: no value is most of the volume's corners" in scan.notes[0]

    stripped = blob() - np.int16(400) * (blob() > 0)  # below 0 too, and 0 in places
    path = write_nifti(tmp_path / "stripped.nii.gz", stripped)
    scan = read_scan(files_of(path), make_task(), spacing_mm=ONE)
    np.testing.assert_array_equal(scan.own_content, stripped != 0)
    values = stripped[stripped != 0]
    assert scan.levels["scan"].zero == pytest.approx(values.mean())
    assert scan.levels["scan"].one == pytest.approx(values.std())


@pytest.mark.parametrize("value", [0, 7])
def test_a_scan_that_shows_nothing_is_refused(tmp_path, value):
    volume = np.zeros((20, 20, 6), np.int16)
    volume[5:-5, 5:-5, 2:-2] = value
    path = write_nifti(tmp_path / "a.nii.gz", volume)
    message = "P1: nothing but background" if not value else "P1: channel scan has one value, 7, in"
    with pytest.raises(UserError, match=message):
        read_scan(files_of(path), make_task(), spacing_mm=ONE)


def test_percentiles_are_of_what_is_not_background(tmp_path):
    volume = blob()
    path = write_nifti(tmp_path / "a.nii.gz", volume)
    task = make_task(intensity={"mode": "percentile", "low": 10, "high": 90})
    scan = read_scan(files_of(path), task, spacing_mm=ONE)
    low, high = np.percentile(volume[volume > 0], [10, 90])
    back = scan.put_back({"whole": scan.images["whole"][:, 0].astype(np.float32)})
    expected = ((volume - (low + high) / 2) / ((high - low) / 2)).clip(-1, 1)
    np.testing.assert_allclose(back[volume > 0], expected[volume > 0], atol=1e-3)
    assert stored_scale(task.intensity) == 1


def test_channels_may_be_stored_otherwise_but_lie_at_one_place(tmp_path):
    names = ("t1", "flair")
    task = make_task(channels=names)
    first = write_nifti(tmp_path / "t1.nii.gz", blob())
    other = write_nifti(tmp_path / "flair.nii.gz", blob(seed=1), codes="RAS")
    scan = read_scan(files_of(first, other, names=names), task, spacing_mm=ONE)
    np.testing.assert_array_equal(scan.volumes["flair"], blob(seed=1))
    rounded = write_nifti(tmp_path / "r.nii.gz", blob(seed=1), spacing=(1.0002, 1, 0.9999))
    assert read_headers(files_of(first, rounded, names=names)).spacing_mm == ONE
    read_scan(files_of(first, rounded, names=names), task, spacing_mm=ONE)
    moved = write_nifti(tmp_path / "m.nii.gz", blob(), moved=(0, 0, 2))
    with pytest.raises(UserError, match=r"m\.nii\.gz: lies up to 2 mm from where t1\.nii\.gz lies"):
        read_scan(files_of(first, moved, names=names), task, spacing_mm=ONE)
    for of, message in ((20, 22, 13), r"20 x 22 x 13"), ((20, 24, 12), "20 x 24 x 12"):
        larger = write_nifti(tmp_path / "l.nii.gz", blob(of))
        with pytest.raises(UserError, match=rf"l\.nii\.gz: has {message}"):
            read_scan(files_of(first, larger, names=names), task, spacing_mm=ONE)
        with pytest.raises(UserError, match=rf"l\.nii\.gz: has {message}"):
            read_headers(files_of(first, larger, names=names))


def test_a_mask_lies_on_its_scan_and_has_the_values_of_the_classes(tmp_path):
    volume, mask = blob(), np.zeros((20, 22, 12), np.uint8)
    mask[5:9, 6:12, 4:8], mask[9:11, 6:12, 4:8], mask[5:9, 12:14, 5] = 1, 2, 9
    path = write_nifti(tmp_path / "a.nii.gz", volume)
    of_two = make_task(classes={"core": 1, "rim": 2}, ignore=9, halves=True, width=16)
    scan = read_scan(files_of(path), of_two, spacing_mm=ONE)
    found = scan.masks(write_nifti(tmp_path / "m.nii.gz", mask.astype(np.float32), codes="ASR"))
    assert set(np.unique(found["right"])) == {0, 1, 2, VOID}
    assert (found["right"] == 1).sum() == (mask == 1).sum()
    back = scan.put_back({side: of.astype(np.float32) for side, of in found.items()})
    np.testing.assert_array_equal(back, np.where(mask == 9, VOID, mask) * (volume > 0))

    one = read_scan(files_of(path), make_task(), spacing_mm=ONE)
    for of_one in ((mask == 1) * np.uint8(255), (mask == 1).astype(np.int16) * 7):
        found = one.masks(write_nifti(tmp_path / "w.nii.gz", of_one))["whole"]
        assert (found == 1).sum() == (mask == 1).sum()
    no_ignore = read_scan(files_of(path), make_task(classes={"core": 1, "rim": 2}), spacing_mm=ONE)
    for values, message in [
        (mask, r"unknown value 9; expected 0 and 1 core, 2 rim"),
        (mask.astype(np.float32) / 2, "holds 0.5; expected whole numbers"),
    ]:
        with pytest.raises(UserError, match=rf"bad\.nii\.gz: {message}"):
            no_ignore.masks(write_nifti(tmp_path / "bad.nii.gz", values))
    with pytest.raises(
        UserError, match=r"bad\.nii\.gz: lies up to 1 mm from where a\.nii\.gz lies"
    ):
        one.masks(write_nifti(tmp_path / "bad.nii.gz", mask, moved=(1, 0, 0)))


def test_a_target_that_would_be_cut_off_is_refused(tmp_path):
    volume, mask = np.zeros((60, 50, 3), np.int16), np.zeros((60, 50, 3), np.uint8)
    volume[31:59, 2:30] = np.arange(1, 29)[None, :, None] * 10
    mask[2:4, 5:8], mask[40:42, 5:8] = 1, 1
    scan = read_scan(
        files_of(write_nifti(tmp_path / "a.nii.gz", volume)), make_task(), spacing_mm=ONE
    )
    with pytest.raises(UserError, match=r"m\.nii\.gz: 50% of the target lies in background that"):
        scan.masks(write_nifti(tmp_path / "m.nii.gz", mask))

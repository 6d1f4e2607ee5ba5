"""Volumes come in one orientation whatever the file has, go back unchanged; bad files are named."""

import gzip
import itertools
import json
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segtrans.errors import UserError
from segtrans.sources.brats.half_slices import brain_of, make_half_slices
from segtrans.sources.scans.cases import find_case, find_cases
from segtrans.sources.scans.volumes import read_case
from segtrans.tasks.parameters import HalfSliceRules

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "tcga-du-7294"
SUFFIXES = {"t1": "t1", "t2": "t2", "t1c": "t1ce", "flair": "flair", "mask": "seg"}
SHAPE = (6, 7, 8)
AFFINE = np.array([[-1, 0, 0, 90], [0, -1.5, 0, 120], [0, 0, 2, -70], [0, 0, 0, 1.0]])
SHEARED = AFFINE @ np.array([[1, 0.01, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
AXES = [
    tuple(codes[i] for i in order)
    for order in itertools.permutations(range(3))
    for codes in itertools.product("LR", "PA", "SI")
]


def scan(seed=0):
    """LPS volumes of a case by sequence, with mask; one side of X and all corners are 0."""
    rng = np.random.default_rng(seed)
    volumes = {name: rng.integers(-20, 900, SHAPE).astype(np.int16) for name in SUFFIXES}
    volumes["mask"] = rng.choice(np.array([0, 1, 2, 4], np.uint8), SHAPE)
    for volume in volumes.values():
        volume[0] = 0
        volume[-1, :: SHAPE[1] - 1, :: SHAPE[2] - 1] = 0
    return volumes


def write(folder, volumes, affine=AFFINE, codes="LPS", ending=".nii.gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, volume in volumes.items():
        image = nib.Nifti1Image(volume, affine)
        turn = nib.orientations.ornt_transform(
            nib.io_orientation(affine), nib.orientations.axcodes2ornt(codes)
        )
        nib.save(image.as_reoriented(turn), folder / f"case_{SUFFIXES[name]}{ending}")
    return folder


def change(folder, name, array=None, affine=AFFINE, **header):
    """Write one file of the case anew."""
    path = folder / f"case_{SUFFIXES[name]}.nii.gz"
    image = nib.Nifti1Image(array, affine)
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)


def read(folder):
    return read_case(find_case(folder), with_mask=True)


@pytest.mark.parametrize("codes", AXES, ids="".join)
def test_every_axis_order_gives_the_same_volumes(tmp_path, codes):
    volumes = scan()
    case = read(write(tmp_path, volumes, codes=codes))
    for name, volume in case.sequences.items():
        np.testing.assert_array_equal(volume, volumes[name])
        assert volume.dtype == np.int16
    expected = np.where(volumes["mask"] == 4, 3, volumes["mask"])
    np.testing.assert_array_equal(case.mask, expected)
    assert case.geometry.spacing_mm == pytest.approx((1, 1.5, 2))
    assert case.label_convention == "1, 2, 4"
    assert list(case.sequences) == ["t1", "t2", "t1c", "flair"]


def test_an_oblique_scan_takes_the_nearest_axes(tmp_path):
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volumes = scan()
    for codes in ("LPS", "SRA"):
        case = read(write(tmp_path / codes, volumes, affine=turn @ AFFINE, codes=codes))
        np.testing.assert_array_equal(case.sequences["t2"], volumes["t2"])


@pytest.mark.parametrize("codes", ["LPS", "RAS", "SRA", "ALI"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_is_saved_lies_where_the_scan_lies(tmp_path, codes, dtype):
    folder = write(tmp_path / "in", scan(), codes=codes)
    given = nib.load(folder / "case_t1.nii.gz")
    given.header["descrip"] = b"of the scanner"
    given.header.set_xyzt_units("mm", "sec")
    given.set_qform(given.affine, code=1)
    given.set_sform(given.affine, code=2)
    nib.save(given, folder / "case_t1.nii.gz")
    case = read(folder)
    volume = case.sequences["t1"].astype(dtype)
    for name in ("a.nii.gz", "b.nii.gz"):
        case.geometry.save(volume, tmp_path / name, dtype=dtype)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    saved = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(saved.affine, given.affine)
    assert saved.shape == given.shape
    assert saved.get_data_dtype() == dtype
    assert saved.header.get_zooms() == given.header.get_zooms()
    assert saved.header.get_xyzt_units() == ("mm", "sec")
    assert (saved.header["qform_code"], saved.header["sform_code"]) == (1, 2)
    stored = np.asanyarray(nib.load(folder / "case_t1.nii.gz").dataobj).astype(dtype)
    np.testing.assert_array_equal(np.asanyarray(saved.dataobj), stored)


def test_slope_and_intercept_are_applied(tmp_path):
    volumes = scan()
    for name in ("t1", "t2"):
        volumes[name][volumes[name] == 0] = -20  # 0 once scaled
    folder = write(tmp_path, volumes)
    image = nib.Nifti1Image(volumes["t2"], AFFINE)
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, folder / "case_t2.nii.gz")
    # nibabel unscales on saving; write the stored integers themselves
    raw = bytearray(gzip.decompress((folder / "case_t1.nii.gz").read_bytes()))
    raw[112:120] = np.array([0.5, 10], np.float32).tobytes()
    (folder / "case_t1.nii.gz").write_bytes(gzip.compress(bytes(raw)))
    case = read(folder)
    assert case.sequences["t1"].dtype == np.float32
    np.testing.assert_allclose(case.sequences["t1"], volumes["t1"] * 0.5 + 10)


def test_other_types_and_byte_orders_are_read(tmp_path):
    volumes = scan()
    folder = write(tmp_path, volumes)
    change(folder, "t1", volumes["t1"].astype(np.float64))
    big = nib.Nifti1Image(volumes["t2"], AFFINE, nib.Nifti1Header(endianness=">"))
    nib.save(big, folder / "case_t2.nii.gz")
    change(folder, "mask", volumes["mask"].astype(np.float32))
    change(folder, "flair", volumes["flair"][..., None])  # a last axis of one is no axis
    case = read(folder)
    for name in ("t1", "t2", "flair"):
        np.testing.assert_array_equal(case.sequences[name], volumes[name])
    assert case.mask.dtype == np.uint8
    assert case.sequences["t1"].min() < 0  # negative intensities are data


@pytest.mark.parametrize(
    ("stored", "classes", "convention"),
    [
        ([0, 1, 2, 4], [0, 1, 2, 3], "1, 2, 4"),
        ([0, 1, 2, 3], [0, 1, 2, 3], "1, 2, 3"),
        ([0, 1, 2], [0, 1, 2], None),
    ],
)
def test_labels_of_every_year_become_the_same_classes(tmp_path, stored, classes, convention):
    volumes = scan()
    volumes["mask"] = np.resize(np.array(stored, np.int16), SHAPE)
    case = read(write(tmp_path, volumes))
    np.testing.assert_array_equal(case.mask, np.resize(np.array(classes), SHAPE))
    assert case.label_convention == convention


def test_the_decathlons_four_axes_are_taken_apart(tmp_path):
    volumes = scan()
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    stacked = np.stack([volumes[name] for name in ("flair", "t1", "t1c", "t2")], axis=-1)
    nib.save(nib.Nifti1Image(stacked, AFFINE), tmp_path / "imagesTr" / "BRATS_001.nii.gz")
    mask = np.resize(np.arange(4, dtype=np.uint8), SHAPE)
    nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / "labelsTr" / "BRATS_001.nii.gz")
    (files,) = find_cases(tmp_path)
    case = read_case(files, with_mask=True)
    for name, volume in case.sequences.items():
        np.testing.assert_array_equal(volume, volumes[name])
    # 1 oedema, 2 core, 3 enhancing there
    np.testing.assert_array_equal(case.mask, np.array([0, 2, 1, 3])[mask])
    case.geometry.save(case.sequences["t1"], tmp_path / "out.nii.gz", dtype=np.float32)
    saved = nib.load(tmp_path / "out.nii.gz")
    assert saved.shape == SHAPE
    np.testing.assert_array_equal(saved.affine, AFFINE)
    np.testing.assert_array_equal(saved.get_fdata(), volumes["t1"])


def truncated(folder):
    path = folder / "case_flair.nii.gz"
    path.write_bytes(path.read_bytes()[:-400])


def no_nifti(folder):
    (folder / "case_flair.nii.gz").write_bytes(b"a letter, not a scan" * 50)


def without_its_end(folder):
    path = folder / "case_flair.nii.gz"
    path.write_bytes(path.read_bytes()[:-8])  # all voxels are there, but not their check sum


def one_wrong_bit(folder):
    path = folder / "case_flair.nii.gz"
    stored = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=0))
    stored[-100] ^= 1
    path.write_bytes(bytes(stored))


def header(offset, kind, *values):
    """Write values over the header's fields that begin at a byte (nifti1.h counts them)."""

    def spoil(folder):
        path = folder / "case_flair.nii.gz"
        content = bytearray(gzip.decompress(path.read_bytes()))
        struct.pack_into(f"<{len(values)}{kind}", content, offset, *values)
        path.write_bytes(gzip.compress(bytes(content)))

    return spoil


def all_of(*spoils):
    return lambda folder: [spoil(folder) for spoil in spoils]


def not_finite(value):
    def spoil(folder):
        array = scan()["flair"].astype(np.float32)
        array[2, 3, 4] = value
        change(folder, "flair", array)

    return spoil


def empty(folder):
    for name in ("t1", "t2", "t1c", "flair"):
        change(folder, name, np.zeros(SHAPE, np.int16))


def labels(*values, dtype=np.uint8):
    def spoil(folder):
        change(folder, "mask", np.resize(np.array(values, dtype), SHAPE))

    return spoil


def filled(value):
    def spoil(folder):
        change(folder, "flair", np.where(scan()["flair"] == 0, value, 5.0))

    return spoil


def dicom(folder):
    (folder / "case_flair.nii.gz").write_bytes(bytes(128) + b"DICM" + bytes(900))


def noise(folder):
    for name in ("t1", "flair"):
        change(folder, name, np.random.default_rng(0).rayleigh(3, SHAPE).astype(np.float32))


def constant(folder):
    change(folder, "t1", np.where(scan()["t1"] == 0, -0.5, 1.25))


def forms(sform=None, qform=None, codes=None, *, names=("t1",), pixdim=None, units=2):
    """Give files these forms in their headers, and leave the voxels."""

    def spoil(folder):
        for name in names:
            path = folder / f"case_{SUFFIXES[name]}.nii.gz"
            image = nib.load(path)
            voxels, header = np.asanyarray(image.dataobj), image.header
            header.set_qform(AFFINE if qform is None else qform)
            header["qform_code"] = codes[0] if codes else int(qform is not None)
            header.set_sform(np.zeros((4, 4)) if sform is None else sform)
            header["sform_code"] = codes[1] if codes else int(sform is not None)
            header["xyzt_units"] = units
            if pixdim is not None:
                header["pixdim"][1:4] = pixdim
            nib.Nifti1Image(voxels, None, header).to_filename(path)

    return spoil


def singular(folder):
    path = folder / "case_t1.nii.gz"
    image = nib.load(path)
    affine = AFFINE.copy()
    affine[2] = affine[1]
    image = nib.Nifti1Image(np.asanyarray(image.dataobj), None)
    image.header.set_sform(affine, code=1)
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[280:328] = affine[:3].astype(np.float32).tobytes()  # srow_x, srow_y, srow_z
    path.write_bytes(gzip.compress(bytes(raw)))


BAD = {
    "truncated": (truncated, ["case_flair.nii.gz", "cannot be read", "whole"]),
    "truncated by its check sum": (without_its_end, ["case_flair.nii.gz", "cannot be read"]),
    "one wrong bit": (one_wrong_bit, ["case_flair.nii.gz", "CRC check failed"]),
    "no byte": (
        lambda folder: (folder / "case_flair.nii.gz").write_bytes(b""),
        ["case_flair.nii.gz", "does not begin with a NIfTI header"],
    ),
    "unknown type": (header(70, "h", 9999), ["case_flair.nii.gz", "9999"]),
    "voxels in the header": (header(108, "f", 100), ["case_flair.nii.gz", "offset 100"]),
    "voxels at 0": (header(108, "f", 0), ["case_flair.nii.gz", "begin at byte 0", "expected 352"]),
    "beyond float32": (filled(1e200), ["case_flair.nii.gz", "voxels of 1e+200"]),
    "a fill value": (filled(-np.finfo(np.float32).max), ["case_flair.nii.gz", "of -3.4e+38"]),
    "DICOM": (dicom, ["case_flair.nii.gz", "is DICOM", "dcm2niix"]),
    "sheared": (forms(sform=SHEARED), ["case_t1.nii.gz", "axes are sheared", "resample"]),
    "both sheared": (forms(sform=SHEARED, pixdim=0), ["case_t1.nii.gz", "axes are sheared"]),
    "two directions": (
        forms(sform=AFFINE, qform=AFFINE @ np.diag([-1, 1, 1, 1.0])),
        ["case_t1.nii.gz", "LPS", "RPS", "nobody knows left from right"],
    ),
    "no form, no size": (
        all_of(header(252, "h", 0, 0), header(80, "f", 0, 0, 0)),
        ["case_flair.nii.gz", "no inverse (by its pixdim)"],
    ),
    "no rotation": (
        all_of(header(252, "h", 1, 0), header(256, "f", 1, 1, 0)),
        ["case_flair.nii.gz", "no inverse"],
    ),
    "metres that are none": (forms(sform=AFFINE, units=1), ["1e+03 x 1.5e+03", "unit meter"]),
    "background of noise": (noise, ["case: 100% of the voxels are not 0", "extract the brain"]),
    "background of a value": (constant, ["case: 100% of the voxels", "t1 -0.5, t2 0"]),
    "infinite intercept": (header(112, "f", 2, np.inf), ["case_flair.nii.gz", "intercept inf"]),
    "infinite when scaled": (header(112, "f", 3e38, 0), ["case_flair.nii.gz", "infinite"]),
    "more than it holds": (
        header(42, "h", 30_000, 30_000, 30_000),
        ["case_flair.nii.gz", "of 54000000000352 that its header announces"],
    ),
    "no NIfTI": (no_nifti, ["case_flair.nii.gz", "cannot be read as NIfTI"]),
    "NaN": (not_finite(np.nan), ["case_flair.nii.gz", "1 voxels are NaN or infinite"]),
    "infinite": (not_finite(np.inf), ["case_flair.nii.gz", "NaN or infinite"]),
    "4D": (
        lambda folder: change(folder, "t2", np.ones((*SHAPE, 2), np.int16)),
        ["case_t2.nii.gz", "6 x 7 x 8 x 2", "expected 3 axes"],
    ),
    "2D": (
        lambda folder: change(folder, "t2", np.ones((6, 7), np.int16)),
        ["case_t2.nii.gz", "6 x 7", "expected 3 axes"],
    ),
    "one slice": (
        lambda folder: change(folder, "t2", np.ones((6, 7, 1), np.int16)),
        ["case_t2.nii.gz", "expected 3 axes"],
    ),
    "shape": (
        lambda folder: change(folder, "t2", np.ones((6, 7, 9), np.int16)),
        ["case_t2.nii.gz", "(6, 7, 9)", "case_t1.nii.gz has (6, 7, 8)"],
    ),
    "affine": (
        lambda folder: change(
            folder, "t2", scan()["t2"], affine=AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 1])
        ),
        ["case_t2.nii.gz", "affine differs", "case_t1.nii.gz"],
    ),
    "mask's shape": (
        lambda folder: change(folder, "mask", np.ones((5, 7, 8), np.uint8)),
        ["case_seg.nii.gz", "(5, 7, 8)"],
    ),
    "no brain": (empty, ["case", "every voxel of every sequence is zero"]),
    "unknown label": (labels(0, 1, 7), ["case_seg.nii.gz", "label 7 is unknown", "1, 2, 3, 4"]),
    "no whole label": (labels(0, 1.5, dtype=np.float32), ["label 1.5 is unknown"]),
    "nearly whole": (labels(0, 1.002, dtype=np.float32), ["label 1.00199997 is unknown"]),
    "unknown labels": (labels(0, 5, 1, 7), ["case_seg.nii.gz", "label 5, 7 is unknown"]),
    "negative label": (labels(0, -1, dtype=np.int16), ["label -1 is unknown"]),
    "2024": (
        labels(0, 1, 2, 3, 4),
        [
            "labels 3 and 4 together",
            "2015 3 is",
            "[1, 2, 1, 3]",
            "[3, 1, 1, 2]",
            "resection cavity",
        ],
    ),
    "singular": (singular, ["case_t1.nii.gz", "affine has no inverse"]),
    "complex": (
        lambda folder: change(folder, "t2", scan()["t2"].astype(np.complex64)),
        ["case_t2.nii.gz", "type complex64"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line_that_names_it(tmp_path, name):
    spoil, words = BAD[name]
    folder = write(tmp_path / "case", scan())
    spoil(folder)
    with pytest.raises(UserError) as refusal:
        read(folder)
    assert "\n" not in str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize("n", [3, 5])
def test_a_decathlon_file_needs_four_sequences(tmp_path, n):
    (tmp_path / "imagesTr").mkdir()
    path = tmp_path / "imagesTr" / "BRATS_001.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((*SHAPE, n), np.int16), AFFINE), path)
    with pytest.raises(UserError, match=f"BRATS_001.nii.gz: {n} volumes along the last axis"):
        read_case(find_case(path), with_mask=False)
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.int16), AFFINE), path)
    with pytest.raises(UserError, match="6 x 7 x 8; expected 4 axes"):
        read_case(find_case(path), with_mask=False)


def test_a_lesion_outside_the_brain_is_refused_or_said(tmp_path, capsys):
    volumes = with_corners(0, 0)
    folder = write(tmp_path, volumes)
    affine = nib.load(folder / "case_t1.nii.gz").affine
    brain, mask = brain_of({"t1": volumes["t1"]}), np.zeros(volumes["t1"].shape, np.uint8)
    mask[30:40, 30:40, 20:25] = 1  # 500 voxels of brain
    outside = np.flatnonzero(~brain)
    for n_outside, words in (
        (0, None),
        (5, None),
        (20, "4% of the lesion of case case lies outside the brain; expected"),
        (501, "50% of the lesion of case case lies outside the brain; expected"),
    ):
        moved = mask.copy()
        moved.flat[outside[:n_outside]] = 1
        change(folder, "mask", moved, affine=affine)
        if n_outside > 500:
            with pytest.raises(UserError, match=rf"case_seg\.nii\.gz: {words}"):
                read(folder)
        else:
            notes = read(folder).notes
            assert bool(notes) == bool(words)
            assert capsys.readouterr().err.count(words or "warning") == len(notes)
    for full in (brain, np.ones_like(mask)):  # that of all brain, and of everything
        change(folder, "mask", full.astype(np.uint8), affine=affine)
        with pytest.raises(UserError, match=r"is 100% of the brain|% of the lesion of case case"):
            read(folder)
    change(folder, "mask", mask * 0, affine=affine)
    assert read(folder).notes == ()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (
            {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
            None,
        ),
        ({"background": 0, "ED": 1, "NCR/NET": 2, "ET": 3, "whole tumor": [1, 2, 3]}, None),
        ({"background": 0, "tumour": 1}, None),
        (
            {"background": 0, "necrotic core": 1, "edema": 2, "enhancing": 3},
            r"names the labels 1 necrotic core, 2 edema; .*label_classes.* --rules: \[1, 2, 3\]$",
        ),
        ({"0": "background", "3": "resection cavity"}, r"labels 3 resection cavity;.*--rules$"),
        ({"1": []}, None),
        ([1], r"Dataset\.json: cannot be read"),
    ],
)
def test_the_names_of_the_decathlons_labels_are_compared(tmp_path, labels, words):
    volumes = scan()
    for place in ("imagesTr", "labelsTr"):
        (tmp_path / place).mkdir()
    stacked = np.stack([volumes[name] for name in ("flair", "t1", "t1c", "t2")], axis=-1)
    nib.save(nib.Nifti1Image(stacked, AFFINE), tmp_path / "imagesTr" / "a.nii.gz")
    mask = np.minimum(volumes["mask"], 3)
    nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / "labelsTr" / "a.nii.gz")
    (tmp_path / "Dataset.json").write_text(json.dumps({"labels": labels}))
    (files,) = find_cases(tmp_path)
    if words is None:
        read_case(files, with_mask=True)
        return
    with pytest.raises(UserError, match=words):
        read_case(files, with_mask=True)
    said = read_case(files, with_mask=True, label_classes=(1, 2, 3))
    np.testing.assert_array_equal(said.mask, mask)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_both_formats_are_read_whether_packed_or_not(tmp_path, kind, ending):
    volumes = scan()
    for name, volume in volumes.items():
        nib.save(kind(volume, AFFINE), tmp_path / f"case_{SUFFIXES[name]}{ending}")
    case = read(tmp_path)
    for name, volume in case.sequences.items():
        np.testing.assert_array_equal(volume, volumes[name])


def test_whole_numbers_have_the_byte_order_of_this_machine(tmp_path):
    volumes = scan()
    folder = write(tmp_path, volumes)
    big = nib.Nifti1Header(endianness=">")
    big.set_data_dtype(np.int16)
    nib.save(nib.Nifti1Image(volumes["t2"], AFFINE, big), folder / "case_t2.nii.gz")
    assert gzip.decompress((folder / "case_t2.nii.gz").read_bytes())[:4] == b"\x00\x00\x01\x5c"
    case = read(folder)
    assert case.sequences["t2"].dtype == np.dtype("=i2")
    assert case.sequences["t2"].dtype.isnative
    np.testing.assert_array_equal(case.sequences["t2"], volumes["t2"])


def test_in_the_names_of_2023_a_4_is_a_cavity_even_where_nothing_enhances(tmp_path):
    volumes = scan()
    suffixes = {"t1": "t1n", "t2": "t2w", "t1c": "t1c", "flair": "t2f", "mask": "seg"}
    for name, volume in volumes.items():
        nib.save(nib.Nifti1Image(volume, AFFINE), tmp_path / f"case-{suffixes[name]}.nii.gz")
    assert set(np.unique(volumes["mask"])) == {0, 1, 2, 4}
    with pytest.raises(
        UserError,
        match=r"case-seg.nii.gz: has label 4 .* resection cavity",
    ):
        read(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real patient's scan is not here")
def test_a_real_scan_is_read_as_it_is():
    case = read_case(find_case(REAL), with_mask=True)
    assert case.files.case_id == "TCGA-DU-7294"
    for name, suffix in SUFFIXES.items():
        if name != "mask":
            image = nib.load(REAL / f"TCGA-DU-7294_{suffix}.nii.gz")
            assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
            np.testing.assert_array_equal(case.sequences[name], np.asanyarray(image.dataobj))
            assert case.sequences[name].dtype == np.int16
    assert case.sequences["t1"].min() < 0 or case.sequences["flair"].min() < 0
    assert case.mask.shape == (240, 240, 155)
    assert case.geometry.spacing_mm == pytest.approx((1, 1, 1))


def z_scored(source, target):
    """Write a case anew as many store normalised scans: z-scores as int16 with slope, intercept."""
    target.mkdir()
    names = sorted(path.name for path in source.glob("*.nii.gz"))
    stored = {name: nib.load(source / name) for name in names}
    scans = {name: image.get_fdata() for name, image in stored.items() if "_seg" not in name}
    for name, image in stored.items():
        if name in scans:
            brain = scans[name] != 0
            values = (scans[name] - scans[name][brain].mean()) / scans[name][brain].std()
            values[~brain] = 0
            scaled = nib.Nifti1Image(values, image.affine)
            scaled.set_data_dtype(np.int16)  # nibabel then chooses slope and intercept
            nib.save(scaled, target / name)
            assert nib.load(target / name).dataobj.inter != 0
        else:
            nib.save(image, target / name)
    return target


def prepared(folder):
    case = read_case(find_case(folder), with_mask=True)
    domains, _ = make_half_slices(case.sequences, case.mask, HalfSliceRules(), case_id="case")
    return np.count_nonzero(brain_of(case.sequences)), domains.counts


def test_z_scores_in_whole_numbers_have_the_background_of_the_scan(phantoms, tmp_path):
    slices = tmp_path / "slices"
    slices.mkdir()
    for path in (phantoms / "HGG/phantom_0002").iterdir():  # some with a lesion are enough
        nib.save(nib.load(path).slicer[:, :, 60:90], slices / path.name)
    given, found = prepared(slices), prepared(z_scored(slices, tmp_path / "scaled"))
    assert given[1]["present"] + given[1]["absent"] > 0
    assert found[1] == given[1]
    assert found[0] == pytest.approx(given[0], rel=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real patient's scan is not here")
def test_a_real_scan_in_z_scores_gives_the_half_slices_it_gave(tmp_path):
    _, counts = prepared(z_scored(REAL, tmp_path / "scaled"))
    assert (counts["present"], counts["absent"]) == (2, 60)


def test_brain_of_one_step_in_one_sequence_keeps_its_value(tmp_path):
    volumes = scan()
    for name in ("t1", "t2", "t1c", "flair"):
        rng = np.random.default_rng(0)
        brain = rng.integers(100, 900, volumes[name].shape)
        volumes[name] = np.where(volumes[name] == 0, 20, brain).astype(np.int16)
        volumes[name][3, 3, 3] = 21 if name == "t1" else 50
        volumes[name][4, 4, 4] = 21
    folder = write(tmp_path, volumes)
    for name in ("t1", "t2", "t1c", "flair"):
        path = folder / f"case_{SUFFIXES[name]}.nii.gz"
        raw = bytearray(gzip.decompress(path.read_bytes()))
        struct.pack_into("<2f", raw, 112, 0.5, -10.2)
        path.write_bytes(gzip.compress(bytes(raw)))
    case = read(folder)
    assert not any(volume[0].any() for volume in case.sequences.values())
    assert not any(volume[4, 4, 4] for volume in case.sequences.values())
    assert case.sequences["t1"][3, 3, 3] == pytest.approx(0.3)


def test_a_background_behind_a_frame_of_zeros_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    volumes = {}
    for name in ("t1", "t2", "t1c", "flair"):
        volumes[name] = np.zeros((24, 26, 12), np.float32)
        volumes[name][2:-2, 2:-2, 2:-2] = -0.53
        volumes[name][6:-6, 6:-6, 3:-3] = rng.normal(size=(12, 14, 6))
    with pytest.raises(UserError, match=r"of the voxels that are not 0 have one value \(t1 -0.53,"):
        read(write(tmp_path, volumes))


def with_corners(n_filled, density):
    """A brain (a ball) in scattered noise that fills some corners, in one sequence alone."""
    rng, shape = np.random.default_rng(0), (64, 64, 48)
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    is_brain = np.square(place).sum(axis=0) < 0.7
    names = ("t1", "t2", "t1c", "flair")
    volumes = {
        name: np.where(is_brain, rng.integers(100, 900, shape), 0).astype(np.int16)
        for name in names
    }
    air = (rng.random(shape) < density) & ~is_brain
    for number, corner in enumerate(
        itertools.product(*((slice(0, n // 2), slice(n // 2, n)) for n in shape))
    ):
        if number < n_filled:
            noise = rng.integers(1, 60, air[corner].sum())
            volumes["flair"][corner][air[corner]] = noise
    return volumes | {"mask": (np.square(place).sum(axis=0) < 0.1).astype(np.uint8)}


@pytest.mark.parametrize("with_mask", [True, False])  # as half-slices and predict read
def test_scattered_noise_of_the_air_is_refused_or_said(tmp_path, capsys, with_mask):
    for density in (1, 0.2):
        for n_filled in (0, 1, 3):
            folder = write(tmp_path / f"{n_filled}_{density}", with_corners(n_filled, density))
            notes = read_case(find_case(folder), with_mask=with_mask).notes
            assert (f"{n_filled} of 8 corners are not 0" in "".join(notes)) == bool(n_filled)
            assert capsys.readouterr().err.count("segtrans: warning: case: ") == len(notes)
        for n_filled in (4, 7, 8):
            folder = write(tmp_path / f"{n_filled}_{density}", with_corners(n_filled, density))
            words = rf"^case: .*, {n_filled} of 8 corners .*{n_filled} of flair.*skull-strip"
            with pytest.raises(UserError, match=words):
                read_case(find_case(folder), with_mask=with_mask)


def test_more_than_any_brain_is_a_whole_head(tmp_path):
    volumes = with_corners(0, 0)
    litres = np.count_nonzero(volumes["t1"]) / 1e6
    for target, is_refused in ((2.2, False), (3.5, True)):
        size = (target / litres) ** (1 / 3)
        folder = write(tmp_path / str(target), volumes, affine=np.diag([-size, -size, size, 1]))
        if is_refused:
            with pytest.raises(UserError, match=r"^case: 3\.5 litres .*skull-strip"):
                read(folder)
        else:
            assert read(folder).notes == ()


@pytest.mark.parametrize("with_mask", [True, False])
def test_one_sequence_copied_over_another_is_said(tmp_path, capsys, with_mask):
    volumes = scan()
    folder = write(tmp_path, volumes)
    change(folder, "t1c", volumes["t1"].astype(np.float32) / 7)
    (note,) = read_case(find_case(folder), with_mask=with_mask).notes
    assert note.startswith("t1, t1c: hold the same intensities; expected two sequences")
    assert note in capsys.readouterr().err


def test_headers_without_a_form_are_said(tmp_path, capsys):
    folder = write(tmp_path, scan())
    forms(names=tuple(SUFFIXES))(folder)
    case = read(folder)
    assert "t1, t2, t1c, flair, mask: has neither sform nor qform" in case.notes[0]
    assert "left and right are a guess" in capsys.readouterr().err


@pytest.mark.parametrize("error", [1e-7, -4e-4])
def test_labels_a_rounding_error_from_whole_are_whole(tmp_path, error):
    folder, volumes = write(tmp_path, scan()), scan()
    mask = volumes["mask"]
    change(folder, "mask", np.where(mask > 0, mask + error, 0))
    case = read(folder)
    np.testing.assert_array_equal(case.mask, np.where(mask == 4, 3, mask))
    assert case.label_convention == "1, 2, 4"


@pytest.mark.parametrize(
    ("classes", "enhancing"), [((1, 2, 3, 0), 3), ((1, 2, 1, 3), 4), ((3, 1, 1, 2), 1)]
)
def test_the_user_can_say_what_labels_mean(tmp_path, classes, enhancing):
    volumes = scan()
    volumes["mask"] = np.resize(np.arange(5, dtype=np.uint8), SHAPE)
    files = find_case(write(tmp_path, volumes))
    case = read_case(files, with_mask=True, label_classes=classes)
    np.testing.assert_array_equal(case.mask, np.array([0, *classes])[volumes["mask"]])
    np.testing.assert_array_equal(case.mask == 3, volumes["mask"] == enhancing)
    assert ",".join(map(str, classes)) in case.label_convention
    with pytest.raises(UserError, match="label 4 is unknown; expected 0 and 1, 2, 3, as label_cl"):
        read_case(files, with_mask=True, label_classes=(1, 2, 3))

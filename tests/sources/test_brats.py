"""From small NIfTI files to a store: the same for any number of jobs, and refused when it is not
one data set."""

import gzip
import json
import shutil
import tracemalloc
import zlib

import nibabel as nib
import numpy as np
import pytest

from segtrans.data.store import FOLDS, Store
from segtrans.errors import UserError
from segtrans.sources.brats.data_set import write_half_slices, write_part, write_split
from segtrans.sources.brats.merge import merge_parts
from segtrans.sources.brats.parts import read_column, save_part
from segtrans.sources.scans import grids
from segtrans.sources.scans.cases import find_cases
from segtrans.tasks.parameters import HalfSliceRules

RULES = HalfSliceRules()
SHAPE = (12, 10, 6)
PLANE = SHAPE[:2]


def write_case(
    folder,
    number,
    *,
    shape=SHAPE,
    lesion=True,
    brain=True,
    spacing=1.0,
    labels=(1, 4),
    name="Brats17_",
):
    """A patient whose brain fills slices 1 to 4, with a lesion on the left of slices 2 and 3.

    No two of 18 have the lesion at the same place.
    """
    rng = np.random.default_rng(number)
    name = f"{name}{number:03d}"
    grade = "LGG" if number % 4 == 0 else "HGG"
    place = folder / grade / name
    place.mkdir(parents=True)
    affine = np.diag([-spacing, -spacing, spacing, 1.0])
    for suffix in ("t1", "t1ce", "t2", "flair"):
        volume = np.zeros(shape, np.int16)
        volume[:, :, 1:-1] = rng.integers(20, 900, (*shape[:2], shape[2] - 2))
        if not brain:
            volume[:, 1:] = 0
        nib.save(nib.Nifti1Image(volume, affine), place / f"{name}_{suffix}.nii.gz")
    mask = np.zeros(shape, np.uint8)
    if lesion:
        place_of = (slice(6 + number // 6, 8 + number // 6), slice(number % 6, number % 6 + 3))
        mask[*place_of, 2], mask[*place_of, 3] = labels
    nib.save(nib.Nifti1Image(mask, affine), place / f"{name}_seg.nii.gz")


@pytest.fixture
def source(tmp_path):
    for number in range(6):
        write_case(tmp_path / "cases", number)
    return tmp_path / "cases"


def split_of(source, tmp_path, **changes):
    values = {"valid_fraction": 0.2, "test_fraction": 0.2, "rotation": 0, "data_seed": 0}
    values["plane"] = PLANE
    write_split([source], tmp_path / "split.json", **(values | changes))
    return tmp_path / "split.json"


def made(source, tmp_path, n_jobs, split=None):
    split = split or split_of(source, tmp_path)
    parts = [tmp_path / f"{n_jobs}_{job}.npz" for job in range(n_jobs)]
    for job, part in enumerate(parts):
        write_part([source], split, part, rules=RULES, job=job, n_jobs=n_jobs)
    output = tmp_path / f"{n_jobs}.h5"
    return merge_parts(parts, split, output), Store(output)


@pytest.mark.parametrize("n_jobs", [2, 5, 6])
def test_the_store_is_the_same_for_any_number_of_jobs(source, tmp_path, n_jobs):
    patients, one = made(source, tmp_path, 1)
    others, many = made(source, tmp_path, n_jobs)
    assert patients == others
    assert one.path.read_bytes() == many.path.read_bytes()


def test_by_hand_gives_the_same_and_leaves_nothing_else(source, tmp_path):
    split = split_of(source, tmp_path)
    patients, store = made(source, tmp_path, 3, split)
    by_hand = tmp_path / "hand" / "brats.h5"
    copy = tmp_path / "hand" / "report" / "split.json"
    again = write_half_slices(
        source, by_hand, rules=RULES, split=split, split_copy=copy, data_seed=0, plane=PLANE
    )
    assert again == patients
    assert by_hand.read_bytes() == store.path.read_bytes()
    assert sorted(path.name for path in by_hand.parent.iterdir()) == ["brats.h5", "report"]


def test_of_several_folders_all_cases_are_read_and_none_beside_them(source, tmp_path):
    expected = split_of(source, tmp_path).read_bytes()
    cases = sorted(source.glob("*/*"))
    for number, case in enumerate(cases):
        place = tmp_path / "jobs" / str(number % 2) / case.parent.name / case.name
        shutil.copytree(case, place)
    write_case(tmp_path / "jobs" / "stranger", 6)
    jobs = [tmp_path / "jobs" / name for name in "01"]
    values = {"valid_fraction": 0.2, "test_fraction": 0.2, "rotation": 0, "data_seed": 0}
    write_split(jobs, tmp_path / "jobs.json", **values, plane=PLANE)
    assert (tmp_path / "jobs.json").read_bytes() == expected
    with pytest.raises(UserError, match=r"lies in .*; keep one of them"):
        write_split([*jobs, source], tmp_path / "jobs.json", **values, plane=PLANE)


def test_every_patient_is_whole_in_one_fold_and_its_images_are_its_own(source, tmp_path):
    patients, store = made(source, tmp_path, 2)
    folds = json.loads((tmp_path / "split.json").read_text())["folds"]
    assert {patient["case_id"]: patient["fold"] for patient in patients} == folds
    for fold in FOLDS:
        ids = sorted(case_id for case_id, name in folds.items() if name == fold)
        present, absent = (store.provenance(fold, domain) for domain in ("present", "absent"))
        # Slices 1 to 4 have brain; the lesion is on the left of slices 2 and 3.
        assert present["case_id"].tolist() == [case_id for case_id in ids for _ in range(2)]
        assert present["side"].tolist() == ["left"] * (2 * len(ids))
        assert present["slice_index"].tolist() == [2, 3] * len(ids)
        assert absent["side"].tolist() == (["right"] * 4 + ["left"] * 2) * len(ids)
        assert absent["slice_index"].tolist() == [1, 2, 3, 4, 1, 4] * len(ids)
        assert store.masks(fold).sum() == len(ids) * (6 * 1 + 6 * 3)
    case_id = store.provenance("train", "present")["case_id"][0]
    scan = np.asanyarray(
        nib.load(next(source.glob(f"*/{case_id}/{case_id}_t2.nii.gz"))).dataobj
    ).astype(float)
    values = scan[:, :, 1:-1]
    expected = ((scan - values.mean()) / values.std())[6:, :, 2].T
    image = store.images("train", "present")[0, store.header.channels.index("t2")]
    np.testing.assert_allclose(image, expected, atol=2e-3)
    assert store.scale("train", "present") == 0.2


def test_the_header_says_what_was_done(source, tmp_path):
    _, store = made(source, tmp_path, 1)
    header = store.header
    assert header.task == "brats"
    assert header.channels == ("t1", "t2", "t1c", "flair")
    assert header.parameters["volume_shape"] == list(SHAPE)
    assert header.parameters["phantoms"] is False
    assert header.labels[2] == "oedema"
    assert header.parameters["spacing_mm"] == [1.0, 1.0, 1.0]
    assert header.parameters["min_brain_fraction"] == 0.25
    assert header.parameters["test_fraction"] == 0.2
    for words in ("6 cases", "2017", "4 HGG", "2 LGG", "labels"):
        assert words in header.source


def test_the_header_says_that_patients_are_made_up(tmp_path):
    for number in range(6):
        write_case(tmp_path / "cases", number, name="phantom_")
    _, store = made(tmp_path / "cases", tmp_path, 1)
    assert store.header.parameters["phantoms"] is True


@pytest.mark.parametrize(
    ("labels", "odd", "clause"),
    [
        ((1, 1), (1, 2), "; no label above 2 in any mask."),
        ((1, 3), (1, 3), "; labels 1, 2, 3."),
        ((1, 3), (1, 4), "; labels 1, 2, 3 (Brats17_000 and 4 more) and 1, 2, 4 (Brats17_002)."),
    ],
)
def test_the_header_says_which_labels_the_masks_had(tmp_path, labels, odd, clause):
    for number in range(6):
        write_case(tmp_path / "cases", number, labels=odd if number == 2 else labels)
    _, store = made(tmp_path / "cases", tmp_path, n_jobs=1)
    assert store.header.source.endswith(clause)


def test_other_voxels_have_another_hash(source, tmp_path):
    _, before = made(source, tmp_path, 1)
    file = next(source.glob("*/*/*_flair.nii.gz"))
    image = nib.load(file)
    volume = np.asanyarray(image.dataobj).copy()
    volume[5, 5, 2] += 1
    nib.save(nib.Nifti1Image(volume, image.affine), file)
    _, after = made(source, tmp_path, 1)
    assert before.header.source_sha256 != after.header.source_sha256


def test_a_patient_with_nothing_that_passes_is_reported_and_not_fatal(source, tmp_path):
    split = split_of(source, tmp_path)
    write_case(source, 9, brain=False, lesion=False)
    content = json.loads(split.read_text())
    content["folds"]["Brats17_009"] = "train"
    split.write_text(json.dumps(content))
    patients, store = made(source, tmp_path, 3, split)
    row = next(patient for patient in patients if patient["case_id"] == "Brats17_009")
    assert row["n"]["present"] == row["n"]["absent"] == 0
    assert row["n"]["small_brain"] == 8
    everyone = {case for fold in FOLDS for case in store.provenance(fold, "absent")["case_id"]}
    assert "Brats17_009" not in everyone


def test_a_fold_without_a_lesion_is_fatal(tmp_path):
    for number in range(6):
        write_case(tmp_path / "cases", number, lesion=number < 3)
    split = split_of(tmp_path / "cases", tmp_path)
    content = json.loads(split.read_text())
    for number in range(6):
        content["folds"][f"Brats17_{number:03d}"] = "train" if number < 4 else "valid"
    content["folds"]["Brats17_005"] = "test"
    split.write_text(json.dumps(content))
    with pytest.raises(UserError, match="fold valid: none of the half-slices of its 1 case is"):
        made(tmp_path / "cases", tmp_path, 1, split)
    assert not (tmp_path / "1.h5").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (12, 10, 7)}, "has 12 x 10 x 7 voxels of 1 x 1 x 1 mm, .*Brats17_000_t1"),
        ({"spacing": 2.0}, "has 12 x 10 x 6 voxels of 2 x 2 x 2 mm, .*Brats17_000_t1"),
        ({"shape": (10, 10, 6)}, "the task take axial slices of 12 x 10: resample, crop or pad"),
        ({"shape": (12, 12, 6)}, "has 12 x 12 x 6 voxels of 1 x 1 x 1 mm, from right to left"),
    ],
)
def test_scans_of_another_grid_are_refused_before_any_voxel_is_read(
    source, tmp_path, changes, words
):
    write_case(source, 9, **changes)
    for path in source.glob("*/*/*"):
        path.write_bytes(headers_alone(path))
    with pytest.raises(UserError, match=rf"Brats17_009_t1\.nii\.gz: .*{words}.*Brats17_009"):
        split_of(source, tmp_path)
    assert not (tmp_path / "split.json").exists()


def headers_alone(path):
    """A packed file that breaks off where its voxels begin."""
    return zlib_of(gzip.decompress(path.read_bytes())[:1000])


def zlib_of(content):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH)


def test_one_sequence_or_a_mask_of_another_size_is_named_first(source, tmp_path):
    case = source / "HGG" / "Brats17_003"
    for name in ("Brats17_003_seg.nii.gz", "Brats17_003_t2.nii.gz"):
        image = nib.load(case / name)
        small = nib.Nifti1Image(np.asanyarray(image.dataobj)[..., :-1], image.affine)
        nib.save(small, case / name)
        with pytest.raises(UserError, match=f"{name}: has 12 x 10 x 5 voxels"):
            split_of(source, tmp_path)


def test_the_size_that_counts_is_the_patients_not_the_files(tmp_path):
    for number in range(3):
        write_case(tmp_path / "cases", number, shape=(12, 10, 6))
    for path in (tmp_path / "cases").glob("*/*/*"):
        image = nib.load(path)
        turned = nib.as_closest_canonical(image)
        stored = np.moveaxis(np.asanyarray(turned.dataobj), 2, 0)
        nib.save(nib.Nifti1Image(stored, turned.affine[:, [2, 0, 1, 3]]), path)
        assert nib.load(path).shape == (6, 12, 10)
    _, store = made(tmp_path / "cases", tmp_path, 1)
    assert store.header.parameters["volume_shape"] == list(SHAPE)


def test_scans_that_are_not_the_tasks_size_are_refused_by_default(source, tmp_path):
    with pytest.raises(UserError, match="take axial slices of 240 x 240"):
        split_of(source, tmp_path, plane=grids.PLANE)
    with pytest.raises(UserError, match="take axial slices of 240 x 240"):
        write_half_slices(
            source,
            tmp_path / "b.h5",
            rules=RULES,
            split=split_of(source, tmp_path),
            split_copy=tmp_path / "copy.json",
            data_seed=0,
        )
    assert not (tmp_path / "b.h5").exists()


def test_another_spacing_than_brats_is_said_in_the_data(tmp_path):
    for number in range(4):
        write_case(tmp_path / "cases", number, spacing=0.9)
    _, store = made(tmp_path / "cases", tmp_path, 1)
    assert "voxels of 0.9 x 0.9 x 0.9 mm, not of 1 mm" in store.header.source
    assert store.header.parameters["spacing_mm"] == [0.9, 0.9, 0.9]


def test_more_jobs_than_patients_are_refused_by_name(source, tmp_path):
    split = split_of(source, tmp_path)
    with pytest.raises(UserError, match=r"n_jobs = 7: .* names 6 cases; .*brats.n_jobs to at most"):
        write_part([source], split, tmp_path / "0.npz", rules=RULES, job=0, n_jobs=7)


def test_the_same_scan_under_two_ids_is_refused(source, tmp_path):
    first, second = source / "HGG" / "Brats17_001", source / "LGG" / "Brats17_004"
    copy = second / "Brats17_004_flair.nii.gz"
    copy.write_bytes((first / "Brats17_001_flair.nii.gz").read_bytes())
    with pytest.raises(UserError, match=r"001_flair.* and .*004_flair.*: the same scan under two"):
        split_of(source, tmp_path)
    # One that differs in a voxel alone, at equal size, is another scan.
    content = bytearray(gzip.decompress(copy.read_bytes()))
    for path in (copy, first / "Brats17_001_flair.nii.gz"):
        content[-1] ^= 1
        path.write_bytes(gzip.compress(content, compresslevel=0, mtime=0))
    split_of(source, tmp_path)


def test_one_mask_of_two_patients_is_refused_however_it_is_stored(source, tmp_path):
    split = split_of(source, tmp_path)
    first, second = source / "HGG" / "Brats17_001", source / "LGG" / "Brats17_004"
    copy = second / "Brats17_004_seg.nii.gz"
    copy.unlink()
    stored_otherwise(first / "Brats17_001_seg.nii.gz", copy.with_suffix(""), "float32, not packed")
    with pytest.raises(
        UserError, match=r"001 \(fold .* and .*004 \(fold .*\): the same mask, voxel"
    ):
        made(source, tmp_path, n_jobs=2, split=split)
    # Two scans of one patient may have one, and many patients no lesion at all.
    names = {name: name for name in sorted(path.name for path in source.glob("*/*"))}
    names["Brats17_004"] = "Brats17_001"
    table = "".join(f"{case_id},{patient}\n" for case_id, patient in names.items())
    (source / "dataset.csv").write_text(f"case_id,patient\n{table}")
    content = json.loads(split.read_text())
    content["folds"]["Brats17_004"] = content["folds"]["Brats17_001"] = "train"
    content["folds"] |= {"Brats17_000": "valid", "Brats17_002": "test"}
    split.write_text(json.dumps(content))
    for number in (3, 5):
        shutil.rmtree(source / "HGG" / f"Brats17_{number:03d}")
        write_case(source, number, lesion=False)
    made(source, tmp_path, n_jobs=2, split=split)


def stored_otherwise(path, copy, way):
    """The same intensities in another file: what other programs make of a scan on saving it."""
    image = nib.load(path)
    values = image.get_fdata()
    if way == "float32, not packed":
        nib.save(nib.Nifti1Image(values.astype(np.float32), image.affine), copy)
    elif way == "another slope":  # written in tenths, so no value is exact
        scaled = nib.Nifti1Image((values * 10).astype(np.int16), image.affine)
        nib.save(scaled, copy)
        content = bytearray(copy.read_bytes())
        content[112:116] = np.float32(0.1).tobytes()
        copy.write_bytes(content)
    elif way == "another axis order":
        turn = nib.orientations.axcodes2ornt("SRA")
        turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), turn)
        nib.save(image.as_reoriented(turn), copy)
    else:  # "another header and unit"
        scaled = nib.Nifti1Image((values / values.max()).astype(np.float32), image.affine)
        scaled.header["descrip"] = b"anonymised"
        nib.save(scaled, copy)


@pytest.mark.parametrize(
    "way",
    ["float32, not packed", "another slope", "another axis order", "another header and unit"],
)
def test_the_same_scan_stored_otherwise_is_refused_when_jobs_meet(source, tmp_path, way):
    folds = json.loads(split_of(source, tmp_path).read_text())["folds"]
    first = next(case for case in sorted(folds) if folds[case] == "test")
    second = next(case for case in sorted(folds) if folds[case] == "train")
    places = {path.name: path for path in source.rglob("Brats17_*") if path.is_dir()}
    masks = ("seg",) if way == "another axis order" else ()
    for suffix in ("t1", "t1ce", "t2", "flair", *masks):
        copy = places[second] / f"{second}_{suffix}.nii.gz"
        copy.unlink()  # .nii takes its place
        stored_otherwise(places[first] / f"{first}_{suffix}.nii.gz", copy.with_suffix(""), way)
    with pytest.raises(UserError, match="the same scan under two ids") as error:
        made(source, tmp_path, n_jobs=6)
    for words in (f"{first} (fold test)", f"{second} (fold train)"):
        assert words in str(error.value)
    assert not (tmp_path / "6.h5").exists()


def test_all_scans_of_a_patient_are_in_one_fold(source, tmp_path):
    (source / "dataset.csv").write_text(
        "case_id,patient,age\n"
        + "".join(f"Brats17_{i:03d},{'pP'[i % 2]}{i // 2},50\n" for i in range(6))
    )
    split = split_of(source, tmp_path, valid_fraction=0.3, test_fraction=0.3)
    content = json.loads(split.read_text())
    folds = content["folds"]
    assert content["source"].startswith("6 cases of 3 patients of BraTS")
    assert content["patients"]["Brats17_005"] == "p2"
    for i in range(0, 6, 2):
        assert folds[f"Brats17_{i:03d}"] == folds[f"Brats17_{i + 1:03d}"]
    assert sorted(folds.values()) == ["test", "test", "train", "train", "valid", "valid"]
    tested = next(case for case, fold in folds.items() if fold == "test")
    content["folds"][tested] = "train"
    split.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"split\.json: patient p\d is in two folds: Brats17_"):
        write_part([source], split, tmp_path / "0.npz", rules=RULES, job=0, n_jobs=1)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_patients(tmp_path):
    peaks = {}
    for number in range(12):
        write_case(tmp_path / "cases", number, shape=(120, 100, 20))
    cases = find_cases(tmp_path / "cases")
    for n in (2, 12):
        tracemalloc.start()
        folds = {case.case_id: "train" for case in cases[:n]}
        save_part(cases[:n], tmp_path / "part.npz", folds, RULES)
        ids = set(folds)
        assert sum(map(len, read_column([tmp_path / "part.npz"], ids, "absent", "image"))) > 0
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[12] < 1.2 * peaks[2]


def test_parts_of_other_rules_or_patients_are_refused(source, tmp_path):
    split = split_of(source, tmp_path)
    joint = HalfSliceRules(normalisation="joint")
    for job, rules in enumerate((RULES, joint)):
        write_part([source], split, tmp_path / f"{job}.npz", rules=rules, job=job, n_jobs=2)
    parts = [tmp_path / "0.npz", tmp_path / "1.npz"]
    with pytest.raises(UserError, match="prepare both by the same rules"):
        merge_parts(parts, split, tmp_path / "out.h5")
    with pytest.raises(UserError, match="not the patients of the parts"):
        merge_parts(parts[:1], split, tmp_path / "out.h5")
    parts[1].write_bytes(parts[0].read_bytes()[:500])
    with pytest.raises(UserError, match=r"1\.npz: no part of prepared patients"):
        merge_parts(parts, split, tmp_path / "out.h5")


GOOD = {
    "version": 1,
    "source": "by hand",
    "drawn": {"data_seed": 0},
    "folds": {"a": "train", "b": "valid", "c": "test"},
}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no split file"),
        ("[" * 100_000, "no split file"),
        ("[]", "Input should be an object"),
        ('{"folds": {}}', "source: missing; drawn: missing"),
        (GOOD | {"folds": {"a": "training"}}, 'folds.a = "training": Input should be'),
        (GOOD | {"folds": {"a": "train", "b": "test"}}, "no case is in valid"),
        (GOOD | {"version": 2}, "version = 2: this segtrans reads 1; write it anew"),
        (GOOD | {"drawn": {}}, "drawn.data_seed: missing"),
        (GOOD | {"drawn": {"data_seed": "0"}}, "drawn.data_seed = "),
        (GOOD | {"fold": {}}, "fold: unknown; did you mean folds"),
        (GOOD | {"folds": ["a"]}, "folds = "),
        (json.dumps(GOOD).replace('"b":', '"a":'), "a occurs twice"),
    ],
)
def test_a_damaged_split_file_is_one_line(source, tmp_path, content, words):
    path = tmp_path / "split.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError) as refusal:
        write_part([source], path, tmp_path / "0.npz", rules=RULES, job=0, n_jobs=1)
    assert f"{path}: " in str(refusal.value)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_split_that_names_another_patient_is_refused(source, tmp_path):
    split = split_of(source, tmp_path)
    (source / "HGG" / "Brats17_001").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"no case Brats17_001, which .*split\.json names"):
        write_part([source], split, tmp_path / "0.npz", rules=RULES, job=0, n_jobs=1)

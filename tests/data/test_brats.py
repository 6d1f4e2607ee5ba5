"""From small NIfTI files to a store: the same for any number of jobs, and refused when it is not
one data set."""

import json

import nibabel as nib
import numpy as np
import pytest

from segtrans.data.brats import merge_parts, write_half_slices, write_part, write_split
from segtrans.data.half_slices import HalfSliceRules
from segtrans.data.store import FOLDS, Store
from segtrans.errors import UserError

RULES = HalfSliceRules(
    min_brain_fraction=0.25,
    min_lesion_fraction=0.01,
    normalisation="per_sequence",
    mirror_right=False,
)
SHAPE = (12, 10, 6)


def write_case(folder, number, *, shape=SHAPE, lesion=True, brain=True, spacing=1.0, labels=(1, 4)):
    """A patient whose brain fills slices 1 to 4, with a lesion on the left of slices 2 and 3."""
    rng = np.random.default_rng(number)
    name = f"Brats17_{number:03d}"
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
        mask[8:10, 2:5, 2] = labels[0]
        mask[8:10, 2:5, 3] = labels[1]
    nib.save(nib.Nifti1Image(mask, affine), place / f"{name}_seg.nii.gz")


@pytest.fixture
def source(tmp_path):
    for number in range(6):
        write_case(tmp_path / "cases", number)
    return tmp_path / "cases"


def split_of(source, tmp_path, **changes):
    values = {"valid_fraction": 0.2, "test_fraction": 0.2, "rotation": 0, "data_seed": 0}
    write_split(source, tmp_path / "split.json", **(values | changes))
    return tmp_path / "split.json"


def made(source, tmp_path, n_jobs, split=None):
    split = split or split_of(source, tmp_path)
    parts = [tmp_path / f"{n_jobs}_{job}.npz" for job in range(n_jobs)]
    for job, part in enumerate(parts):
        write_part(source, split, part, rules=RULES, job=job, n_jobs=n_jobs)
    output = tmp_path / f"{n_jobs}.h5"
    return merge_parts(parts, split, output), Store(output)


@pytest.mark.parametrize("n_jobs", [2, 5, 8])
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
        source, by_hand, rules=RULES, split=split, split_copy=copy, data_seed=0
    )
    assert again == patients
    assert by_hand.read_bytes() == store.path.read_bytes()
    assert sorted(path.name for path in by_hand.parent.iterdir()) == ["brats.h5", "report"]


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
    assert header.parameters["spacing_mm"] == [1.0, 1.0, 1.0]
    assert header.parameters["min_brain_fraction"] == 0.25
    assert header.parameters["test_fraction"] == 0.2
    for words in ("6 cases", "2017", "4 HGG", "2 LGG", "labels"):
        assert words in header.source


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
    with pytest.raises(UserError, match="fold valid: none of the half-slices of its 1 patients"):
        made(tmp_path / "cases", tmp_path, 1, split)
    assert not (tmp_path / "1.h5").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (12, 10, 7)}, r"Brats17_009: shape is \[12, 10, 7\], that of Brats17_000 is"),
        ({"spacing": 2.0}, r"Brats17_009: spacing is \[2.0, 2.0, 2.0\]"),
    ],
)
def test_scans_that_differ_in_grid_are_refused(source, tmp_path, changes, words):
    write_case(source, 9, **changes)
    with pytest.raises(UserError, match=words):
        made(source, tmp_path, 2)
    assert not (tmp_path / "2.h5").exists()


def test_an_odd_width_is_refused(tmp_path):
    for number in range(4):
        write_case(tmp_path / "cases", number, shape=(11, 10, 6))
    with pytest.raises(UserError, match="11 columns from right to left; expected an even number"):
        made(tmp_path / "cases", tmp_path, 1)


def test_parts_of_other_rules_or_patients_are_refused(source, tmp_path):
    split = split_of(source, tmp_path)
    joint = HalfSliceRules(**(vars(RULES) | {"normalisation": "joint"}))
    for job, rules in enumerate((RULES, joint)):
        write_part(source, split, tmp_path / f"{job}.npz", rules=rules, job=job, n_jobs=2)
    parts = [tmp_path / "0.npz", tmp_path / "1.npz"]
    with pytest.raises(UserError, match="prepare both by the same rules"):
        merge_parts(parts, split, tmp_path / "out.h5")
    with pytest.raises(UserError, match="not the patients of the parts"):
        merge_parts(parts[:1], split, tmp_path / "out.h5")
    parts[1].write_bytes(parts[0].read_bytes()[:500])
    with pytest.raises(UserError, match=r"1\.npz: no part of prepared patients"):
        merge_parts(parts, split, tmp_path / "out.h5")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no split file"),
        ('{"folds": {}}', "no split file"),
        ('{"source": "", "drawn": {}, "folds": {"a": "training"}}', "fold training: allowed"),
    ],
)
def test_a_damaged_split_file_is_one_line(source, tmp_path, content, words):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(UserError, match=words):
        write_part(
            source, tmp_path / "split.json", tmp_path / "0.npz", rules=RULES, job=0, n_jobs=1
        )


def test_a_split_that_names_another_patient_is_refused(source, tmp_path):
    split = split_of(source, tmp_path)
    (source / "HGG" / "Brats17_001").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"no case Brats17_001, which .*split\.json names"):
        write_part(source, split, tmp_path / "0.npz", rules=RULES, job=0, n_jobs=1)

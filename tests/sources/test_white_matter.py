"""White-matter lesions: spots in a phantom beside the one without, and half-slices of both.

What a half-slice shows is counted from the files, pixel by pixel.
"""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from segtrans.config.params import load_params
from segtrans.config.run_config import read_config, resolve_config
from segtrans.config.versions import WHITE_MATTER_VERSION
from segtrans.data.pathologies import check_pathologies, read_knowledge
from segtrans.data.store import FOLDS, Store
from segtrans.errors import UserError
from segtrans.report.half_slices import write_report
from segtrans.sources.brats.data_set import write_half_slices
from segtrans.sources.phantom.patients import write_phantoms
from segtrans.sources.phantom.tissue import Tissue
from segtrans.sources.phantom.tumour import Lesion
from segtrans.sources.phantom.white_matter import draw_spots
from segtrans.tasks.half_slices import HalfSlices
from segtrans.tasks.parameters import HalfSliceRules

ROOT = Path(__file__).parents[2]
SEQUENCES = ("t1", "t1ce", "t2", "flair")
NAMES = ("tumour", "lesions")
TASK = {
    "kind": "half_slices",
    "title": "BraTS, tumour and lesions",
    "classes": {"tumour": 1, "lesions": 2},
    "white_matter_lesions": True,
}
# Of patient 2: voxels of spots, of those in oedema, and the mean of each sequence in the spots.
GOLDEN = {1: (13765, 252, 674.56, 214.74, 470.43, 616.81)}


def load(folder):
    return {
        name: np.asarray(nib.load(path).dataobj)
        for name in (*SEQUENCES, "seg")
        for path in folder.glob(f"*_{name}.nii.gz")
    }


@pytest.fixture(scope="module")
def pair(phantoms, tmp_path_factory):
    """Patient 2 without lesions, and with."""
    folder = tmp_path_factory.mktemp("lesions")
    how = {"first": 2, "last": 3, "n_patients": 4, "data_seed": 0}
    write_phantoms(folder, **how, white_matter_lesions=True)
    return tuple(load(place / "HGG" / "phantom_0002") for place in (phantoms, folder))


def test_a_phantom_with_spots_is_the_one_without_but_in_and_around_them(pair):
    without, with_spots = pair
    tumour, is_spot = with_spots["seg"] % 5, with_spots["seg"] >= 5
    np.testing.assert_array_equal(tumour, without["seg"])
    # The widest blur and what interpolation overshoots reach 6 voxels, a spot's soft border 1.
    far = ~ndimage.binary_dilation(is_spot, iterations=12)
    for name in SEQUENCES:
        np.testing.assert_array_equal(with_spots[name][far], without[name][far])
        # More in FLAIR and T2, less in T1, with contrast agent as without.
        ratio = with_spots[name][is_spot].mean() / without[name][is_spot].mean()
        assert (ratio > 1.4) if name in ("t2", "flair") else (ratio < 0.8), name
    assert set(np.unique(tumour[is_spot])) <= {0, 2}  # oedema, never the core
    means = (round(float(with_spots[name][is_spot].mean()), 2) for name in SEQUENCES)
    found = (int(is_spot.sum()), int((is_spot & (tumour == 2)).sum()), *means)
    assert found == pytest.approx(GOLDEN[WHITE_MATTER_VERSION], rel=1e-3)


@pytest.mark.slow
def test_number_size_and_hemisphere_are_as_documented():
    shape = (120, 70, 80)
    box = (slice(60, 180), slice(0, 70), slice(0, 80))
    nothing, white = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    tissue = Tissue(box, white > 0, nothing, nothing, nothing, white, nothing, nothing)
    labels = np.zeros(shape, np.uint8)
    labels[70:, 40:] = 1
    tumour = Lesion(box, labels, nothing, nothing, nothing, nothing)
    n_heads, sides = 60, []
    for seed in range(n_heads):
        spots = draw_spots(np.random.default_rng(seed), tissue, tumour)
        assert not spots.mask[labels == 1].any()
        for half in (spots.mask[:60], spots.mask[60:]):
            sides.append(half.any())
            if half.any():
                # The smallest cluster has five spots, of which some may lie in one place.
                assert 4 / 3 * np.pi * 2.5**3 < half.sum() < 27 * 4 / 3 * np.pi * 7.5**3
                thickest = ndimage.distance_transform_edt(np.pad(half, 1)).max()
                assert thickest > 2.5
    # Two of three; three standard deviations of the mean.
    assert np.mean(sides) == pytest.approx(2 / 3, abs=3 * (2 / 9 / (2 * n_heads)) ** 0.5)


def write_case(folder, number, *, has_lesions=True):
    """Six slices of 12 x 10, all brain but the outermost; every kind of half-slice on some."""
    rng = np.random.default_rng(number)
    name = f"phantom_{number:04d}"
    place = folder / "HGG" / name
    place.mkdir(parents=True)
    seg = np.zeros((12, 10, 8), np.uint8)
    seg[0:3, 0:3, 1] = 4  # right 1: tumour alone
    seg[0:3, 0:3, 2] = 1  # right 2: both, apart, and in one pixel
    if has_lesions:
        seg[1:5, 4:6, 2] = 5
        seg[2, 2, 2] = 6
        seg[1:5, 4:6, 3] = 5  # right 3: lesions alone
        seg[0, 0, 3] = 9  # and one pixel, too little, of a tumour that enhances
    seg[0:3, 0:3, 4] = 2  # right 4: a tumour, and too little of lesions
    seg[5, 5, 4] = 5 * has_lesions
    seg[7, 7, 5] = 5 * has_lesions  # left 5: too little of lesions, and no tumour
    seg[8 + number % 3, 2 + number // 3, 6] = 1  # left 6: too little of a tumour
    for suffix in SEQUENCES:
        volume = np.zeros(seg.shape, np.int16)
        volume[:, :, 1:-1] = rng.integers(20, 900, (12, 10, 6))
        nib.save(
            nib.Nifti1Image(volume, np.diag([-1.0, -1, 1, 1])), place / f"{name}_{suffix}.nii.gz"
        )
    nib.save(nib.Nifti1Image(seg, np.diag([-1.0, -1, 1, 1])), place / f"{name}_seg.nii.gz")


def prepare(tmp_path, pathologies=NAMES):
    output = tmp_path / "two.h5"
    patients = write_half_slices(
        tmp_path / "cases",
        output,
        rules=HalfSliceRules(min_lesion_fraction=0.05),
        split=None,
        split_copy=tmp_path / "split.json",
        data_seed=0,
        plane=(12, 10),
        task="two",
        pathologies=pathologies,
    )
    return Store(output), patients


def counted(folder, case_id, side, z):
    """Mask and knowledge of a half-slice by the files; knowledge None of neither domain."""
    volumes = load(next(folder.rglob(case_id)))
    half = slice(0, 6) if side == "right" else slice(6, 12)
    seg = volumes["seg"][half, :, z].T
    n_brain = np.any([volumes[name][half, :, z] != 0 for name in SEQUENCES], axis=0).sum()
    known, mask = [], np.zeros(seg.shape, int)
    for k, values in enumerate(((1, 2, 4, 6, 7, 9), (5, 6, 7, 9))):
        of = np.isin(seg, values)
        mask += of * 2**k
        known.append(0 if not of.any() else 1 if of.sum() >= 0.05 * n_brain else 255)
    return mask, tuple(known) if 1 in known or set(known) == {0} else None


def test_half_slices_say_of_each_pathology_what_the_files_do(tmp_path):
    for number in range(5):
        write_case(tmp_path / "cases", number)
    store, patients = prepare(tmp_path)
    check_pathologies(store, NAMES)
    assert store.header.task == "two"
    assert store.header.labels[3] == "tumour and lesions"
    seen, combinations = set(), set()
    for fold in FOLDS:
        noted, masks = store.provenance(fold, "present"), store.masks(fold)
        known = read_knowledge(store, fold)
        assert (known.has_mask == 1).all()
        for i in range(store.n(fold, "present")):
            place = tuple(noted[name][i].item() for name in ("case_id", "side", "slice_index"))
            mask, t = counted(tmp_path / "cases", *place)
            np.testing.assert_array_equal(masks[i], mask)
            assert tuple(known.t[i].tolist()) == t
            seen.add(place)
            combinations.add(t)
        noted = store.provenance(fold, "absent")
        assert not {f"shows_{name}" for name in NAMES} & noted.keys()
        for i in range(store.n(fold, "absent")):
            place = tuple(noted[name][i].item() for name in ("case_id", "side", "slice_index"))
            assert counted(tmp_path / "cases", *place)[1] == (0, 0)
            seen.add(place)
    assert combinations == {(1, 0), (1, 1), (255, 1), (1, 255)}
    # None is left out that belongs to either.
    for patient in patients:
        for side in ("right", "left"):
            for z in range(1, 7):
                place = (patient["case_id"], side, z)
                assert (place in seen) == (counted(tmp_path / "cases", *place)[1] is not None)
        seg = load(next((tmp_path / "cases").rglob(patient["case_id"])))["seg"]
        assert patient["voxels_of_tumour"] == np.isin(seg, (1, 2, 4, 6, 7, 9)).sum()
        assert patient["voxels_of_lesions"] == (seg >= 5).sum()
    write_report(patients, store.path, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    for fold in FOLDS:
        t = read_knowledge(store, fold).t
        for k, name in enumerate(NAMES):
            counts = [str(int((t[:, k] == of).sum())) for of in (1, 0, 255)]
            (row,) = (line for line in text.splitlines() if line.split()[1:4] == [fold, "|", name])
            assert [cell.strip() for cell in row.strip("|").split("|")][2:5] == counts


def test_a_fold_that_shows_a_pathology_nowhere_is_refused(tmp_path):
    for number in range(3):
        write_case(tmp_path / "cases", number, has_lesions=number > 0)
    with pytest.raises(UserError, match=r"fold \w+: none of its half-slices shows lesions"):
        prepare(tmp_path)
    assert not (tmp_path / "two.h5").exists()


def test_the_tumour_alone_is_not_prepared_from_such_phantoms(tmp_path):
    for number in range(3):
        write_case(tmp_path / "cases", number)
    with pytest.raises(UserError, match="label 5, 6, 9 is unknown; expected 0 and 1, 2, 3, 4"):
        prepare(tmp_path, pathologies=())


def params_with(task=None, **brats):
    overlay = {"data_sets": {"two": TASK | (task or {})}, "tasks": ["two"], "brats": brats}
    return load_params(ROOT / "params.yaml", overlay=overlay)


def test_a_task_of_the_users_own_has_two_pathologies_and_the_papers_task_stays_what_it_was():
    config = resolve_config(params_with(), task="two", method="pathologies", init_seed=0)
    assert config.maps == NAMES
    assert config.definition.has_patients
    assert read_config(config.to_json()) == config
    one = resolve_config(params_with(), task="two", method="translation", init_seed=0)
    assert one.maps == ()
    params = load_params(ROOT / "params.yaml")
    of_paper = resolve_config(params, task="brats", method="translation", init_seed=0)
    assert of_paper.own_task is None
    assert params.known_tasks["brats"].pathologies == ()
    assert "white_matter_lesions" not in json.loads(params.known_tasks["brats"].model_dump_json())


@pytest.mark.parametrize(
    ("task", "brats", "words"),
    [
        ({}, {"source": "msd"}, "brats.source = msd: white_matter_lesions are known of phantoms"),
        ({"classes": {"tumour": 1}}, {}, "with white_matter_lesions there are two"),
        ({"classes": {"no_x": 1, "b": 2}}, {}, "no_x: has a meaning of its own"),
        ({"height": 128}, {}, "of half-slices they are 240, 120"),
        ({"channels": ["t1", "t2"]}, {}, r"\[t1, t2\]: of half-slices they are"),
    ],
)
def test_what_cannot_be_is_refused(task, brats, words):
    with pytest.raises(UserError, match=words):
        params_with(task, **brats)


def test_the_definition_is_read_back(tmp_path):
    task = HalfSlices.model_validate(TASK, strict=False)
    again = HalfSlices.model_validate_json(task.model_dump_json())
    assert again == task
    assert again.pathologies == NAMES

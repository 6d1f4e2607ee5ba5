"""Phantoms as a reader of their files sees them: format, contrasts, tumour, half-slices, bytes.

Two patients are made once; what they look like beside a real scan is measured on their voxels.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from segtrans.atomic import temporary_path
from segtrans.config.versions import PHANTOM_VERSION
from segtrans.errors import UserError
from segtrans.sources.phantom import anatomy, patients
from segtrans.sources.phantom.grades import grade_of
from segtrans.sources.phantom.patients import write_checksums, write_phantoms

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "tcga-du-7294"
SEQUENCES = ("t1", "t1ce", "t2", "flair")
AFFINE = [[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]]
SEED, LOW, HIGH = 0, 1, 2  # patients: the first of low grade and one of high grade

# Voxels of brain and of labels 1, 2 and 4, and the mean of each sequence in the brain. The last
# digits of floating-point arithmetic differ between machines: compared to a thousandth.
GOLDEN = {
    1: {
        LOW: (1472086, 42456, 11973, 0, 418.7, 415.81, 719.96, 968.87),
        HIGH: (1482235, 25478, 49480, 19098, 685.93, 258.14, 396.5, 324.14),
    }
}


@pytest.fixture(scope="module", params=[LOW, HIGH], ids=["LGG", "HGG"])
def case(request, phantoms):
    grade = grade_of(request.param)
    return request.param, load(phantoms / grade / f"phantom_{request.param:04d}")


def load(folder):
    return {
        name: np.asarray(nib.load(path).dataobj)
        for name in (*SEQUENCES, "seg")
        for path in folder.glob(f"*_{name}.nii.gz")
    }


def brain_of(volumes):
    return np.any([volumes[name] != 0 for name in SEQUENCES], axis=0)


def healthy_tissue(volumes):
    """Fluid, grey and white matter well inside the brain and far from the lesion.

    Fluid is what T2 shows brightest; of the rest, T1 tells the brightest third from the middle.
    """
    inside = ndimage.binary_erosion(brain_of(volumes), iterations=4)
    inside &= ~ndimage.binary_dilation(volumes["seg"] > 0, iterations=8)
    inside[:, :, :50] = False  # cerebellum
    fluid = inside & (volumes["t2"] > np.percentile(volumes["t2"][inside], 97))
    rest = inside & (volumes["t2"] < np.percentile(volumes["t2"][inside], 85))
    low, middle, high = np.percentile(volumes["t1"][rest], [15, 45, 70])
    grey = rest & (volumes["t1"] > low) & (volumes["t1"] < middle)
    return fluid, grey, rest & (volumes["t1"] > high)


def test_files_are_named_and_stored_as_in_brats_2017(phantoms):
    names = sorted(
        str(path.relative_to(phantoms)) for path in phantoms.rglob("*") if path.is_file()
    )
    assert names == sorted(
        f"{grade}/{case_id}/{case_id}_{name}.nii.gz"
        for grade, case_id in (("LGG", "phantom_0001"), ("HGG", "phantom_0002"))
        for name in (*SEQUENCES, "seg")
    )
    for path in phantoms.rglob("*.nii.gz"):
        image = nib.load(path)
        assert image.shape == (240, 240, 155)
        np.testing.assert_array_equal(image.affine, AFFINE)
        assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
        is_mask = path.name.endswith("_seg.nii.gz")
        assert image.get_data_dtype() == (np.uint8 if is_mask else np.int16)
        assert image.header.get_xyzt_units()[0] == "mm"


def test_labels_and_grades(case):
    patient, volumes = case
    counts = dict(zip(*np.unique(volumes["seg"], return_counts=True), strict=True))
    assert set(counts) <= {0, 1, 2, 4}
    lesion_ml = (volumes["seg"] > 0).sum() / 1000
    assert 15 < lesion_ml < 150
    if patient == HIGH:
        assert counts[4] > 3000
        assert counts[2] > counts[4]
    else:
        assert counts[1] > 20 * counts.get(4, 0)
        assert counts[1] > counts[2]


def test_one_in_four_is_of_low_grade_and_two_patients_hold_both():
    grades = [grade_of(patient) for patient in range(40)]
    assert grades.count("LGG") == 10
    assert set(grades[:2]) == {"HGG", "LGG"}


def test_the_lesion_is_one_piece_in_one_hemisphere_within_the_brain(case):
    _, volumes = case
    is_lesion = volumes["seg"] > 0
    assert is_lesion[:120].any() != is_lesion[120:].any()
    assert ndimage.label(is_lesion)[1] == 1
    assert not (is_lesion & ~ndimage.binary_closing(brain_of(volumes), iterations=2)).any()


def test_the_background_is_zero_and_the_brain_one_piece_of_the_size_of_a_brain(case):
    _, volumes = case
    brain = brain_of(volumes)
    pieces, _ = ndimage.label(brain, np.ones((3, 3, 3)))
    assert np.bincount(pieces.ravel())[1:].max() == brain.sum()
    assert 1.2e6 < brain.sum() < 1.8e6
    for face in (brain[:20], brain[-20:], brain[:, :10], brain[:, -10:]):
        assert not face.any()
    for name in SEQUENCES:
        assert (volumes[name][brain] != 0).mean() > 0.99


def test_zero_regions_differ_and_some_voxels_are_negative(case):
    _, volumes = case
    zeros = {(volumes[name] != 0).tobytes() for name in SEQUENCES}
    assert len(zeros) > 1
    assert any((volumes[name] < 0).any() for name in SEQUENCES)
    for name in SEQUENCES:
        assert (volumes[name] < 0).mean() < 0.001


def test_contrast_of_healthy_tissue(case):
    _, volumes = case
    tissue = healthy_tissue(volumes)
    fluid, grey, white = (
        {name: np.median(volumes[name][where]) for name in SEQUENCES} for where in tissue
    )
    for name in ("t1", "t1ce"):
        assert fluid[name] < 0.5 * grey[name]
        assert grey[name] < 0.9 * white[name]
    assert fluid["t2"] > 1.5 * grey["t2"]
    assert grey["t2"] > 1.1 * white["t2"]
    assert fluid["flair"] < 0.6 * white["flair"]
    # Little, and coil shading may turn it round: 0.87 in the real case.
    assert 0.8 < grey["flair"] / white["flair"] < 1.35


def test_contrast_of_the_lesion(case):
    patient, volumes = case
    *_, white = healthy_tissue(volumes)
    relative = {
        label: {
            name: np.median(volumes[name][volumes["seg"] == label])
            / np.median(volumes[name][white])
            for name in SEQUENCES
        }
        for label in (1, 2, 4)
        if (volumes["seg"] == label).any()
    }
    assert relative[2]["flair"] > 1.2
    assert relative[2]["t2"] > 1.3
    assert relative[2]["t1"] < 0.95
    assert relative[1]["t1"] < 0.8
    assert relative[1]["t2"] > 1.5
    if patient == HIGH:
        assert relative[4]["t1ce"] > 1.2
        assert relative[4]["t1ce"] > 1.5 * relative[4]["t1"]
        assert relative[1]["t1ce"] < 0.6
    else:
        assert relative[1]["t1ce"] < 0.8


def test_enough_half_slices_pass_the_rules_of_the_paper(case):
    _, volumes = case
    brain, n_P, n_A = brain_of(volumes), 0, 0
    for half in (slice(0, 120), slice(120, 240)):
        for z in range(155):
            n_brain = np.count_nonzero(brain[half, :, z])
            n_lesion = np.count_nonzero(volumes["seg"][half, :, z])
            if n_brain >= 0.25 * 28_800:
                n_P += n_lesion >= 0.01 * n_brain
                n_A += n_lesion == 0
    assert 20 <= n_P <= 60
    assert 40 <= n_A <= 100


@pytest.mark.skipif(not REAL.is_dir(), reason="the real case is not here")
@pytest.mark.parametrize("name", SEQUENCES)
def test_brightness_and_sharpness_are_those_of_a_real_scan(case, name):
    def figures(volumes):
        brain, image = brain_of(volumes), volumes[name].astype(float)
        image = (image - image[brain].mean()) / image[brain].std()
        inside = ndimage.binary_erosion(brain, iterations=3)
        inside &= ~ndimage.binary_dilation(volumes["seg"] > 0, iterations=4)
        inside[:, :, :60], inside[:, :, 100:] = False, False
        steps = [np.diff(image, axis=axis) for axis in (0, 1)]
        sharpness = [np.std(step[inside[: step.shape[0], : step.shape[1]]]) for step in steps]
        return np.percentile(image[brain], [5, 25, 50, 75, 95]), np.mean(sharpness)

    made, made_sharpness = figures(case[1])
    real, real_sharpness = figures(load(REAL))
    np.testing.assert_allclose(made, real, atol=0.6)
    assert 0.6 < made_sharpness / real_sharpness < 1.6


def test_golden_counts_and_means(case):
    patient, volumes = case
    brain = brain_of(volumes)
    counts = [brain.sum(), *((volumes["seg"] == label).sum() for label in (1, 2, 4))]
    means = [volumes[name][brain].mean() for name in SEQUENCES]
    assert counts + means == pytest.approx(GOLDEN[PHANTOM_VERSION][patient], rel=1e-3, abs=5)


def test_listed_checksums_are_those_that_sha256sum_checks(phantoms, tmp_path):
    write_checksums(phantoms, tmp_path / "patients.sha256")
    command = ["sha256sum", "--check", "--strict", str(tmp_path / "patients.sha256")]
    answer = subprocess.run(command, cwd=phantoms, capture_output=True, text=True, check=True)
    assert answer.stdout.count(": OK") == len(list(phantoms.rglob("*.nii.gz")))


@pytest.mark.slow
def test_a_patient_depends_on_seed_and_number_alone(phantoms, tmp_path):
    for name, seed in (("same", SEED), ("other", SEED + 1)):
        write_phantoms(tmp_path / name, first=LOW, last=LOW + 1, n_patients=100, data_seed=seed)
    for path in (phantoms / "LGG").rglob("*.nii.gz"):
        place = path.relative_to(phantoms)
        assert (tmp_path / "same" / place).read_bytes() == path.read_bytes()
        assert (tmp_path / "other" / place).read_bytes() != path.read_bytes()


@pytest.fixture
def quick(monkeypatch):
    """Patients of a few voxels, for what does not depend on their looks."""
    volumes = {name: np.full((2, 3, 4), 7, np.int16) for name in (*SEQUENCES, "seg")}
    monkeypatch.setattr(patients, "make_patient", lambda *_: volumes)
    monkeypatch.setattr(patients, "load_template", lambda: None)


def test_a_folder_of_a_killed_job_is_written_again(quick, tmp_path):
    case_folder = tmp_path / "HGG" / "phantom_0000"
    case_folder.mkdir(parents=True)
    (case_folder / "phantom_0000_t1.nii.gz").write_bytes(b"half")
    ended = subprocess.Popen(["true"])
    ended.wait()
    killed = temporary_path(case_folder, ended.pid)
    killed.mkdir()
    (killed / "phantom_0000_t1.nii.gz").write_bytes(b"half")
    write_phantoms(tmp_path, first=0, last=1, n_patients=1, data_seed=0)
    assert [path.name for path in (tmp_path / "HGG").iterdir()] == ["phantom_0000"]
    assert {name: volume.min() for name, volume in load(case_folder).items()} == dict.fromkeys(
        (*SEQUENCES, "seg"), 7
    )


def test_a_full_disk_leaves_no_part_of_a_patient(quick, tmp_path, monkeypatch):
    real_write, written = Path.write_bytes, []

    def full(path, content):
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError) as caught:
        write_phantoms(tmp_path, first=0, last=1, n_patients=1, data_seed=0)
    expected = f"{tmp_path / 'HGG' / 'phantom_0000'}: cannot be written (No space left on device)"
    assert str(caught.value).startswith(expected)
    assert not list((tmp_path / "HGG").iterdir())


@pytest.mark.parametrize(("first", "last"), [(-1, 1), (2, 2), (3, 2), (4, 6)])
def test_patients_that_do_not_exist(tmp_path, first, last):
    with pytest.raises(UserError, match=r"of 5: expected at least one, numbered 0 to 4$"):
        write_phantoms(tmp_path, first=first, last=last, n_patients=5, data_seed=0)


def test_a_negative_seed(tmp_path):
    with pytest.raises(UserError, match="data_seed -1: expected 0 or more"):
        write_phantoms(tmp_path, first=0, last=1, n_patients=1, data_seed=-1)


def test_nilearn_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn", None)
    with pytest.raises(UserError, match=r"nilearn.*install nilearn"):
        anatomy.load_template.__wrapped__()


def test_a_nilearn_without_the_template(monkeypatch, tmp_path):
    monkeypatch.setattr(anatomy, "files", lambda _: tmp_path)
    with pytest.raises(UserError, match=r"mni_icbm152_wm_tal.*install nilearn"):
        anatomy.load_template.__wrapped__()


def test_the_template_is_the_one_that_nilearn_loads():
    from nilearn import datasets  # brings scikit-learn: seconds

    template = anatomy.load_template()
    for found, load_expected in (
        (template.white, datasets.load_mni152_wm_template),
        (template.grey, datasets.load_mni152_gm_template),
    ):
        expected = load_expected(resolution=1).get_fdata(dtype=np.float32)[::-1, ::-1]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
    brain = datasets.load_mni152_brain_mask(resolution=1).get_fdata()[::-1, ::-1] > 0
    step = slice(None, None, anatomy.COARSE)
    np.testing.assert_array_equal(template.is_inside, brain[step, step, step])

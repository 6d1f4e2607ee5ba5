"""A folder as a whole: every fault at once, what is known of its slices, what tells P from A."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segtrans.sources.scan_folder.check import check_folder, find_shortcuts, notes
from segtrans.sources.scan_folder.definition import complete_definition
from tests.sources.scan_folder.folders import SHAPE, save, scan, task, write_scans

REAL = Path(__file__).parents[4] / "shared" / "data" / "tcga-du-7294"


@pytest.fixture
def folder(tmp_path):
    folder = write_scans(tmp_path / "balls")
    (folder / "dataset.yaml").write_text("{height: 44, width: 40}\n")
    return folder


def test_a_good_folder_is_counted_and_shown(folder, segtrans, tmp_path):
    sheet = tmp_path / "sheet.png"
    code, out, errors = segtrans("check", folder, "--sheet", sheet)
    assert (code, errors) == (0, [])
    assert "channels scan; classes target" in out
    assert "to be split: 8 present scans, 4 of them with a mask; 4 absent" in out
    assert "40 columns of 2 mm; 44 rows of 2 mm; 10 slices of 5 mm" in out
    assert (
        "axial slices, resampled to 2 x 2 x 5 mm, of 44 rows and 40 columns (height and width in "
        "dataset.yaml): 16 with the target (P) and a mask, 40 with the target (P) and no mask, "
        "64 without the target (A)\n" in out
    )
    # Four of ten slices of a masked scan show the ball.
    assert "WARNING: of the slices of scans with a mask 40% show the target: about as many" in out
    assert "of the 40 unlabelled P are truly P" in out
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_a_list_of_slices_leaves_nothing_to_warn_of(folder, segtrans):
    rows = "".join(f"p0{n},4-7\n" for n in range(4, 8))
    (folder / "slices.csv").write_text(f"case,slices\n{rows}")
    _, out, _ = segtrans("check", folder)
    assert "4 of them with a mask, 4 with a list of slices; 4 absent" in out
    assert (
        "16 with the target (P) and a mask, 16 with the target (P) and no mask, 64 without the "
        "target (A), 24 neither: nobody knows" in out
    )
    assert "truly P" not in out


def cut(path):
    path.write_bytes(path.read_bytes()[:-300])


def elsewhere(path):
    image = nib.load(path)
    affine = image.affine.copy()
    affine[0, 3] += 10
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)


def of_values(value):
    def write(path):
        mask = np.zeros(SHAPE, np.uint8)
        mask[18:22, 18:22, 4] = value
        save(path, mask)

    return write


SPOILT = {
    "present/p04.nii.gz": cut,
    "present/p05.nii.gz": lambda p: save(p, np.zeros(SHAPE, np.int16)),
    "present/p06.nii.gz": lambda p: save(p, np.indices((80, 44, 10))[0].astype(np.float32)),
    "absent/a01.nii.gz": lambda p: shutil.copy(p.parents[1] / "present" / "p07.nii.gz", p),
    "masks/p00.nii.gz": of_values(0),
    "masks/a00.nii.gz": of_values(1),
    "masks/p01.nii.gz": elsewhere,
    "masks/p02.nii.gz": of_values(9),
    "masks/none.nii.gz": of_values(0),
}


def test_every_fault_is_named_at_once_and_nothing_is_written(folder, segtrans):
    definition = "{height: 44, width: 40, classes: {core: 1, rim: 2}}\n"
    (folder / "dataset.yaml").write_text(definition)
    for name, spoil in SPOILT.items():
        spoil(folder / name)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    code, _, errors = segtrans("check", folder)
    assert code == 1
    text = "\n".join(errors)
    for words in [
        "present/p04.nii.gz: cannot be read as NIfTI",
        "p05: nothing but background",
        "p06: 44 rows and 79 columns are not background at this spacing",
        "present/p07.nii.gz: the same scan as one of absent/a01, which is absent",
        "masks/p00.nii.gz: is empty, and its scan is present",
        "masks/a00.nii.gz: shows target, and its scan is absent; move the scan to present",
        "masks/p01.nii.gz: lies up to 10 mm from where p01.nii.gz lies",
        "masks/p02.nii.gz: unknown value 9; expected 0 and 1 core, 2 rim",
        "masks/none.nii.gz: a mask without a scan",
        "classes: rim (2) is in no mask to train on",
    ]:
        assert words in text
    assert len(errors) == 10 + 1
    assert errors[-1].endswith(": 10 faults")
    assert str(folder) not in "\n".join(errors[:-1])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_brighter_scans_and_others_further_up_are_told(tmp_path):
    folder = write_scans(tmp_path / "balls", n_present=6, n_masks=6, n_absent=6)
    found = find_shortcuts(check_folder(folder, task()).facts, task())
    assert found[0].auc < 0.99
    # Absent scans of another scanner: finer in the plane.
    rng = np.random.default_rng(4)
    for path in (folder / "absent").iterdir():
        save(path, scan(rng, (80, 88, 10), shows_target=False)[0], spacing=(1.0, 1.0, 5.0))
    tells = {one.name: one for one in find_shortcuts(check_folder(folder, task()).facts, task())}
    spacing = tells["spacing within slices"]
    # Slices of scans with masks are of A too: half of these are of the coarse ones.
    assert spacing.present_is == "higher"
    assert spacing.auc == pytest.approx(0.5 + 0.5 * 60 / 96, abs=0.08)


def test_a_mask_of_the_background_among_others_is_named(folder):
    file = next((folder / "masks").glob("p01*"))
    image = nib.load(file)
    values = 1 - (np.asarray(image.dataobj) > 0)
    nib.save(nib.Nifti1Image(values.astype(np.uint8), image.affine), file)
    checked = check_folder(folder, complete_definition(folder, {}))
    (warning,) = [note for note in notes(checked) if "swap" in note]
    assert warning.startswith("WARNING: masks of p01 mark more than 50% of their scan, half of")


def test_notes_of_a_scan_are_said_once(tmp_path):
    folder = write_scans(tmp_path / "balls", channels=("t1", "t2"), n_present=4, n_absent=3)
    first = folder / "present" / "p00"
    shutil.copy(first / "p00_t1.nii.gz", first / "p00_t2.nii.gz")
    definition = complete_definition(folder, {"height": 44, "width": 40})
    checked = check_folder(folder, definition)
    assert checked.faults == []
    said = list(notes(checked))
    assert any("present/p00: t1 and t2 hold the same intensities" in line for line in said)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real case is not there")
def test_a_real_case_is_read_and_its_slices_counted(tmp_path, segtrans):
    folder = tmp_path / "brains"
    shutil.copytree(REAL, folder / "present" / "TCGA-DU-7294")
    (folder / "dataset.yaml").write_text(
        "{channels: [t1, t1ce, t2, flair], height: 240, width: 240, spacing_mm: [1, 1, 1]}\n"
    )
    code, out, errors = segtrans("check", folder)
    assert code == 1
    for error, what in zip(errors, ("present images with a mask", "absent images"), strict=False):
        assert f"no {what} are left for fold valid and test: 1 in all" in error
    assert len(errors) == 2 + 1
    assert "1 present scans, 1 of them with a mask; 0 absent" in out
    assert "240 columns of 1 mm; 240 rows of 1 mm; 155 slices of 1 mm" in out
    mask = nib.load(next(REAL.glob("*_seg.nii.gz"))).get_fdata() > 0
    brain = np.any([nib.load(path).get_fdata() != 0 for path in REAL.glob("*_[tf]*")], axis=0)
    inside, of_slice = (of.sum(axis=(0, 1)) for of in (mask & brain, brain))
    is_large = of_slice >= 0.05 * 240 * 240
    n_present = int((is_large & (inside > 0) & (inside >= 0.001 * of_slice)).sum())
    n_absent = int((is_large & ~mask.any(axis=(0, 1))).sum())
    assert n_present > 20
    assert f"{n_present} with the target (P) and a mask, 0 with the target (P) and no mask" in out
    assert f", {n_absent} without the target (A)" in out

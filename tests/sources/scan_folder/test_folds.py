"""What folds lack, known before anything is made: the check says what the making would refuse."""

import numpy as np
import pytest

from segtrans.errors import UserErrors
from segtrans.sources.scan_folder.check import check_folder
from segtrans.sources.scan_folder.prepare import write_scan_folder
from tests.sources.scan_folder.folders import save, scan, task, write_scans

MASKS, ABSENT = "no present images with a mask", "no absent images"


def nothing(folder):
    pass


def few_masks(folder):
    for path in sorted((folder / "masks").iterdir())[2:]:
        path.unlink()


def no_absent_to_test(folder):
    for place in ("present/p00.nii.gz", "masks/p00.nii.gz"):
        (folder / "test" / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).rename(folder / "test" / place)


def absent_at_the_foot(folder):
    rng = np.random.default_rng(5)
    for path in (folder / "absent").iterdir():
        volume, _ = scan(rng, shows_target=False)
        volume[:, :, 3:] = 0  # the ball is above
        save(path, volume)


def few_of_both(folder):
    few_masks(folder)
    for path in sorted((folder / "absent").iterdir())[1:]:
        path.unlink()


NEVER = {"absent_from_present": "never"}
# What is done to a folder, values of its task, and words of each fault.
LACKING = {
    "few masks": (few_masks, {}, [f"{MASKS} are left for fold valid: 2 in all"]),
    "few of both": (
        few_of_both,
        NEVER,
        [
            f"{MASKS} are left for fold valid",
            f"{ABSENT} are left for fold valid and test: 1 in all",
        ],
    ),
    "test": (
        no_absent_to_test,
        NEVER,
        ["fold test: is given, by a folder or the t"],
    ),
    "small": (
        nothing,
        {"min_target_fraction": 0.9},
        [
            f"fold {fold}: of its {n} scans no slice of P with a mask is left"
            for fold, n in (("train", 8), ("valid", 2), ("test", 2))
        ],
    ),
    "elsewhere": (
        absent_at_the_foot,
        {"absent_positions": "as_present"} | NEVER,
        [f"fold {fold}: no slice of A lies along the axis" for fold in ("valid", "test")],
    ),
}


@pytest.mark.parametrize("name", LACKING)
def test_the_check_says_all_that_would_be_refused(tmp_path, name):
    change, values, words = LACKING[name]
    folder = write_scans(tmp_path / "balls")
    change(folder)
    definition = task(**values)
    found = check_folder(folder, definition).faults
    with pytest.raises(UserErrors) as refused:
        write_scan_folder(
            tmp_path / "a.h5", folder, definition, "balls", data_seed=0, n_processes=1
        )
    assert found == [line.replace(f"{folder}/", "") for line in refused.value.lines]
    assert not (tmp_path / "a.h5").exists()
    for fault, part in zip(found, words, strict=True):
        assert part in fault

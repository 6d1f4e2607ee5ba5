"""A fault that many files of a folder share is said once, whatever the folder holds."""

import numpy as np
import pytest

from segtrans.errors import said_once
from tests.sources.image_folder.folders import write_folder
from tests.sources.image_folder.pictures import save, square
from tests.sources.scan_folder.folders import save as save_scan
from tests.sources.scan_folder.folders import write_scans


@pytest.fixture
def errors_of(segtrans):
    """A function that calls the command line, which fails, and gives its errors."""

    def call(*arguments):
        code, _, errors = segtrans(*arguments)
        assert code == 1
        return [line.removeprefix("segtrans: error: ") for line in errors]

    return call


def test_masks_of_a_wrong_size_are_one_line(tmp_path, errors_of):
    folder = write_folder(tmp_path / "photos", n_present=30, n_masks=30)
    for number in range(20):
        save(folder / f"masks/p{number:02}.png", square(255, (24 + number, 32)))
    save(folder / "masks/p20.png", square(3, (60, 80)))
    errors = errors_of("check", folder)
    assert errors == [
        "masks/p00.png: is 24 x 32, and its image is 60 x 80; expected one size (and 19 more like "
        "it: masks/p01.png, masks/p02.png, masks/p03.png, masks/p04.png, ...)",
        errors[1],
        f"{folder}: 21 faults",
    ]
    assert errors[1].startswith("masks/p20.png: unknown value 3; expected 0 and 1")


def test_masks_without_a_scan_are_one_line(tmp_path, errors_of):
    folder = write_scans(tmp_path / "balls")
    for name in "abcdefghijk":
        save_scan(folder / f"masks/extra_{name}.nii.gz", np.zeros((4, 4, 4), np.uint8))
    first, *others, last = errors_of("check", folder)
    assert first.startswith("masks/extra_a.nii.gz: a mask without a scan")
    named = ", ".join(f"masks/extra_{name}.nii.gz" for name in "bcde")
    assert first.endswith(f" (and 10 more like it: {named}, ...)")
    assert last == f"{folder}: {11 + len(others)} faults"
    assert not any("extra" in line for line in others)


def test_ten_lines_of_a_kind_are_said_one_by_one():
    lines = [f"masks/{n}.png: is 3 x {n}, expected one size" for n in range(10)]
    assert said_once(lines) == lines


def test_rows_of_a_table_and_faults_of_other_words_are_told_apart():
    rows = [f"dataset.csv: row {n}: image = p{n}.png: no such file" for n in range(2, 102)]
    others = ["classes: crack (3) is in no mask", "photos: has no mask to train on"]
    said = said_once([*rows[:50], others[0], *rows[50:], others[1]])
    assert said == [
        f"{rows[0]} (and 99 more like it: dataset.csv: row 3, dataset.csv: row 4, dataset.csv: "
        "row 5, dataset.csv: row 6, ...)",
        *others,
    ]


def test_what_one_file_has_many_of_is_said_in_full():
    lines = [f"classes: kind_{n} ({n}) is in no mask to train on" for n in range(1, 21)]
    assert said_once(lines) == lines

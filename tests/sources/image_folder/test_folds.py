"""What folds lack, known before anything is made: the check says what the making would refuse."""

import sys

import numpy as np
import pytest

from segtrans import cli
from segtrans.errors import UserErrors
from segtrans.sources.image_folder.check import check_folder
from segtrans.sources.image_folder.definition import complete_definition
from segtrans.sources.image_folder.prepare import write_image_folder
from tests.sources.image_folder.folders import write_folder

MASKS, ABSENT = "no present images with a mask", "no absent images"


def give(folder, *places):
    """Copy the first pictures and masks below test/."""
    for place in places:
        (folder / "test" / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).rename(folder / "test" / place)


def few_masks(folder):
    for path in sorted((folder / "masks").iterdir())[2:]:
        path.unlink()


def few_absent(folder):
    for path in sorted((folder / "absent").iterdir())[2:]:
        path.unlink()


def both(folder):
    few_masks(folder)
    few_absent(folder)


def no_absent_to_test(folder):
    give(folder, "present/p00.png", "masks/p00.png")


def table_without_valid(folder):
    """All folds given by a table, and of valid no absent picture."""
    rows = []
    for path in sorted(folder.rglob("*.png")):
        domain, name = path.parent.name, path.stem
        if domain == "masks":
            continue
        has_mask = (folder / "masks" / path.name).exists() and domain == "present"
        fold = {"0": "valid", "1": "test"}.get(name[-1], "train") if has_mask else "train"
        fold = "test" if name == "a00" else fold
        mask = f"masks/{path.name}" if has_mask else ""
        rows.append(f"{domain}/{path.name},{domain},{mask},{fold}\n")
    (folder / "dataset.csv").write_text("image,domain,mask,fold\n" + "".join(rows))


def masks_in_test_alone(folder):
    for number in range(6):
        give(folder, f"present/p{number:02}.png", f"masks/p{number:02}.png")
    give(folder, "absent/a00.png")


def floats(folder):
    rng = np.random.default_rng(0)
    for path in [*(folder / "present").iterdir(), *(folder / "absent").iterdir()]:
        values = rng.random((60, 80), np.float32)
        np.save(path.with_suffix(".npy"), values * (300 if path.stem == "p03" else 1))
        path.unlink()


# What is done to a folder, values of its task, and words of each fault.
LACKING = {
    "few masks": (few_masks, {}, [f"{MASKS} are left for fold valid: 2 in all"]),
    "few absent": (few_absent, {}, [f"{ABSENT} are left for fold valid: 2 in all"]),
    "both": (both, {}, [f"{MASKS} are left for fold valid", f"{ABSENT} are left for fold valid"]),
    "test": (no_absent_to_test, {}, ["fold test: is given, by a folder or the table, with"]),
    "table": (table_without_valid, {}, ["fold valid: is given, by a folder or the table, w"]),
    "masks to test": (masks_in_test_alone, {}, ["has no mask to train on; put some in masks/"]),
    "small": (
        lambda folder: None,
        {"min_target_fraction": 0.9},
        [
            f"fold {fold}: of {n} present pictures none is left whose mask shows enough"
            for fold, n in (("train", 10), ("valid", 1), ("test", 1))
        ],
    ),
    "small parts": (
        lambda folder: None,
        {"min_target_fraction": 0.99, "size": "crop"},
        ["fold train: of 10", "fold valid: of 1", "fold test: of 1"],
    ),
    "floats": (floats, {}, ["present/p03.npy: values are "]),
}  # fmt: skip


@pytest.mark.parametrize("name", LACKING)
def test_the_check_says_all_that_would_be_refused(tmp_path, name):
    change, values, words = LACKING[name]
    folder = write_folder(tmp_path / "discs")
    change(folder)
    task = complete_definition(
        folder, {"height": 48, "width": 48, "architecture": "mnist48"} | values
    )
    found = check_folder(folder, task).faults
    with pytest.raises(UserErrors) as refused:
        write_image_folder(tmp_path / "a.h5", folder, task, "discs", data_seed=0, n_processes=1)
    assert found == [line.replace(f"{folder}/", "") for line in refused.value.lines]
    assert not (tmp_path / "a.h5").exists()
    for fault, part in zip(found, words, strict=True):
        assert part in fault


def test_the_command_says_it_beside_all_else(tmp_path, monkeypatch, capsys):
    folder = write_folder(tmp_path / "discs")
    few_masks(folder)
    few_absent(folder)
    picture = folder / "present" / "p07.png"
    picture.write_bytes(picture.read_bytes()[:200])
    monkeypatch.setattr(sys, "argv", ["segtrans", "check", str(folder)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert ended.value.code == 1
    assert len(errors) == 3 + 1
    for words in (MASKS, ABSENT, "present/p07.png: "):
        assert any(words in line for line in errors)

"""Scans with two pathologies: a value of the mask for each, a column of the table for each."""

import csv

import numpy as np
import pytest

from segtrans.data.pathologies import check_pathologies, read_knowledge
from segtrans.data.store import FOLDS, Store
from segtrans.errors import UserError, UserErrors
from segtrans.report.scan_folder import write_report
from segtrans.sources.scan_folder.inspection import inspect
from segtrans.sources.scan_folder.items import survey
from segtrans.sources.scan_folder.prepare import write_scan_folder
from segtrans.tasks.base import VOID
from tests.sources.scan_folder.folders import SHAPE, save, task

NAMES = ("ball", "rod")
CLASSES = {"multi_label": True, "classes": {"ball": 1, "rod": 2}, "min_target_fraction": 0.01}


def two(rng, *, ball, rod):
    """Noise on 0; a bright ball in the middle slices, a dark rod in the upper half and slice 0."""
    x, y, z = np.indices(SHAPE)
    inside = ((x - 20) / 15) ** 2 + ((y - 22) / 16) ** 2 < 1
    volume = np.where(inside, rng.normal(100, 10, SHAPE), 0).astype(np.float32)
    mask = np.zeros(SHAPE, np.uint8)
    if ball:
        mask[(x - 14) ** 2 + (y - 20) ** 2 + (3 * (z - 4)) ** 2 < 40] = 1
    if rod:
        mask[24:28, 20:25, 5:] = 2
        mask[24, 20, 0] = 2  # one pixel: too little
    return volume + 80 * (mask == 1) - 40 * (mask == 2), mask


@pytest.fixture
def folder(tmp_path):
    """Six masked scans, each with one or both; four of which a table says something; two absent."""
    rng, place, rows = np.random.default_rng(0), tmp_path / "two", []
    said = {"p6": (1, 0), "p7": (0, ""), "p8": (1, 1), "p9": ("", "")}
    for number in range(10):
        name = f"p{number}"
        volume, mask = two(rng, ball=number % 3 != 1, rod=number % 3 != 0)
        save(place / f"{name}.nii.gz", volume)
        row = {"case": name, "domain": "present", "scan": f"{name}.nii.gz", "mask": ""}
        if number < 6:
            save(place / f"{name}_m.nii.gz", mask)
            row["mask"] = f"{name}_m.nii.gz"
        rows.append(row | dict(zip(NAMES, said.get(name, ("", "")), strict=True)))
    for name in ("a0", "a1", "a2"):
        volume, _ = two(rng, ball=False, rod=False)
        save(place / f"{name}.nii.gz", volume)
        rows.append({"case": name, "domain": "absent", "scan": f"{name}.nii.gz"})
    return write_table(place, rows)


def write_table(place, rows):
    with (place / "dataset.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["case", "domain", "scan", "mask", *NAMES])
        writer.writeheader()
        writer.writerows(rows)
    return place


def read_table(place):
    with (place / "dataset.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def prepare(folder, tmp_path, **values):
    output = tmp_path / "two.h5"
    cases, _ = write_scan_folder(
        output, folder, task(**(CLASSES | values)), "two", data_seed=0, n_processes=1
    )
    return Store(output), cases


def counted(number, z):
    """What slice z of a masked scan shows, and its mask as bits, by the scan as it was drawn."""
    volume, mask = two(np.random.default_rng(0), ball=number % 3 != 1, rod=number % 3 != 0)
    n_content = np.count_nonzero(volume[..., z])
    sizes = [np.count_nonzero(mask[..., z] == value) for value in (1, 2)]
    known = tuple(0 if n == 0 else 1 if n >= 0.01 * n_content else 255 for n in sizes)
    return known, np.array([0, 1, 2], np.uint8)[mask[..., z]].T


@pytest.mark.parametrize("neighbours", [0, 1])
def test_each_slice_says_of_each_pathology_what_mask_and_table_do(folder, tmp_path, neighbours):
    store, cases = prepare(folder, tmp_path, neighbours=neighbours)
    check_pathologies(store, NAMES)
    assert store.header.labels == {0: "background", 1: "ball", 2: "rod", 3: "ball and rod"}
    # Of one that shows the ball alone, each slice of P shows it; of the others nobody knows.
    by_table = {"p6": (1, 0), "p7": (0, 1), "p8": (255, 255), "p9": (255, 255)}
    seen = set()
    for fold in FOLDS:
        noted, masks = store.provenance(fold, "present"), store.masks(fold)
        known = read_knowledge(store, fold)
        for i, (name, z) in enumerate(zip(noted["case_id"], noted["slice_index"], strict=True)):
            t, has_mask = tuple(known.t[i].tolist()), known.has_mask[i].tolist()
            if name in by_table:
                assert (t, has_mask, noted["has_mask"][i]) == (by_table[name], [0, 0], 0)
                assert (masks[i] == 255).all()
                continue
            expected, mask = counted(int(name[1:]), int(z))
            assert (t, has_mask, noted["has_mask"][i]) == (expected, [1, 1], 1)
            assert 1 in expected
            np.testing.assert_array_equal(masks[i], mask)
            seen.add((int(name[1:]), int(z)))
        absent = store.provenance(fold, "absent")
        for name, z in zip(absent["case_id"], absent["slice_index"], strict=True):
            assert name[0] == "a" or counted(int(name[1:]), int(z))[0] == (0, 0)
    wanted = {(n, z) for n in range(6) for z in range(SHAPE[2]) if 1 in counted(n, z)[0]}
    assert seen == wanted
    write_report([case.row() for case in cases], ["x"], store.path, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    for fold in FOLDS:
        t = read_knowledge(store, fold).t
        for k, name in enumerate(NAMES):
            counts = [str(int((t[:, k] == of).sum())) for of in (1, 0, 255)]
            (row,) = (line for line in text.splitlines() if line.split()[1:4] == [fold, "|", name])
            assert [cell.strip() for cell in row.strip("|").split("|")][2:5] == counts


def test_the_check_counts_each_pathology(folder):
    given = {"kind": "scan_folder", "height": 44, "width": 40, "spacing_mm": [2.0, 2.0, 5.0]}
    found = inspect(folder, given | CLASSES, 0)
    assert not found.faults
    t, has_mask = [], []
    for number in range(6):
        for z in range(SHAPE[2]):
            if 1 in (known := counted(number, z)[0]):
                t.append(known)
                has_mask.append((1, 1))
    for said in ((1, 0), (0, 1), (VOID, VOID), (VOID, VOID)):
        t += [said] * SHAPE[2]
        has_mask += [(0, 0)] * SHAPE[2]
    t, has_mask = np.array(t), np.array(has_mask)
    for k, name in enumerate(NAMES):
        shown, lacking, unknown = (int((t[:, k] == of).sum()) for of in (1, 0, VOID))
        assert (
            f"{name}: {shown} present slices show it, {lacking} do not, of {unknown} it is not "
            f"known; {has_mask[:, k].sum()} with a mask of it"
        ) in found.lines


@pytest.mark.parametrize(
    ("case", "said", "words"),
    [
        ("p0", {"ball": "0", "rod": ""}, "has ball, and its scan is said not to show it"),
        ("p0", {"ball": "1", "rod": "1"}, "has no rod, and its scan is said to show it"),
        ("p6", {"ball": "yes"}, "ball = yes: expected 1, 0, or nothing"),
        ("p6", {"ball": "0", "rod": "0"}, "shows none of ball, rod, and its domain is present"),
        ("a0", {"ball": "1"}, "ball = 1, and its domain is absent, which shows none"),
    ],
)
def test_what_contradicts_itself_is_one_line(folder, tmp_path, case, said, words):
    rows = [row | said if row["case"] == case else row for row in read_table(folder)]
    write_table(folder, rows)
    with pytest.raises(UserErrors) as caught:
        prepare(folder, tmp_path)
    (line,) = caught.value.lines
    assert words in line
    assert case in line or "row" in line


def test_without_a_table_masks_say_what_is_shown(tmp_path):
    rng, place = np.random.default_rng(0), tmp_path / "scans"
    for number in range(4):
        volume, mask = two(rng, ball=number != 1, rod=number != 2)
        save(place / "present" / f"p{number}.nii.gz", volume)
        if number < 3:
            save(place / "masks" / f"p{number}.nii.gz", mask)
        save(place / "absent" / f"a{number}.nii.gz", two(rng, ball=False, rod=False)[0])
    found = survey(place, task(**CLASSES))
    assert not found.faults
    shows = {item.name: item.shows for item in found.items}
    assert shows == {f"p{i}": (255, 255) for i in range(4)} | {f"a{i}": (0, 0) for i in range(4)}
    store, _ = prepare(place, tmp_path)
    assert {tuple(row) for row in read_knowledge(store, "train").t.tolist()} >= {(255, 255)}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"classes": {"ball": 1}}, "1 pathologies; expected 2 to 7"),
        ({"classes": {"scan": 1, "rod": 2}}, "scan: a column of dataset.csv too"),
        ({"classes": {"slices": 1, "rod": 2}}, "slices: a column of dataset.csv too"),
    ],
)
def test_names_that_cannot_be_columns_are_refused(values, words):
    with pytest.raises((UserError, ValueError), match=words):
        task(**(CLASSES | values))

"""Scans with a mask of each pathology: they overlap, and a scan may know some alone."""

import csv

import numpy as np
import pytest

from segtrans.data.pathologies import check_pathologies, read_knowledge
from segtrans.data.store import FOLDS, Store
from segtrans.report.scan_folder import write_report
from segtrans.sources.own_folder.counts import counts_of_pathologies
from segtrans.sources.scan_folder.check import check_folder, known_of_pathologies
from segtrans.sources.scan_folder.items import survey
from segtrans.sources.scan_folder.prepare import write_scan_folder
from segtrans.tasks.base import VOID
from tests.sources.scan_folder.folders import save, task

NAMES = ("ball", "rod")
SHAPE = (40, 44, 9)
TWO = {"multi_label": True, "classes": {"ball": 1, "rod": 2}, "min_target_fraction": 0.01}
# By folders, and by which masks there are, what is known of the scan: 1 shown, 0 not, VOID.
SCANS = {
    "p0": ("", "br"),
    "p1": ("", "br"),
    "p2": ("", "br"),
    "ball/no_rod/q0": ("ball/no_rod/", "b"),
    "no_ball/q1": ("no_ball/", "r"),
    "r0": ("", "b"),
    "ball/rod/r1": ("ball/rod/", "b"),
    "no_ball/r2": ("no_ball/", ""),
    "r3": ("", ""),
    "r4": ("", "b"),
}
SAID = {"ball/no_rod/": (1, 0), "no_ball/": (0, VOID), "ball/rod/": (1, 1), "": (VOID, VOID)}
EMPTY = {"r4"}  # its mask of the ball shows nothing


def drawn(name):
    """A scan, (X, Y, Z), and where ball and rod are, which overlap in the middle slices."""
    rng = np.random.default_rng(sum(map(ord, name)))
    x, y, z = np.indices(SHAPE)
    inside = ((x - 20) / 15) ** 2 + ((y - 22) / 16) ** 2 < 1
    ball = (x - 16) ** 2 + (y - 20) ** 2 + (3 * (z - 3)) ** 2 < 50
    rod = (abs(x - 20) < 3) & (abs(y - 20) < 3) & (z >= 3)
    rod[20, 20, 0] = True  # a pixel: too little
    last = name.rpartition("/")[2]
    ball &= last in ("p0", "p1", "p2", "q0", "r0", "r1", "r3")
    rod &= last in ("p0", "p1", "p2", "q1", "r1", "r2", "r3", "r4")
    volume = np.where(inside, rng.normal(100, 10, SHAPE), 0) + 80 * ball - 40 * rod
    return volume.astype(np.float32), (ball, rod)


def write_folder(place):
    for name, (_, has_masks) in SCANS.items():
        volume, masks = drawn(name)
        save(place / "present" / f"{name}.nii.gz", volume)
        for of, mask in zip(NAMES, masks, strict=True):
            if of[0] in has_masks:
                # In any axis order, as the scan's own may be another.
                file = place / "masks" / of / f"{name.rpartition('/')[2]}.nii.gz"
                save(file, mask.astype(np.uint8), codes="RAS")
    for name in ("a0", "a1", "a2"):
        save(place / "absent" / f"{name}.nii.gz", drawn(name)[0])
    save(place / "masks" / "rod" / "a0.nii.gz", np.zeros(SHAPE, np.uint8))
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder") / "two")


def prepare(folder, output, **values):
    given = task(**(TWO | values))
    cases, _ = write_scan_folder(output, folder, given, "two", data_seed=0, n_processes=1)
    return Store(output), cases


def cuts(mask, halves):
    """Slices (Z, Y, X) of a volume by side, right ones mirrored: LPS runs to the left."""
    slices = mask.transpose(2, 1, 0)
    return {"right": slices[..., 19::-1], "left": slices[..., 20:]} if halves else {"whole": slices}


def expected(name, side, z, *, halves, every):
    """Fate of a slice, what it shows of each, and its mask in bits; by the rules, in NumPy."""
    volume, masks = drawn(name)
    above, has_masks = SCANS[name]
    said, named = SAID[above], [of[0] in has_masks for of in NAMES]
    content = cuts(volume[..., every] != 0, halves)[side][z]
    t, bits = [], np.zeros(content.shape, np.uint8)
    for k in range(2):
        own = cuts(masks[k][..., every], halves)[side][z]
        if named[k]:
            n, least = np.count_nonzero(own & content), 0.01 * np.count_nonzero(content)
            t.append(0 if not own.any() else 1 if n >= least else VOID)
            bits |= own.astype(np.uint8) << k
        else:
            t.append(0 if said[k] == 0 else VOID)
    by_mask = [t[k] for k in range(2) if named[k]]
    is_whole = all(named[k] or said[k] == 0 for k in range(2))
    if 1 in by_mask:
        fate = "present"
    elif VOID in by_mask:
        fate = "neither"
    elif is_whole:
        fate = "absent"
    else:  # nothing is drawn here: the scan shows the other, or nobody knows
        fate = "neither" if name == "r0" else "present"
    if fate == "present" and sum(of != 0 for of in t) == 1:
        t = [int(of != 0) for of in t]
    return fate, tuple(t), bits if any(named) else np.full_like(bits, VOID)


@pytest.mark.parametrize(
    ("halves", "through", "neighbours"),
    [(False, 5.0, 0), (True, 5.0, 0), (False, 15.0, 0), (False, 5.0, 1)],
    ids=["whole", "half", "thick", "neighbours"],
)
def test_bits_and_what_is_known_are_those_of_the_masks(
    folder, tmp_path, halves, through, neighbours
):
    values = {"halves": halves, "width": 20 if halves else 40, "spacing_mm": (2.0, 2.0, through)}
    values["neighbours"] = neighbours
    store, cases = prepare(folder, tmp_path / "two.h5", **values)
    check_pathologies(store, NAMES)
    every = slice(None) if through == 5.0 else slice(1, None, 3)  # the nearest of three
    by_id = {name.rpartition("/")[2]: name for name in SCANS}
    fold_of = {case.item.scan.case_id: case.fold for case in cases}
    wanted = {
        (name, side, z): (fate, t, bits)
        for own, name in by_id.items()
        for side in (("right", "left") if halves else ("whole",))
        for z in range(len(range(SHAPE[2])[every]))
        for fate, t, bits in [expected(name, side, z, halves=halves, every=every)]
        if fate != "neither"
    }
    seen = {}
    for fold in FOLDS:
        known, masks = read_knowledge(store, fold), store.masks(fold)
        for domain in ("present", "absent"):
            noted = store.provenance(fold, domain)
            places = zip(noted["case_id"], noted["side"], noted["slice_index"], strict=True)
            for i, (own, side, z) in enumerate(places):
                if own[0] == "a":
                    continue
                key = (by_id[own], str(side), int(z))
                seen[key] = domain
                fate, t, bits = wanted[key]
                assert (domain, fold) == (fate, fold_of[own])
                if domain == "present":
                    has_mask = [of[0] in SCANS[by_id[own]][1] for of in NAMES]
                    assert (tuple(known.t[i].tolist()), key) == (t, key)
                    assert (known.has_mask[i] > 0).tolist() == has_mask
                    assert noted["has_mask"][i] == any(has_mask)
                    np.testing.assert_array_equal(masks[i], bits)
    assert seen == {key: fate for key, (fate, _, _) in wanted.items()}
    # What is drawn twice keeps both, and each state is there.
    assert any(3 in bits for _, _, bits in wanted.values())
    states = {t for fate, t, _ in wanted.values() if fate == "present"}
    assert states >= {(1, 1), (1, 0), (0, 1), (1, VOID), (VOID, VOID)}
    assert all(fold_of[of] == "train" for of in ("r0", "r1", "r2", "r3", "r4"))
    write_report([case.row() for case in cases], ["x"], store.path, tmp_path / "report")
    table = (tmp_path / "report" / "cases.csv").read_text().splitlines()
    rows = {row["case"]: row for row in csv.DictReader(table)}
    said = [rows["r1"][f"{what}_{of}"] for of in NAMES for what in ("shows", "has_mask")]
    assert said == ["1", "True", "1", "False"]
    assert [rows["r4"][f"shows_{of}"] for of in NAMES] == ["0", ""]
    left_out = [row | {"is_used": row["case"] != "r0"} for row in (case.row() for case in cases)]
    write_report(left_out, ["x"], store.path, tmp_path / "report")
    assert (
        "1 left out: present scans without a mask of each pathology that may be there, whose "
        "patients do not train: present/r0."
    ) in (tmp_path / "report" / "report.md").read_text()


def test_the_check_finds_no_fault_and_counts_each_pathology(folder):
    checked = check_folder(folder, task(**TWO))
    assert checked.faults == []
    wanted = [
        (t, [of[0] in SCANS[name][1] for of in NAMES])
        for name in SCANS
        for z in range(SHAPE[2])
        for fate, t, _ in [expected(name, "whole", z, halves=False, every=slice(None))]
        if fate == "present"
    ]
    lines = list(
        counts_of_pathologies(NAMES, known_of_pathologies(checked.facts, checked.task), "slices")
    )
    for k, (name, line) in enumerate(zip(NAMES, lines, strict=True)):
        shown, lacking, unknown = (sum(t[k] == of for t, _ in wanted) for of in (1, 0, VOID))
        n_masks = sum(has[k] for _, has in wanted)
        assert line == (
            f"{name}: {shown} slices show it, {lacking} do not, of {unknown} it is not known; "
            f"{n_masks} with a mask of it"
        )


def test_cases_of_any_form_lie_in_folders_that_say_what_they_show(tmp_path):
    volume, (ball, rod) = drawn("p0")
    for name in ("ball/p0_0000", "ball/p0_0001", "no_rod/ball/p1/p1_t1", "no_rod/ball/p1/p1_t2"):
        save(tmp_path / "present" / f"{name}.nii.gz", volume)
    for name in ("a0_0000", "a0_0001", "p0_0000", "p0_0001"):
        save(tmp_path / "absent" / f"{name}.nii.gz", volume)
    save(tmp_path / "masks/ball/p0.nii.gz", ball.astype(np.uint8))
    save(tmp_path / "masks/ROD/ball/p0_seg.nii.gz", rod.astype(np.uint8))
    save(tmp_path / "masks/rod/a0.nii.gz", 0 * rod.astype(np.uint8))
    save(tmp_path / "present/no_rod/ball/p1/p1_seg.nii.gz", ball.astype(np.uint8))
    found = survey(tmp_path, task(**TWO, channels=("t1", "t2")))
    assert found.faults == []
    items = {item.place: item for item in found.items}
    assert list(items) == ["absent/a0", "absent/p0", "present/ball/p0", "present/no_rod/ball/p1"]
    a0, other, p0, p1 = items.values()
    assert all(list(item.scan.channels) == ["t1", "t2"] for item in found.items)
    # Two are called p0, so each goes by its place.
    ids = [item.scan.case_id for item in found.items]
    assert ids == ["a0", "absent/p0", "present/ball/p0", "p1"]
    assert [path.parent.name for _, path in p0.layers] == ["ball", "ball"]
    assert (p0.shows, p0.is_masked) == ((1, VOID), (True, True))
    assert (other.layers, a0.is_masked) == ((), (False, True))
    assert (p1.shows, p1.mask.name, p1.is_masked) == ((1, 0), "p1_seg.nii.gz", (True, True))


def test_a_mask_that_may_be_of_two_scans_is_named(tmp_path):
    volume, (ball, _) = drawn("p0")
    for name in ("present/ball/p0", "present/rod/p0", "absent/a0"):
        save(tmp_path / f"{name}.nii.gz", volume)
    save(tmp_path / "masks/ball/p0.nii.gz", ball.astype(np.uint8))
    faults = survey(tmp_path, task(**TWO)).faults
    assert faults[0] == (
        "masks/ball/p0.nii.gz: may be of ball/p0 or rod/p0; put it into folders as those of its "
        "scan"
    )


def spoilt(place):
    """A good folder with all that can be wrong with masks of single pathologies."""
    write_folder(place)
    masks, there = place / "masks", np.ones(SHAPE, np.uint8)
    _, (ball, rod) = drawn("p0")
    save(masks / "ball" / "p0.nii.gz", ball.astype(np.uint8), spacing=(2.0, 2.0, 6.0))
    save(masks / "rod" / "p0.nii.gz", rod[..., :8].astype(np.uint8))
    save(masks / "scratch" / "p1.nii.gz", there)
    save(masks / "r2" / "rod.nii.gz", there)
    save(masks / "ball" / "nobody.nii.gz", there)
    save(masks / "p2.nii.gz", ball.astype(np.uint8))
    save(masks / "ball" / "a1.nii.gz", ball.astype(np.uint8))
    save(masks / "rod" / "q0.nii.gz", rod.astype(np.uint8) + (drawn("p1")[1][1]))
    save(masks / "ball" / "r1.nii.gz", 0 * there)
    for name in NAMES:
        save(masks / name / "r3.nii.gz", 0 * there)
    save(place / "present" / "rod" / "no_rod" / "s0.nii.gz", drawn("s0")[0])
    save(place / "absent" / "rod" / "s1.nii.gz", drawn("s1")[0])


def test_all_faults_are_named_at_once(tmp_path):
    spoilt(tmp_path / "two")
    faults = check_folder(tmp_path / "two", task(**TWO)).faults
    of_each = "; folders of masks of one pathology are called as it: ball/, rod/"
    words = (
        "masks/ball/p0.nii.gz: lies up to 8 mm from where p0.nii.gz lies",
        "masks/rod/p0.nii.gz: has 40 x 44 x 8 voxels to the left, back and head, p0.nii.gz has 40 "
        "x 44 x 9; expected one grid",
        "masks/scratch/p1.nii.gz: a mask without a scan; expected present/scratch/p1.nii.gz or a "
        f"folder of that name{of_each}",
        "masks/r2/rod.nii.gz: a mask without a scan; expected present/r2/rod.nii.gz or a folder "
        f"of that name{of_each}",
        "masks/ball/nobody.nii.gz: a mask without a scan; expected present/nobody.nii.gz or a "
        "folder of that name",
        "masks/ball/p2.nii.gz: a second mask beside masks/p2.nii.gz, which is of all classes; keep "
        "one kind",
        "masks/ball/a1.nii.gz: shows target, and its scan is absent; move the scan to present",
        "masks/rod/q0.nii.gz: has rod, and its scan is said not to show it; mend one of them",
        "masks/ball/r1.nii.gz: has no ball, and its scan is said to show it; mend one of them",
        "present/r3: by its masks, and what is said of it, it shows none of ball, rod, and it is "
        "present; move it to absent",
        "present/rod/no_rod/s0: in rod/ and in no_rod/, which contradict each other; keep one",
        "absent/rod/s1: in rod/, and absent scans show none of ball, rod; put what lacks one of "
        "them and may show another into present/no_NAME/",
    )
    for of in words:
        assert any(of in fault for fault in faults), (of, faults)
    assert len(faults) == len(words), faults


def write_table(place, rows, columns):
    with (place / "dataset.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


COLUMNS = ("case", "domain", "scan", "mask", *NAMES, "mask_ball", "mask_rod")


def test_a_table_has_a_column_for_the_masks_of_each(tmp_path):
    for name in ("p0", "p1", "a0"):
        save(tmp_path / f"{name}.nii.gz", drawn(name)[0])
    for k, of in enumerate(NAMES):
        save(tmp_path / f"{of}.nii.gz", drawn("p0")[1][k].astype(np.uint8))
    rows = [
        {"case": "p0", "domain": "present", "mask_ball": "ball.nii.gz", "mask_rod": "rod.nii.gz"},
        {"case": "p1", "domain": "present", "mask_ball": "ball.nii.gz", "rod": "0"},
        {"case": "a0", "domain": "absent"},
    ]
    rows = [row | {"scan": f"{row['case']}.nii.gz"} for row in rows]
    write_table(tmp_path, rows, COLUMNS)
    found = survey(tmp_path, task(**TWO))
    assert found.faults == []
    assert not found.skipped
    a0, p0, p1 = found.items
    assert [path.name for _, path in p0.layers] == ["ball.nii.gz", "rod.nii.gz"]
    assert (p0.is_masked, p0.shows, p0.has_whole_mask) == ((True, True), (VOID, VOID), True)
    assert (p1.is_masked, p1.shows, p1.has_whole_mask) == ((True, False), (VOID, 0), True)
    assert (a0.is_masked, a0.shows) == ((False, False), (0, 0))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"mask_rod": "x.nii.gz"}, "row 2: mask_rod = x.nii.gz: no such file in the folder"),
        ({"mask_rod": "notes.txt"}, "row 2: mask_rod = notes.txt: no NIfTI file"),
        (
            {"mask": "rod.nii.gz", "mask_rod": "rod.nii.gz"},
            "row 2: mask_rod beside mask, which is of all classes; keep one kind",
        ),
    ],
)
def test_rows_that_cannot_be_are_named(tmp_path, row, words):
    save(tmp_path / "p0.nii.gz", drawn("p0")[0])
    save(tmp_path / "rod.nii.gz", drawn("p0")[1][1].astype(np.uint8))
    (tmp_path / "notes.txt").write_text("no mask")
    rows = [{"case": "p0", "domain": "present", "scan": "p0.nii.gz"} | row]
    write_table(tmp_path, rows, COLUMNS)
    assert any(words in fault for fault in survey(tmp_path, task(**TWO)).faults)


def test_a_scan_to_score_needs_masks_of_all_that_it_may_show(tmp_path):
    for name in ("present/p0", "absent/a0", "test/present/no_rod/q0", "test/present/r0"):
        save(tmp_path / f"{name}.nii.gz", drawn(name)[0])
    for name in ("masks/ball/p0", "test/masks/ball/q0", "test/masks/ball/r0"):
        save(tmp_path / f"{name}.nii.gz", drawn("p0")[1][0].astype(np.uint8))
    (fault,) = survey(tmp_path, task(**TWO)).faults
    assert fault == (
        "test/present/r0: in fold test without a mask of each pathology that it may show, which "
        "scores need"
    )


def test_slices_of_what_has_no_mask_can_be_listed(folder, tmp_path):
    place = write_folder(tmp_path / "two")
    (place / "slices.csv").write_text("case,slices\nr0,9\n")
    store, _ = prepare(place, tmp_path / "two.h5")
    noted, known = store.provenance("train", "present"), read_knowledge(store, "train")
    at = (noted["case_id"] == "r0") & (noted["slice_index"] == 8)
    assert known.t[at].tolist() == [[0, 1]]
    assert known.has_mask[at].tolist() == [[1, 0]]
    (place / "slices.csv").write_text("case,slices\np0,9\n")
    (fault,) = survey(place, task(**TWO)).faults
    assert fault == "present/p0: has a list of slices and a mask, which says it; leave the list out"


def test_a_pathology_that_no_training_mask_shows_is_a_fault(tmp_path):
    place = write_folder(tmp_path / "two")
    for name in ("p1", "p2"):
        (place / "masks" / "rod" / f"{name}.nii.gz").unlink()
    for name in ("present/p0", "masks/ball/p0", "masks/rod/p0", "absent/a1"):
        target = place / "test" / f"{name}.nii.gz"
        target.parent.mkdir(parents=True)
        (place / f"{name}.nii.gz").rename(target)
    found = {}
    for seed in range(20):  # until the last scan with a mask of the rod validates, and trains
        checked = check_folder(place, task(**TWO), data_seed=seed)
        (fold,) = (case.fold for case in checked.cases if case.item.name == "q1")
        found[fold] = checked.faults
        if len(found) == 2:
            break
    assert found == {
        "train": [],
        "valid": [
            "fold train: no mask shows rod, of which 2 scans have one; give more, or lower "
            "valid_fraction and test_fraction"
        ],
    }


def test_a_channel_called_as_a_column_of_masks_is_refused():
    with pytest.raises(ValueError, match="mask_ball is a column"):
        task(**TWO, channels=("t1", "mask_ball"))


def test_what_one_mask_ignores_counts_for_none(tmp_path):
    place = write_folder(tmp_path / "two")
    for name in ("p0", "p1", "p2"):
        mask = drawn(name)[1][0].astype(np.uint8)
        mask[14:18, 30:33] = 9
        save(place / "masks" / "ball" / f"{name}.nii.gz", mask)
    store, _ = prepare(place, tmp_path / "two.h5", ignore=9)
    masks = store.masks("train")[store.provenance("train", "present")["case_id"] == "p0"]
    for fold in FOLDS:
        of = np.isin(store.provenance(fold, "present")["case_id"], ["p0", "p1", "p2"])
        masks = store.masks(fold)[of]
        assert (masks[:, 30:33, 14:18] == VOID).all()
        masks[:, 30:33, 14:18] = 0
        assert not (masks == VOID).any()

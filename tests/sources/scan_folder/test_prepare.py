"""From a folder of scans to a data set: who is in which fold, and what is stored of whom."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from segtrans.config.versions import SCAN_FOLDER_VERSION
from segtrans.data.beside import NEITHER
from segtrans.data.patients import check_patients
from segtrans.data.store import DOMAINS, FOLDS, Store
from segtrans.errors import UserError, UserErrors
from segtrans.report.scan_folder import write_report
from segtrans.score.patients import packed, score_patients
from segtrans.sources.scan_folder.prepare import write_scan_folder
from tests.sources.scan_folder.folders import SHAPE, save, scan, task, write_scans

SPACING = (2.0, 2.0, 5.0)
GOLDEN = (
    1,
    {
        "train present": ("p00 p01 p04 p05 p06 p07", 48, 0.007),
        "train absent": ("a01 a02 p00 p01", 32, -0.011),
        "valid present": ("p02", 4, 0.049),
        "valid absent": ("a00 p02", 16, -0.012),
        "test present": ("p03", 4, 0.042),
        "test absent": ("a03 p03", 16, -0.011),
    },
)


def prepare(folder, output, *, data_seed=0, n_processes=1, **values):
    cases, used = write_scan_folder(
        output, folder, task(**values), "balls", data_seed=data_seed, n_processes=n_processes
    )
    return Store(output), cases, used


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_scans(tmp_path_factory.mktemp("folder") / "balls")


def noted(store, name):
    return {
        (fold, domain): store.provenance(fold, domain)[name] for fold in FOLDS for domain in DOMAINS
    }


def test_the_golden_folder_is_what_it_was(folder, tmp_path):
    store, _, _ = prepare(folder, tmp_path / "balls.h5")
    found = {}
    for (fold, domain), cases in noted(store, "case_id").items():
        mean = float(store.images(fold, domain).astype(np.float64).mean())
        names = " ".join(sorted(set(cases.tolist())))
        found[f"{fold} {domain}"] = (names, len(cases), round(mean, 3))
    assert (SCAN_FOLDER_VERSION, found) == GOLDEN


def test_cases_are_in_one_fold_and_masks_say_what_is_labelled(folder, tmp_path):
    store, cases, used = prepare(folder, tmp_path / "balls.h5")
    assert used.spacing_mm == SPACING
    fold_of = {case.item.scan.case_id: case.fold for case in cases}
    for (fold, _), case_ids in noted(store, "case_id").items():
        assert {fold_of[name] for name in case_ids.tolist()} == {fold}
    has_mask = store.provenance("train", "present")["has_mask"] > 0
    labelled = store.provenance("train", "present")["case_id"][has_mask]
    assert set(labelled.tolist()) <= {"p00", "p01", "p02", "p03"}
    masks = store.masks("train")
    assert (masks[~has_mask] == 255).all()
    assert set(np.unique(masks[has_mask])) == {0, 1}
    # Slices of labelled scans without the ball are of A.
    absent = store.provenance("train", "absent")
    of_present = np.char.startswith(absent["case_id"], "p")
    assert of_present.sum() == 2 * (SHAPE[2] - 4)
    assert "has_mask" not in absent
    header = store.header
    assert header.has_void
    assert header.parameters["volume_shape"] == [40, 44, SHAPE[2]]
    assert header.parameters["spacing_mm"] == list(SPACING)
    assert header.parameters["definition"]["spacing_mm"] == list(SPACING)
    assert header.source == "8 present scans, 4 of them with a mask; 4 absent ones, of balls."
    check_patients(store)


def test_what_is_stored_is_the_slice_of_the_file(folder, tmp_path):
    store, _, _ = prepare(folder, tmp_path / "balls.h5")
    noted = store.provenance("test", "present")
    image, mask = store.images("test", "present"), store.masks("test")
    case_id = noted["case_id"][0]
    volume = nib.load(folder / "present" / f"{case_id}.nii.gz").get_fdata()
    truth = nib.load(folder / "masks" / f"{case_id}.nii.gz").get_fdata()
    inside = volume[volume != 0]
    for place, z in enumerate(noted["slice_index"].tolist()):
        # Stored axes run to the left and to the back as LPS has them: rows are Y, columns X.
        expected = (volume[:, :, z].T - inside.mean()) / inside.std() * (volume[:, :, z].T != 0)
        np.testing.assert_allclose(image[place, 0], expected, atol=2e-3)
        np.testing.assert_array_equal(mask[place], truth[:, :, z].T)


def scored(store, predicted):
    maps = {domain: packed(of_domain) for domain, of_domain in predicted.items()}
    return score_patients(store, "test", maps)


def test_a_perfect_segmentation_has_the_whole_volume_right(folder, tmp_path):
    store, _, _ = prepare(folder, tmp_path / "balls.h5")
    predicted = {
        "present": store.masks("test") == 1,
        "absent": np.zeros((store.n("test", "absent"), 44, 40), bool),
    }
    table = scored(store, predicted).set_index("case_id")
    assert (table["dice_hard_3d"] == 1).all()
    case_id = store.provenance("test", "present")["case_id"][0]
    truth = nib.load(folder / "masks" / f"{case_id}.nii.gz").get_fdata()
    assert table.loc[case_id, "lesion_voxels"] == truth.sum()
    assert table.loc[case_id, "lesions_found"] == 1
    assert {"n_slices_P", "n_slices_A"} <= set(table.columns)
    # One slice up is half of the largest distance there.
    shifted = {"present": np.roll(predicted["present"], 1, axis=0), "absent": predicted["absent"]}
    table = scored(store, shifted).set_index("case_id")
    assert 0 < table.loc[case_id, "dice_hard_3d"] < 1
    assert table.loc[case_id, "hd95_mm"] >= SPACING[2]


def test_ignored_pixels_count_neither_way(folder, tmp_path):
    own = tmp_path / "own"
    write_scans(own)
    for path in (own / "masks").iterdir():
        image = nib.load(path)
        mask = np.asarray(image.dataobj).copy()
        mask[np.roll(mask, 3, axis=1) > 0] = 7
        nib.save(nib.Nifti1Image(mask, image.affine), path)
    store, _, _ = prepare(own, tmp_path / "balls.h5", ignore=7)
    masks = store.masks("test")
    assert (masks == 255).any()
    everywhere = {
        "present": masks > 0,
        "absent": np.zeros((store.n("test", "absent"), 44, 40), bool),
    }
    assert (scored(store, everywhere)["dice_hard_3d"] == 1).all()


def test_halves_are_cut_in_the_middle_and_put_back(folder, tmp_path):
    store, _, _ = prepare(folder, tmp_path / "balls.h5", halves=True, width=20)
    assert store.image_shape == (1, 44, 20)
    assert store.header.parameters["volume_shape"] == [40, 44, SHAPE[2]]
    assert store.header.parameters["mirror_right"] is True
    check_patients(store)
    predicted = {
        "present": store.masks("test") == 1,
        "absent": np.zeros((store.n("test", "absent"), 44, 20), bool),
    }
    table = scored(store, predicted).set_index("case_id")
    case_id = store.provenance("test", "present")["case_id"][0]
    truth = nib.load(folder / "masks" / f"{case_id}.nii.gz").get_fdata()
    assert table.loc[case_id, "lesion_voxels"] == truth.sum()
    # The ball is on one side: the other half of its slices is of A.
    absent = store.provenance("test", "absent")
    sides = {store.provenance("test", "present")["side"][0]}
    at = (absent["case_id"] == case_id) & np.isin(
        absent["slice_index"], store.provenance("test", "present")["slice_index"]
    )
    assert set(absent["side"][at].tolist()) == {"right", "left"} - sides


def test_listed_slices_are_those_of_the_file(tmp_path):
    folder = write_scans(tmp_path / "balls")
    # Of p06 the file runs from head to foot: its slice 1 is the highest.
    rng = np.random.default_rng(5)
    volume, _ = scan(rng, shows_target=True)
    save(folder / "present" / "p06.nii.gz", volume, codes="LPI")
    save(folder / "present" / "p07.nii.gz", scan(rng, shows_target=True)[0])
    (folder / "slices.csv").write_text("case,slices\np06,2-4\np07,2-4\n")
    store, _, _ = prepare(folder, tmp_path / "balls.h5", absent_from_present="lists")
    noted = {of: store.provenance("train", of) for of in DOMAINS}
    slices = {
        (name, of): sorted(noted[of]["slice_index"][noted[of]["case_id"] == name].tolist())
        for name in ("p06", "p07")
        for of in DOMAINS
    }
    assert slices["p07", "present"] == [1, 2, 3]
    assert slices["p06", "present"] == [SHAPE[2] - 4, SHAPE[2] - 3, SHAPE[2] - 2]
    with_content = {n for n in range(SHAPE[2]) if (volume[:, :, n] != 0).mean() >= 0.05}
    assert set(slices["p06", "absent"]) == with_content - set(slices["p06", "present"])


def test_scans_of_any_spacing_are_brought_to_the_median(tmp_path):
    folder = write_scans(tmp_path / "balls")
    rng = np.random.default_rng(3)
    volume, _ = scan(rng, (20, 22, 20), shows_target=True)
    save(folder / "present" / "p07.nii.gz", volume, spacing=(4.0, 4.0, 2.5))
    store, cases, used = prepare(folder, tmp_path / "balls.h5", spacing_mm=None)
    assert used.spacing_mm == SPACING
    assert {case.facts.n_slices for case in cases} == {SHAPE[2]}
    assert {case.facts.grid.shape for case in cases} == {SHAPE, (20, 22, 20)}
    assert "p07" in store.provenance("train", "present")["case_id"]


@pytest.mark.parametrize("channels", [("",), ("t1", "flair")])
def test_the_same_bytes_for_any_number_of_processes(tmp_path, channels):
    folder = write_scans(tmp_path / "balls", channels=channels)
    values = {} if channels == ("",) else {"channels": channels}
    one, _, _ = prepare(folder, tmp_path / "one.h5", **values)
    two, _, _ = prepare(folder, tmp_path / "two.h5", n_processes=2, **values)
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.image_shape == (len(channels), 44, 40)


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(tmp_path):
    folder = write_scans(tmp_path / "balls")
    (folder / "present" / "p05.nii.gz").write_bytes(b"no scan")
    empty = np.zeros(SHAPE, np.uint8)
    save(folder / "masks" / "p00.nii.gz", empty)
    save(folder / "masks" / "a00.nii.gz", empty + 1)
    with pytest.raises(UserErrors) as raised:
        prepare(folder, tmp_path / "balls.h5", n_processes=2)
    lines = raised.value.lines
    assert len(lines) == 3
    for name, words in {
        "present/p05.nii.gz": "cannot be read",
        "masks/p00.nii.gz": "is empty, and its scan is present",
        "masks/a00.nii.gz": "shows target, and its scan is absent",
    }.items():
        assert any(name in line and words in line for line in lines), lines
    assert [path.name for path in tmp_path.iterdir()] == ["balls"]


def test_a_fold_without_a_slice_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="no slice of P with a mask is left"):
        prepare(folder, tmp_path / "balls.h5", min_target_fraction=0.9)
    assert not (tmp_path / "balls.h5").exists()


def test_the_report_says_what_became_of_each_case(folder, tmp_path):
    store, cases, _ = prepare(folder, tmp_path / "balls.h5")
    write_report([case.row() for case in cases], ["a line"], store.path, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "axial slices of 44 x 40 pixels, channels scan, after resampling to 2 x 2 x 5 mm" in text
    lines = (tmp_path / "report" / "cases.csv").read_text().splitlines()
    assert len(lines) == 1 + 12
    assert (tmp_path / "report" / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_a_disk_that_is_too_small_is_said_before_any_scan_is_read(folder, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    monkeypatch.setattr("segtrans.sources.scan_folder.prepare.in_parallel", None)
    with pytest.raises(UserError, match=r"balls\.h5: needs at least [\d.e-]+ GB, .* 1e-06 GB free"):
        prepare(folder, tmp_path / "new" / "balls.h5")
    assert not (tmp_path / "new").exists()


def slices_of(store, fold, domain):
    """Case, side and slice of each image, with the image."""
    of = store.provenance(fold, domain)
    rows = zip(of["case_id"].tolist(), of["side"].tolist(), of["slice_index"].tolist(), strict=True)
    return dict(zip(rows, store.images(fold, domain), strict=True))


def test_every_neighbour_within_the_volume_is_stored_once(folder, tmp_path):
    """Slices with too little target or content too: nobody could tell them from repeated ones."""
    small = {"min_target_fraction": 0.03, "min_content_fraction": 0.2}
    without, _, _ = prepare(folder, tmp_path / "without.h5", **small)
    store, _, _ = prepare(folder, tmp_path / "one.h5", neighbours=1, **small)
    assert store.header.parameters["neighbours"] == 1
    assert "neighbours" not in str(without.header.parameters)
    check_patients(store)
    n_beside = 0
    for fold in FOLDS:
        images = {domain: slices_of(store, fold, domain) for domain in DOMAINS}
        for domain in DOMAINS:
            before = slices_of(without, fold, domain)
            assert before.keys() == images[domain].keys()
            assert all((before[row] == image).all() for row, image in images[domain].items())
        own = images["present"] | images["absent"]
        others = slices_of(store, fold, NEITHER) if store.has_neither(fold) else {}
        wanted = {
            (case, side, index + step)
            for case, side, index in own
            for step in (-1, 1)
            if 0 <= index + step < SHAPE[2]
        }
        assert others.keys() == wanted - own.keys()
        n_beside += len(others)
    assert n_beside > 0


@pytest.mark.parametrize("neighbours", [0, 1])
def test_absence_is_drawn_where_presence_is(folder, tmp_path, neighbours):
    every, _, _ = prepare(folder, tmp_path / "all.h5")
    values = {"absent_positions": "as_present", "neighbours": neighbours}
    store, _, _ = prepare(folder, tmp_path / "drawn.h5", **values)
    again, _, _ = prepare(folder, tmp_path / "again.h5", **values)
    assert store.sha256() == again.sha256()
    for fold in FOLDS:
        own = {domain: slices_of(store, fold, domain) for domain in DOMAINS}
        before = slices_of(every, fold, "absent")
        places = {d: {index for _, _, index in rows} for d, rows in own.items()}
        # In train there are scans without a mask, whose slices are P all over.
        assert own["absent"].keys() <= before.keys()
        assert fold == "train" or own["absent"].keys() < before.keys()
        assert places["absent"] <= places["present"]
        left_out = before.keys() - own["absent"].keys()
        if neighbours and left_out:  # they are neighbours of what is kept
            assert left_out <= slices_of(store, fold, NEITHER).keys()
        assert neighbours or not store.has_neither(fold)

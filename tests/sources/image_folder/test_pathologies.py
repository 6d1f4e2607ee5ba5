"""Folders of several pathologies: who shows what, whose masks are where, what is stored of it."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from segtrans.data.pathologies import check_pathologies, read_knowledge
from segtrans.data.store import FOLDS, Store
from segtrans.errors import UserError
from segtrans.report.image_folder import write_report
from segtrans.sources.image_folder.check import check_folder
from segtrans.sources.image_folder.definition import complete_definition
from segtrans.sources.image_folder.fitting import Fitting
from segtrans.sources.image_folder.inspection import inspect
from segtrans.sources.image_folder.items import survey_of
from segtrans.sources.image_folder.prepare import write_image_folder
from segtrans.tasks.base import VOID
from tests.sources.image_folder.folders import PATHOLOGIES, save_mask, write_folder_of_two
from tests.sources.image_folder.pictures import pixels, save, square, task

TWO = {"multi_label": True, "classes": {"crack": 1, "stain": 2}}


def two(**values):
    return task(**TWO, **values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder_of_two(tmp_path_factory.mktemp("folder") / "walls")


def prepare(folder, output, **changes):
    definition = complete_definition(folder, changes)
    pictures = write_image_folder(output, folder, definition, "walls", data_seed=0, n_processes=1)
    return Store(output), pictures


def items_of(folder, **values):
    survey = survey_of(folder, two(**values))
    assert survey.faults == []
    return {item.place: item for item in survey.items}


def test_folders_say_what_a_picture_shows_and_nothing_of_the_rest(folder):
    items = items_of(folder)
    assert items["present/101"].shows == (VOID, VOID)
    assert items["present/crack/no_stain/105"].shows == (1, 0)
    assert items["present/stain/205"].shows == (VOID, 1)
    assert items["present/crack/stain/305"].shows == (1, 1)
    assert items["absent/a00"].shows == (0, 0)


def test_masks_of_each_are_found_with_and_without_the_folders_of_their_pictures(tmp_path):
    for seed, name in enumerate(("present/crack/a", "present/b", "present/stain/c", "absent/d")):
        save(tmp_path / f"{name}.png", pixels(seed))
    for name in ("crack/a", "stain/crack/a", "crack/b_mask"):
        save(tmp_path / f"masks/{name}.png", square())
    save(tmp_path / "masks/c.png", square(2))
    items = items_of(tmp_path)
    assert [path.parent.name for path in items["present/crack/a"].masks] == ["crack", "crack"]
    assert items["present/crack/a"].is_masked == (True, True)
    assert items["present/b"].is_masked == (True, False)
    assert not items["present/b"].has_whole_mask
    # One mask with a value for each class says all.
    assert items["present/stain/c"].mask.name == "c.png"
    assert items["present/stain/c"].has_whole_mask


def test_a_table_has_a_column_and_a_mask_of_each(tmp_path):
    for name in ("a", "b", "c", "d"):
        save(tmp_path / f"{name}.png", pixels(ord(name)))
        save(tmp_path / f"m{name}.png", square())
    rows = ["image,domain,crack,stain,mask_crack", "a.png,present,1,0,ma.png"]
    (tmp_path / "dataset.csv").write_text(
        "\n".join([*rows, "b.png,present,,1,", "c.png,absent,,,", "d.png,present,1,,md.png"])
    )
    items = items_of(tmp_path)
    assert [items[name].shows for name in "abcd"] == [(1, 0), (VOID, 1), (0, 0), (1, VOID)]
    # It is known to have no stain, so a mask of the crack says all.
    assert [items[name].has_whole_mask for name in "abcd"] == [True, False, True, False]
    assert complete_definition(tmp_path, TWO).channels == ("grey",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,present,2,0,", "row 2: crack = 2: expected 1, 0, or nothing"),
        ("a.png,absent,1,0,", "row 2: crack = 1, and its domain is absent"),
        ("a.png,present,1,0,x.png", "row 2: mask_crack = x.png: no such file"),
    ],
)
def test_rows_that_cannot_be_are_named(tmp_path, row, message):
    save(tmp_path / "a.png", pixels(1))
    (tmp_path / "dataset.csv").write_text(f"image,domain,crack,stain,mask_crack\n{row}\n")
    assert any(re.search(message, fault) for fault in survey_of(tmp_path, two()).faults)


def contradictions(folder):
    one, other = folder / "present/crack/no_stain/105.png", folder / "masks"
    save_mask(other / "stain/105.png", np.ones((60, 80), bool))
    save_mask(other / "crack/205.png", np.zeros((60, 80), bool))
    save_mask(other / "stain/205.png", np.zeros((60, 80), bool))
    save_mask(other / "305.png", np.ones((60, 80), bool), 1)
    save_mask(other / "crack/305.png", np.ones((60, 80), bool))
    (folder / "absent/crack").mkdir()
    shutil.copy(one, folder / "absent/crack/a.png")
    (folder / "present/crack/no_crack").mkdir()
    shutil.copy(folder / "absent/a00.png", folder / "present/crack/no_crack/b.png")


def test_contradictions_are_named_all_at_once(tmp_path):
    folder = write_folder_of_two(tmp_path / "walls")
    contradictions(folder)
    faults = check_folder(folder, complete_definition(folder, {})).faults
    expected = (
        "masks/stain/105.png: has stain, and its image is said not to show it",
        "masks/stain/205.png: has no stain, and its image is said to show it",
        "masks/crack/305.png: a second mask beside masks/305.png",
        "masks/305.png: has no stain, and its image is said to show it",
        "absent/crack/a: in crack/, and absent images show none of crack, stain",
        "present/crack/no_crack/b: in crack/ and in no_crack/, which contradict each other",
        "present/crack/no_stain/105.png: the same picture as absent/crack/a.png, which is absent",
        "present/crack/no_crack/b.png: the same picture as absent/a00.png, which is absent",
    )
    for words in expected:
        assert any(words in fault for fault in faults), (words, faults)
    assert len(faults) == len(expected), faults


def test_a_present_picture_that_shows_nothing_is_named(tmp_path):
    folder = write_folder_of_two(tmp_path / "walls")
    for name in PATHOLOGIES:
        save_mask(folder / "masks" / name / "100.png", np.zeros((60, 80), bool))
    (fault,) = check_folder(folder, complete_definition(folder, {})).faults
    assert (
        "present/100: by its masks, and what is said of it, it shows none of crack, stain" in fault
    )


def test_the_check_counts_each_pathology(folder):
    lines = inspect(folder, {}, 0).lines
    # Masks say it of 4 pictures of each kind, folders of the fifth and sixth; the fifth has a mask
    # of the crack.
    assert (
        "crack: 12 present pictures show it, 5 do not, of 1 it is not known; 15 with a mask of it"
    ) in lines
    assert (
        "stain: 12 present pictures show it, 6 do not, of 0 it is not known; 12 with a mask of it"
    ) in lines


def truth_of(folder, name):
    """Bits of a picture's masks, as files; None of a pathology without one."""
    paths = [folder / "masks" / of / f"{name}.png" for of in PATHOLOGIES]
    return [np.asarray(Image.open(path)) > 0 if path.exists() else None for path in paths]


def test_what_is_stored_says_what_is_known_and_what_is_not(folder, tmp_path):
    store, _ = prepare(folder, tmp_path / "walls.h5")
    assert store.header.pathologies == PATHOLOGIES
    assert store.header.labels == {0: "background", 1: "crack", 2: "stain", 3: "crack and stain"}
    check_pathologies(store, PATHOLOGIES)
    seen = set()
    for fold in FOLDS:
        known, noted = read_knowledge(store, fold), store.provenance(fold, "present")
        for i, (name, mask) in enumerate(zip(noted["name"], store.masks(fold), strict=True)):
            own = name.rpartition("/")[2]
            shows, truth = int(own[0]), truth_of(folder, own)
            seen.add(own)
            assert known.has_mask[i].tolist() == [of is not None for of in truth]
            assert noted["has_mask"][i] == any(of is not None for of in truth)
            for k, of in enumerate(truth):
                said = int(known.t[i, k])
                if of is not None:
                    fitted = Fitting((60, 80), task(height=48, width=48)).mask(of.astype(np.uint8))
                    np.testing.assert_array_equal((mask >> k) & 1, fitted)
                    assert said == ((shows >> k) & 1)
                else:
                    assert said in ((shows >> k) & 1, VOID)
            if not known.has_mask[i].any():
                assert (mask == VOID).all()
    assert len(seen) == 18
    assert "shows_crack" not in store.provenance("train", "absent")
    for fold in ("valid", "test"):
        known = read_knowledge(store, fold)
        assert (known.has_mask.astype(bool) | (known.t == 0)).all()


def test_overlapping_masks_keep_both_and_values_become_bits(tmp_path):
    folder = write_folder_of_two(tmp_path / "walls")
    for number in range(4):
        (folder / f"masks/crack/30{number}.png").rename(tmp_path / f"c{number}.png")
        (folder / f"masks/stain/30{number}.png").unlink()
        crack = np.asarray(Image.open(tmp_path / f"c{number}.png")) > 0
        values = crack.astype(np.uint8)
        values[:10] = 2
        Image.fromarray(values).save(folder / f"masks/30{number}.png")
    store, _ = prepare(folder, tmp_path / "walls.h5")
    found = {
        own: np.unique(mask).tolist()
        for fold in FOLDS
        for own, mask in zip(
            store.provenance(fold, "present")["name"], store.masks(fold), strict=True
        )
    }
    assert found["300"] == [0, 1, 2]
    store, _ = prepare(write_folder_of_two(tmp_path / "more"), tmp_path / "more.h5")
    overlapping = [mask for fold in FOLDS for mask in store.masks(fold) if 3 in mask]
    assert len(overlapping) == 4


def test_what_is_ignored_in_one_mask_counts_for_none(tmp_path):
    folder = write_folder_of_two(tmp_path / "walls", shape=(48, 48))
    for path in (folder / "masks/crack").iterdir():
        mask = (np.asarray(Image.open(path)) > 0).astype(np.uint8)
        mask[:5] = 9
        Image.fromarray(mask).save(path)
    store, _ = prepare(folder, tmp_path / "walls.h5", ignore=9)
    masks = store.masks("test")
    assert (masks[:, :5] == VOID).all()
    assert not (masks[:, 5:] == VOID).any()


@pytest.mark.parametrize("size", ["crop", "tile"])
def test_parts_know_what_they_show_by_their_own_masks(tmp_path, size):
    folder = write_folder_of_two(tmp_path / "walls", shape=(100, 130))
    least = 0.01
    store, _ = prepare(folder, tmp_path / "walls.h5", size=size, min_target_fraction=least)
    check_pathologies(store, PATHOLOGIES)
    n_absent_in_part = 0
    for fold in FOLDS:
        known, noted = read_knowledge(store, fold), store.provenance(fold, "present")
        for i, mask in enumerate(store.masks(fold)):
            for k in range(2):
                share, whole = ((mask >> k) & 1).mean(), noted["row"][i] == -1
                if not known.has_mask[i, k] or whole:
                    assert whole or known.t[i, k] in (0, VOID)
                    continue
                expected = 1 if share >= least else 0 if share == 0 else VOID
                assert known.t[i, k] == expected
                shown = int(noted["name"][i].rpartition("/")[2][0])
                n_absent_in_part += expected == 0 and bool((shown >> k) & 1)
    assert size == "crop" or n_absent_in_part > 0


def test_the_report_counts_each_pathology_in_each_fold(folder, tmp_path):
    store, pictures = prepare(folder, tmp_path / "walls.h5")
    write_report([p.row() for p in pictures], [], tmp_path / "walls.h5", tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    t = read_knowledge(store, "train").t
    counts = [str(int((t[:, 0] == value).sum())) for value in (1, 0, VOID)]
    assert ["train", "crack", *counts] in [row[:5] for row in rows]
    header, *lines = (tmp_path / "report/pictures.csv").read_text().splitlines()
    assert header.endswith("fate,shows_crack,has_mask_crack,shows_stain,has_mask_stain")
    by_name = {line.split(",")[0]: line.split(",")[-4:] for line in lines}
    assert by_name["present/stain/205"] == ["", "False", "1", "False"]


def test_a_pathology_that_nobody_could_learn_or_score_is_said(tmp_path):
    folder = write_folder_of_two(tmp_path / "walls")
    for name in ("300", "301", "302", "303", "201", "202", "203"):
        (folder / "masks/stain" / f"{name}.png").unlink()
    task = complete_definition(folder, {"valid_fraction": 0.45, "test_fraction": 0.45})
    with pytest.raises(UserError, match="fold train: no mask shows stain, of which 1 pictures"):
        for seed in range(20):  # until it comes to another fold
            faults = check_folder(folder, task, data_seed=seed).faults
            pictures = write_image_folder(
                tmp_path / "walls.h5", folder, task, "walls", data_seed=seed, n_processes=1
            )
            assert faults == []
            store = Store(tmp_path / "walls.h5")
            shown = [(read_knowledge(store, fold).t[:, 1] == 1).any() for fold in ("valid", "test")]
            rows = [picture.row() for picture in pictures]
            write_report(rows, [], tmp_path / "walls.h5", tmp_path / "report")
            text = (tmp_path / "report/report.md").read_text()
            for fold, is_shown in zip(("valid", "test"), shown, strict=True):
                assert (f"Fold {fold} has no picture that shows stain" in text) != is_shown
    (fault,) = faults
    assert fault.startswith("fold train: no mask shows stain, of which 1 pictures")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"crack": 1}, "1 pathologies; expected 2 to 7"),
        ({"crack": 1, "a/b": 2}, "names folders and columns"),
        ({"crack": 1, "no_stain": 2}, "a meaning of its own"),
        ({"crack": 1, "Crack": 2}, "case of letters"),
    ],
)
def test_names_that_cannot_be_folders_and_columns_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        task(multi_label=True, classes=classes)


def test_a_mask_is_of_the_present_picture_though_an_absent_one_has_its_name(tmp_path):
    for seed, name in enumerate(("present/crack/a", "absent/a", "absent/b")):
        save(tmp_path / f"{name}.png", pixels(seed))
    save(tmp_path / "masks/crack/a.png", square())
    save(tmp_path / "masks/crack/b.png", square(0))
    items = items_of(tmp_path)
    assert items["present/crack/a"].is_masked == (True, False)
    assert items["absent/a"].masks == (None, None)
    assert items["absent/b"].is_masked == (True, False)


def test_a_mask_that_may_be_of_two_pictures_is_named(tmp_path):
    for name in ("present/crack/a.png", "present/stain/a.png", "absent/d.png"):
        save(tmp_path / name, pixels(len(name)))
    save(tmp_path / "masks/crack/a.png", square())
    text = "\n".join(survey_of(tmp_path, two()).faults)
    assert re.search(r"masks/crack/a.png: may be of (crack/a or stain/a|stain)", text)


def test_a_picture_to_score_needs_masks_of_all_that_it_may_show(tmp_path):
    for name in ("present/a", "present/b", "absent/c", "test/present/no_stain/d", "test/present/e"):
        save(tmp_path / f"{name}.png", pixels(ord(name[-1])))
    for name in ("masks/crack/a", "test/masks/crack/d", "test/masks/crack/e"):
        save(tmp_path / f"{name}.png", square())
    save(tmp_path / "test/absent/f.png", pixels(1))
    (fault,) = survey_of(tmp_path, two()).faults
    assert fault == (
        "test/present/e: in fold test without a mask of each pathology that it may show, which "
        "scores need"
    )

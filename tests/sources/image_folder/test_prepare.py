"""From a folder of pictures to a data set: who is in which fold, and what is stored of whom."""

import shutil

import numpy as np
import pytest
from PIL import Image

from segtrans.config.versions import IMAGE_FOLDER_VERSION
from segtrans.data.store import DOMAINS, FOLDS, Store
from segtrans.errors import UserError, UserErrors
from segtrans.report.image_folder import write_report
from segtrans.sources.image_folder.fitting import Fitting
from segtrans.sources.image_folder.prepare import write_image_folder
from segtrans.tasks.image_folder import ImageFolder, Intensity
from tests.sources.image_folder.folders import write_folder

WINDOW = Intensity(mode="window", low=0.0, high=200.0)
GOLDEN = (
    1,
    {
        "train present": ("p01 p02 p04 p05 p06 p07 p08 p09 p10 p11", -0.16),
        "train absent": ("a00 a01 a02 a05 a07 a08", -0.205),
        "valid present": ("p00", -0.162),
        "valid absent": ("a03 a06", -0.205),
        "test present": ("p03", -0.161),
        "test absent": ("a04 a09", -0.205),
    },
)


def task(folder, **changes):
    given = {"height": 48, "width": 48, "valid_fraction": 0.2, "test_fraction": 0.2}
    return ImageFolder(kind="image_folder", title="Discs", directory=str(folder), **given | changes)


def prepare(folder, output, *, data_seed=0, n_processes=1, **changes):
    pictures = write_image_folder(
        output,
        folder,
        task(folder, **changes),
        "discs",
        data_seed=data_seed,
        n_processes=n_processes,
    )
    return Store(output), pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder") / "discs")


def names(store, fold, domain="present"):
    return set(store.provenance(fold, domain)["name"].tolist())


def test_unlabelled_images_train_and_the_rest_is_shared_out(folder, tmp_path):
    store, pictures = prepare(folder, tmp_path / "discs.h5")
    assert len(pictures) == 22
    assert names(store, "train") >= {f"p{n:02}" for n in range(6, 12)}
    for fold in ("valid", "test"):
        assert store.n(fold, "present") == 1
        assert store.provenance(fold, "present")["has_mask"].all()
        assert store.n(fold, "absent") == 2
    everything = [names(store, fold, domain) for fold in FOLDS for domain in DOMAINS]
    assert sum(map(len, everything)) == len(set.union(*everything)) == 22
    has_mask = store.provenance("train", "present")["has_mask"] > 0
    assert has_mask.sum() == 4
    masks = store.masks("train")
    assert (masks[~has_mask] == 255).all()
    assert set(np.unique(masks[has_mask])) == {0, 1}
    assert store.header.labels == {0: "background", 1: "target"}
    assert store.header.parameters["definition"]["height"] == 48
    assert store.header.parameters["type"] == "uint8"


def test_what_is_stored_is_the_fitted_picture(folder, tmp_path):
    store, _ = prepare(folder, tmp_path / "discs.h5")
    noted = store.provenance("train", "present")
    assert noted["row"].tolist() == [-1] * len(noted["name"])
    index = int(np.argmax(noted["has_mask"]))
    name = noted["name"][index]
    picture = np.asarray(Image.open(folder / "present" / f"{name}.png"))
    mask = np.asarray(Image.open(folder / "masks" / f"{name}.png")) > 0
    fitting = Fitting(picture.shape, task(folder))
    expected = fitting.image(picture[..., None])
    stored = store.images("train", "present")[index]
    np.testing.assert_allclose(stored, expected, atol=1e-3)
    np.testing.assert_array_equal(store.masks("train")[index], fitting.mask(mask.astype(np.uint8)))


@pytest.mark.parametrize("bits", [8, 16])
def test_whole_numbers_are_stored_as_they_are_where_no_pixel_moves(tmp_path, bits):
    folder = write_folder(tmp_path / "discs", shape=(40, 44), n_channels=1, bits=bits)
    store, _ = prepare(folder, tmp_path / "discs.h5", height=40, width=44)
    stored = store.images("train", "absent")
    assert stored.dtype == f"uint{bits}"
    name = store.provenance("train", "absent")["name"][0]
    picture = np.asarray(Image.open(folder / "absent" / f"{name}.png"))
    np.testing.assert_array_equal(stored[0, 0], picture)
    assert store.scale("train", "absent") == 1 / (2**bits - 1)


def test_the_same_bytes_for_any_number_of_processes_and_others_for_another_seed(folder, tmp_path):
    prepare(folder, tmp_path / "one.h5")
    prepare(folder, tmp_path / "two.h5", n_processes=2)
    one = (tmp_path / "one.h5").read_bytes()
    assert one == (tmp_path / "two.h5").read_bytes()
    store, _ = prepare(folder, tmp_path / "other.h5", data_seed=1)
    assert (names(store, "test"), names(store, "valid")) != (
        names(Store(tmp_path / "one.h5"), "test"),
        names(Store(tmp_path / "one.h5"), "valid"),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.h5", "other.h5", "two.h5"]


def test_a_group_stays_together_and_a_set_of_test_is_kept(tmp_path):
    folder = write_folder(tmp_path / "discs", n_present=16, n_masks=16, n_absent=16)
    store, _ = prepare(folder, tmp_path / "discs.h5", group=r"(\d)$")
    found = [
        {fold for d in DOMAINS for fold in FOLDS if group in store.provenance(fold, d)["group"]}
        for group in map(str, range(10))
    ]
    assert all(len(folds) == 1 for folds in found)
    assert set.union(*found) == set(FOLDS)
    rest = folder / "test"
    for kind in ("present", "absent", "masks"):
        (rest / kind).mkdir(parents=True)
        for path in sorted((folder / kind).iterdir())[:3]:
            path.rename(rest / kind / path.name)
    store, _ = prepare(folder, tmp_path / "own.h5")
    assert names(store, "test") == {"p00", "p01", "p02"}
    assert names(store, "test", "absent") == {"a00", "a01", "a02"}


@pytest.mark.parametrize("size", ["crop", "tile"])
def test_parts_are_cut_only_where_it_is_certain_what_they_show(tmp_path, size):
    folder = write_folder(tmp_path / "discs", shape=(100, 130))
    least = 0.02
    store, pictures = prepare(folder, tmp_path / "discs.h5", size=size, min_target_fraction=least)
    for fold in FOLDS:
        noted = store.provenance(fold, "present")
        has_mask = noted["has_mask"] > 0
        assert ((noted["row"] == -1) == ~has_mask).all()
        shares = (store.masks(fold)[has_mask] == 1).mean((1, 2))
        assert (shares >= least).all()
        assert (store.provenance(fold, "absent")["row"] >= 0).all()
    by_name = {p.item.place: p for p in pictures}
    assert len(by_name["absent/a00"].places) == (1 if size == "crop" else 9)
    # Parts have the very pixels of their picture.
    noted = store.provenance("train", "present")
    index = int(np.flatnonzero(noted["has_mask"])[0])
    row, column = noted["row"][index], noted["column"][index]
    picture = np.asarray(Image.open(folder / "present" / f"{noted['name'][index]}.png"))
    part = picture[row : row + 48, column : column + 48] / 255
    np.testing.assert_allclose(store.images("train", "present")[index, 0], part, atol=1e-3)


def test_pixels_that_are_ignored_count_neither_way(tmp_path):
    folder = write_folder(tmp_path / "discs", shape=(48, 48))
    for path in (folder / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy() // 255
        mask[:5] = 9
        Image.fromarray(mask).save(path)
    store, _ = prepare(folder, tmp_path / "discs.h5", ignore=9)
    assert (store.masks("test")[:, :5] == 255).all()
    assert set(np.unique(store.masks("test")[:, 5:])) == {0, 1}


def test_too_few_masks_or_targets_are_said(tmp_path):
    folder = write_folder(tmp_path / "few", n_masks=2)
    with pytest.raises(
        UserError, match=r"present images with a mask are left for fold .*: 2 in all"
    ):
        prepare(folder, tmp_path / "few.h5")
    folder = write_folder(tmp_path / "small")
    with pytest.raises(UserError, match="none is left whose mask shows enough of the target"):
        prepare(folder, tmp_path / "small.h5", min_target_fraction=0.9)
    assert not list(tmp_path.glob("*.h5"))


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(tmp_path):
    folder = write_folder(tmp_path / "discs")
    (folder / "absent" / "a03.png").write_bytes((folder / "absent" / "a03.png").read_bytes()[:200])
    (folder / "absent" / "a04.png").write_bytes((folder / "present" / "p04.png").read_bytes())
    with pytest.raises(UserErrors) as caught:
        prepare(folder, tmp_path / "discs.h5", n_processes=2)
    assert len(caught.value.lines) == 2
    assert "a03.png" in caught.value.lines[0]
    assert "present/p04" in " ".join(caught.value.lines)
    assert [path.name for path in tmp_path.iterdir()] == ["discs"]


def test_a_disk_that_is_too_small_is_said_before_anything_is_read(folder, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    # 22 pictures, a byte a pixel
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=22 * 48 * 48 - 1))
    with pytest.raises(UserError, match=r"needs at least 5\.07e-05 GB"):
        prepare(folder, tmp_path / "new" / "discs.h5")
    assert not (tmp_path / "new").exists()


def test_the_report_says_what_became_of_each_picture(tmp_path):
    folder = write_folder(tmp_path / "discs", n_channels=3, shape=(100, 130))
    colours = ("red", "green", "blue")
    _, pictures = prepare(
        folder, tmp_path / "discs.h5", size="tile", channels=colours, group=r"(\d)$"
    )
    facts = [picture.row() for picture in pictures]
    write_report(facts, ["brightness 0.5"], tmp_path / "discs.h5", tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    for words in (
        "# Discs",
        "100 x 130 (22)",
        "brightness 0.5",
    ):
        assert words in text, text
    lines = (tmp_path / "report" / "pictures.csv").read_text().splitlines()
    assert len(lines) == 23
    with Image.open(tmp_path / "report" / "samples.png") as picture:
        assert picture.width > 500


def test_a_tiny_data_set_is_that_of_its_number(folder, tmp_path):
    store, _ = prepare(folder, tmp_path / "discs.h5", intensity=WINDOW)
    found = {
        f"{fold} {domain}": (
            " ".join(sorted(names(store, fold, domain))),
            round(float(store.images(fold, domain).astype(np.float64).mean()), 3),
        )
        for fold in FOLDS
        for domain in DOMAINS
    }
    assert (IMAGE_FOLDER_VERSION, found) == GOLDEN

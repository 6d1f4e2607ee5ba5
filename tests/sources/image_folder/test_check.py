"""A folder as a whole: every fault at once, what its images are, what tells its domains apart."""

import json
import re
import shlex
import zipfile

import numpy as np
import pytest
import tifffile
from PIL import Image
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from segtrans.errors import NOTE, UserError
from segtrans.pipeline import fit as fitting
from segtrans.report import summary
from segtrans.sources.image_folder.check import as_seen, check_folder, notes
from segtrans.sources.image_folder.definition import complete_definition
from segtrans.sources.image_folder.shortcuts import find_shortcuts
from segtrans.sources.own_folder.inverted import inverted_masks
from segtrans.sources.own_folder.shortcuts import CLASSIFIER, auc_of, classifier_auc
from tests.sources.image_folder.folders import write_folder
from tests.sources.image_folder.pictures import fill, pixels, save, square, task

FOUR = [
    *("present/a.png", "present/b.png", "absent/c.png", "absent/d.png", "masks/a.png"),
    *("test/present/e.png", "test/absent/f.png", "test/masks/e.png"),
    *("present/g.png", "masks/g.png"),
]


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "photos", *FOUR)


def turn(path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(path, np.asarray(Image.open(path)), exif=exif)


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def nan(path):
    values = pixels(9).astype(np.float32)
    values[3, 4] = np.nan
    np.save(path, values)


SPOILT = {
    "present/empty.png": (lambda p: p.write_bytes(b""), "an empty file"),
    "present/cut.png": (lambda p: (save(p, pixels(50)), cut(p)), "it may be cut off or damaged"),
    "present/nan.npy": (nan, "NaN or infinite in 1 places"),
    "absent/flat.png": (lambda p: save(p, square(0)), "every value is 0; a picture of nothing"),
    "absent/colour.png": (lambda p: save(p, pixels(51, (24, 32, 3))), "has 3 channels; expected 1"),
    "absent/deep.tif": (lambda p: tifffile.imwrite(p, pixels(52, dtype=np.uint16)),
                        "holds uint16, and most pictures uint8; save all alike"),
    "present/twin.bmp": (lambda p: save(p, pixels(3)), "absent/d.png, which is absent; keep it in"),
    "test/absent/c.tif": (lambda p: save(p, pixels(2)), "absent/c.png, which is in no fold yet"),
    "masks/d.png": (lambda p: save(p, square()), "shows target, and its image is absent"),
    "masks/b.png": (lambda p: save(p, square(0)), "is empty, and its image is present"),
}  # fmt: skip
SPOILT_MASKS = {
    "size": (square(255, (24, 30)), "is 24 x 30, and its image is 24 x 32; expected one size"),
    "turned": (square().T.copy(), "its image is 24 x 32: it looks turned by 90 degrees"),
    "soft": (pixels(53), "soft edges"),
    "unknown": (square(3), "unknown value 3"),
    "colours": (pixels(54, (24, 32, 3)), "colours; expected a value for each class"),
}


def test_every_fault_is_named_at_once_and_nothing_is_written(folder, segtrans):
    for name, (spoil, _) in SPOILT.items():
        spoil(folder / name)
    for seed, (name, (mask, _)) in enumerate(SPOILT_MASKS.items(), start=60):
        save(folder / f"present/m_{name}.png", pixels(seed))
        save(folder / f"masks/m_{name}.png", mask)
    save(folder / "masks/none.png", square())  # a fault of names
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    given = json.dumps({"channels": ["grey"]})
    code, out, errors = segtrans("check", folder, "--definition", given)
    assert code == 1
    expected = {name: words for name, (_, words) in SPOILT.items()}
    expected |= {f"masks/m_{name}.png": words for name, (_, words) in SPOILT_MASKS.items()}
    expected["masks/none.png"] = "a mask without an image"
    # Of the floats two things are wrong.
    more = ["segtrans: error: present/nan.npy: holds float32, and most pictures uint8; save all"]
    for name, words in expected.items():
        lines = [line for line in errors if line.startswith(f"segtrans: error: {name}: ")]
        assert any(words in line for line in lines), (name, errors)
        assert len(lines) == 1 + any(name in line for line in more), lines
    assert len(errors) == len(expected) + len(more) + 1
    assert errors[-1].endswith(f"{len(expected) + len(more)} faults")
    assert "12 present, 8 of them with a mask; 5 absent" in out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_good_folder_is_counted_and_shown(folder, segtrans, tmp_path):
    fill(folder, "present/._b.png", "extra/x.png")
    save(folder / "present/h.png", np.dstack([pixels(40), pixels(41)]))
    sheet = tmp_path / "sheet.png"
    code, out, errors = segtrans("check", folder, "--sheet", sheet)
    assert (code, errors) == (0, [])
    for words in (
        *("channels grey; classes target", "to be split: 4 present, 2 of them with a mask; 2 abs"),
        *(
            "test: 1 present, 1 of them with a mask; 1 absent",
            "pictures of 24 rows and 32 columns, uint8; no groups",
        ),
        *("passed over: 1 hidden, 1 .png", "extra/: 1 pictures that are no part"),
        *("alpha was dropped in 1 pictures", "too few to say what else tells"),
    ):
        assert words in out
    with Image.open(sheet) as image:
        assert image.width > 1000


def test_what_exif_turned_is_told(folder):
    turn(folder / "present/a.png", 6)
    mask = pixels(0).T > 100
    save(folder / "masks/a.png", mask)
    assert check_folder(folder, task()).faults == []
    save(folder / "masks/a.png", mask.T.copy())
    (line,) = check_folder(folder, task()).faults
    assert "masks/a.png: is 24 x 32, and its image is 32 x 24, turned by EXIF: turn" in line


def notes_of(folder, **values):
    task = complete_definition(folder, values)
    return list(notes(check_folder(folder, task), folder, task))


def test_a_small_target_is_measured_against_what_networks_see_of_its_picture(tmp_path):
    """The disc is 3 % of its picture, and may fill a tile of 16 x 16."""
    folder = write_folder(tmp_path / "discs", shape=(60, 180), n_masks=12)
    values = {"height": 16, "width": 16, "min_target_fraction": 0.05}
    (small,) = notes_of(folder, **values)
    assert small == (
        "12 masks have less target than min_target_fraction = 0.05, the first of them present/p00"
    )
    assert notes_of(folder, **values, size="tile") == []
    (small,) = notes_of(folder, **values | {"min_target_fraction": 0.9, "height": 32}, size="tile")
    assert small.startswith("12 masks")


@pytest.mark.parametrize(
    ("dtype", "factor", "is_told"),
    [(np.uint16, 16, True), (np.int64, 1, True), (np.uint16, 257, False), (np.uint8, 1, False)],
)
def test_values_that_fill_little_of_their_type_are_told(tmp_path, dtype, factor, is_told):
    """A camera's 12 bits in files of 16 are between 0 and 0.06 to networks."""
    folder, largest = write_folder(tmp_path / "discs"), 0
    for path in [*(folder / "present").iterdir(), *(folder / "absent").iterdir()]:
        values = np.asarray(Image.open(path)).astype(dtype) * dtype(factor)
        largest = max(largest, int(values.max()))
        np.save(path.with_suffix(".npy"), values)
        path.unlink()
    found = notes_of(folder)
    assert len(found) == is_told
    for note in found:
        assert note.startswith(f"WARNING: no value is above {largest}, ")
        assert f"of what {np.dtype(dtype)} holds" in note
        assert note.endswith(f"or to {{mode: window, low: 0, high: {largest}}}")
    assert notes_of(folder, intensity={"mode": "zscore"}) == []


def seen(folder, **values):
    task = complete_definition(folder, values)
    (line,) = as_seen(check_folder(folder, task).facts, task)
    return line


def test_it_is_said_to_which_size_pictures_are_fitted(tmp_path):
    folder = write_folder(tmp_path / "discs", shape=(64, 48))
    save(folder / "absent/large.png", pixels(99, (64, 256)))
    n = len(check_folder(folder, complete_definition(folder, {})).facts)
    assert seen(folder) == (
        f"networks see 128 x 128 pixels (height and width in dataset.yaml): of {n} pictures "
        f"{n - 1} are enlarged to that, up to 2 times, 1 are reduced, down to 0.5 times"
    )
    assert "0 are enlarged to that, 1 are reduced, down to 0.25" in seen(
        folder, height=64, width=64
    )
    assert "are enlarged to that, up to 1.3 times" in seen(
        folder, height=64, width=64, size="stretch"
    )
    assert seen(folder, height=64, width=64, size="tile") == (
        "networks see parts of 64 x 64 pixels (height and width in dataset.yaml) at full "
        f"resolution; {n - 1} of {n} pictures are smaller, and are padded"
    )


def test_what_a_fit_passes_on_is_printed_by_its_job(tmp_path, segtrans):
    folder = write_folder(tmp_path / "discs")
    outputs = ("--output", tmp_path / "discs.h5", "--report", tmp_path / "report")
    code, out, _ = segtrans("image-folder", folder, "--task", "discs", *outputs)
    lines = out.splitlines()
    assert (code, [line[: len(NOTE)] for line in lines]) == (0, [NOTE] * len(lines))
    assert lines[0].startswith(f"{NOTE}networks see 128 x 128 pixels")
    assert any(line.startswith(f"{NOTE}WARNING: fold test is small") for line in lines)
    report = (tmp_path / "report" / "report.md").read_text()
    assert all(line.removeprefix(NOTE) in report for line in lines)


def test_the_command_after_a_fit_can_be_pasted(tmp_path, segtrans, monkeypatch):
    run = tmp_path / "a run"
    run.mkdir()
    for name in ("write_project", "run_workflow"):
        monkeypatch.setattr(fitting, name, lambda *_, **__: None)
    monkeypatch.setattr(fitting, "run_folders", lambda output: [output / "seed0"])
    monkeypatch.setattr(summary, "print_summary", lambda _: None)
    _, out, _ = segtrans("fit", tmp_path, "--output", run)
    assert shlex.split(out)[1:5] == ["segtrans", "predict", "--weights", str(run / "seed0")]


def test_folds_with_few_pictures_are_told(tmp_path, segtrans):
    """Of six masks one validates and one tests; of absent pictures there are enough."""
    folder = write_folder(tmp_path / "discs", n_masks=6, n_absent=60)
    _, out, _ = segtrans("check", folder)
    assert "after the split, test: 1 present, 1 of them with a mask; 6 absent\n" in out
    for fold in ("valid", "test"):
        assert f"WARNING: fold {fold} is small (pictures with a mask: 1): scores of so few" in out
    folder = write_folder(tmp_path / "many", n_present=60, n_masks=50, n_absent=60)
    _, out, _ = segtrans("check", folder)
    assert "is small" not in out


def test_a_size_that_networks_cannot_take_is_a_fault(tmp_path, segtrans):
    folder = write_folder(tmp_path / "discs")
    code, _, errors = segtrans("check", folder, "--definition", '{"height": 32, "width": 64}')
    assert (code, len(errors)) == (1, 2)
    assert errors[0].startswith(
        "segtrans: error: height = 32, width = 64: too small for networks of architecture "
        "mnist128, which need at least 33 pixels a side"
    )
    code, _, errors = segtrans("check", folder, "--definition", '{"height": 33, "width": 64}')
    assert (code, errors) == (0, [])


def test_masks_of_the_background_are_told(tmp_path):
    folder = write_folder(tmp_path / "discs")
    assert notes_of(folder) == []
    for path in (folder / "masks").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    (warning,) = notes_of(folder)
    assert re.match(r"WARNING: half of the masks mark 9\d% of their picture or more", warning)


def test_masks_of_the_background_among_others_are_named(tmp_path):
    folder = write_folder(tmp_path / "discs", n_present=30, n_masks=20)
    masks = sorted((folder / "masks").iterdir())
    for start, n in ((0, 1), (1, 6)):
        for path in masks[start:n]:
            Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
        (warning,) = notes_of(folder)
        names = [path.stem for path in masks[:n]]
        more = " and 1 more" if n == 6 else ""
        assert warning.startswith(f"WARNING: masks of {', '.join(names[:5])}{more} mark more than")


def test_half_of_the_masks_of_the_background_are_named():
    shares = {"a": 0.03, "b": 0.97, "c": 0.98, "d": 0.02}
    (warning,) = inverted_masks(shares, "scan")
    assert warning.startswith("WARNING: masks of b, c mark more than 50% of their scan, half of ")
    assert "half of all masks 3.0% or less" in warning


@pytest.mark.parametrize("size", ["crop", "tile"])
def test_present_pictures_of_another_scale_than_all_others_are_told_before_training(tmp_path, size):
    folder = write_folder(tmp_path / "discs", shape=(60, 80))
    (warning,) = notes_of(folder, size=size, height=40, width=80)
    assert warning.startswith("WARNING: 6 present pictures without a mask are whole and made small")
    assert notes_of(folder, size=size, height=60, width=80) == []
    assert notes_of(folder, height=40, width=80) == []


def test_a_class_nobody_drew_is_named(folder):
    two = {"crack": 1, "rust": 2}
    for name in ("a", "g"):
        save(folder / f"masks/{name}.png", square(1))
    save(folder / "test/masks/e.png", square(2))
    checked = check_folder(folder, task(classes=two))
    assert checked.faults == [
        "classes: rust (2) is in no mask to train on; draw it, or leave it out"
    ]


def test_the_same_picture_in_one_group_does_no_harm(folder):
    save(folder / "absent/v_1.png", pixels(70))
    save(folder / "absent/v_2.png", pixels(70))
    (line,) = check_folder(folder, task()).faults
    assert "absent/v_2.png: the same picture as absent/v_1.png, which may come to anoth" in line
    assert check_folder(folder, task(group=r"(^[a-z])")).faults == []


@pytest.mark.parametrize("what", ["zip", "nothing"])
def test_what_is_no_folder_is_one_line(tmp_path, segtrans, what):
    path = tmp_path / "photos.zip"
    if what == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x", "y")
    code, out, errors = segtrans("check", path)
    assert (code, out, len(errors)) == (1, "", 1)
    assert ("unpack it if it is an archive" if what == "zip" else "no such folder") in errors[0]


def test_values_given_win_over_the_folders_and_these_over_the_defaults(folder):
    assert complete_definition(folder, {}).title == "photos"
    (folder / "dataset.yaml").write_text(
        "title: Cracks\nsize: stretch\nheight: 96\nclasses: {crack: 1}\n"
        "intensity: {mode: percentile, low: 1, high: 99}\n"
    )
    task = complete_definition(folder, {"height": 64, "directory": "elsewhere"})
    assert (task.title, task.size, task.height, task.width) == ("Cracks", "stretch", 64, 128)
    assert (task.classes, task.directory, task.channels) == ({"crack": 1}, "elsewhere", ("grey",))
    assert task.intensity.high == 99
    assert check_folder(folder, task).skipped.others == ()


@pytest.mark.parametrize(
    ("write", "channels"),
    [
        (lambda p: save(p, pixels(0, (24, 32, 3))), ("red", "green", "blue")),
        (lambda p: save(p, pixels(0, (24, 32, 4))), ("red", "green", "blue")),
        (lambda p: save(p, pixels(0)), ("grey",)),
        (lambda p: np.save(p.with_suffix(".npy"), pixels(0, (24, 32, 2))),
         ("channel_0", "channel_1")),
        (lambda p: p.write_bytes(b""), ("red", "green", "blue")),  # of the next that can be read
    ],
)  # fmt: skip
def test_channels_are_those_of_the_first_image(tmp_path, write, channels):
    save(tmp_path / "absent/b.png", pixels(0, (24, 32, 3)))
    write(tmp_path / "absent/a.png")
    assert complete_definition(tmp_path, {}).channels == channels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("channel: [grey]\n", "dataset.yaml: channel: unknown; did you mean channels?"),
        ("size: huge\n", "dataset.yaml: size = \"huge\": "),
        ("directory: x\n", "dataset.yaml: directory: the folder says it itself"),
        ("- a\n", "dataset.yaml: expected a YAML mapping"),
        ("size: [\n", "dataset.yaml"),
    ],
)  # fmt: skip
def test_a_bad_dataset_yaml_is_one_line(folder, text, words):
    (folder / "dataset.yaml").write_text(text)
    with pytest.raises(UserError) as raised:
        complete_definition(folder, {})
    assert words in str(raised.value)


def a_folder_of(folder, n, change):
    for number in range(n):
        for domain in ("present", "absent"):
            image = pixels(2 * number + (domain == "present"), (40, 40)) // 2 + 40
            save(folder / domain / f"{number}.png", change(image, domain == "present"))
    for number in range(3):  # one for each fold
        save(folder / f"masks/{number}.png", square(255, (40, 40)))
    return folder


def brighter(image, is_present):
    return image + np.uint8(8 * is_present)


def framed(image, is_present):
    image[:2] = image[-2:] = 255 if is_present else 0
    return image


def cropped(image, is_present):
    return image[:, : 36 if is_present else 40].copy() if is_present else image


def striped(image, is_present):  # no number tells, the classifier does
    image[10:20, 5 if is_present else 25 :][:, :10] += 40
    return image


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (lambda image, is_present: image, set()),
        (brighter, {"brightness", "brightness of the border"}),
        (framed, {"brightness of the border"}),
        (striped, {"column of the centre of brightness"}),
    ],
)
def test_what_tells_the_domains_apart_is_named(tmp_path, change, telling):
    folder = a_folder_of(tmp_path, 20, change)
    found = {one.name: one for one in find_shortcuts(check_folder(folder, task()).facts)}
    told = {name for name, one in found.items() if one.tells}
    assert told >= telling
    assert (CLASSIFIER in told) == bool(telling)
    if not telling:
        assert not told


def test_the_command_warns_of_it(tmp_path, segtrans):
    code, out, _ = segtrans("check", a_folder_of(tmp_path, 10, brighter))
    assert code == 0
    assert "  1.00 brightness: higher in present images\n" in out
    assert "WARNING: above 0.9: brightness, " in out
    assert "A translator may learn this in place of the target" in out


def test_too_few_good_pictures_are_not_told_as_too_few_pictures(tmp_path, segtrans):
    folder = a_folder_of(tmp_path, 10, lambda image, _: image)
    save(folder / "absent/0.png", square(0))
    _, out, _ = segtrans("check", folder)
    assert "too few to say what else" in out
    assert "10 images without a fault of each are needed" in out


def test_areas_and_classifier_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    is_present = np.arange(300) % 3 == 0
    values = np.round(rng.normal(is_present * 0.7, 1), 1)  # with ties
    assert auc_of(values, is_present) == pytest.approx(roc_auc_score(is_present, values))
    features = rng.normal(size=(300, 40)) + 0.25 * is_present[:, None]
    ridge = RidgeClassifier(alpha=40, class_weight="balanced")
    scores = cross_val_predict(ridge, features, is_present, method="decision_function")
    ours = classifier_auc(features, is_present, [str(k) for k in range(300)])
    assert ours == pytest.approx(roc_auc_score(is_present, scores), abs=0.03)


def test_the_classifier_is_not_asked_about_groups_it_has_seen():
    rng = np.random.default_rng(0)
    patients = rng.normal(size=(12, 50))
    patient = np.arange(240) % 12
    features = patients[patient] + 0.01 * rng.normal(size=(240, 50))
    is_present = patient % 2 == 0
    ours = classifier_auc(features, is_present, [str(k) for k in patient])
    alone = classifier_auc(features, is_present, [str(k) for k in range(240)])
    assert alone > 0.99
    assert ours < 0.9

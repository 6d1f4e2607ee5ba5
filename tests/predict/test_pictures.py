"""Pictures go in and come back in their own size, type and name; the networks are tiny."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from imagecodecs import png_encode
from PIL import Image
from scipy.ndimage import binary_erosion
from skimage.data import astronaut, camera
from skimage.io import imread
from torch import nn

import segtrans.predict.pictures as predicting
from segtrans.errors import UserError, UserErrors
from segtrans.predict.picture_files import PicturePrediction, encoded
from segtrans.predict.picture_list import find_pictures
from segtrans.predict.picture_stream import one_processor_left
from segtrans.predict.pictures import predict_pictures
from tests.limits import WAIT_S
from tests.predict.picture_runs import write_run

ROOT = Path(__file__).parents[2]
ALL = ("mask", "probability", "translation", "residual", "overlay")
COLOURS = ("red", "green", "blue")


@pytest.fixture
def make_run(tmp_path):
    return partial(write_run, tmp_path)


class Light(nn.Module):
    """Segments where the first channel is above a half; halves every intensity."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def segment(self, x):
        return (x[:, :1] > 0.5).float()

    def remove(self, x_P):
        return x_P / 2, x_P / 2

    def insert(self, x_A, u_prior):
        raise NotImplementedError

    def sample_u(self, x_A, generator):
        raise NotImplementedError


@pytest.fixture
def light(monkeypatch):
    monkeypatch.setattr(predicting, "load_method", lambda run, which: Light().eval())


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == np.uint16:
        path.write_bytes(png_encode(pixels))
    else:
        Image.fromarray(pixels).save(path, **options)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(table):
    with table.open() as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def run(*args, threshold=0.5, kinds=ALL):
    return predict_pictures(*args, threshold=threshold, kinds=kinds)


@pytest.mark.parametrize("size", ["fit", "stretch", "tile"])
def test_each_output_lies_on_its_picture_in_colour_and_in_16_bits(tmp_path, make_run, light, size):
    photos, out = tmp_path / "photos", tmp_path / "out"
    colour = astronaut()[:100, 100:250]
    write(photos / "sub" / "a.png", colour)
    turned = Image.Exif()
    turned[0x0112] = 6
    write(photos / "b.JPG", colour[::-1], exif=turned, quality=95)
    rgb = make_run(channels=COLOURS, size=size)
    table = run(rgb, photos, out)
    suffixes = {"residual": "tif", "overlay": "jpg"}
    names = {f"{kind}/sub/a.{suffixes.get(kind, 'png')}" for kind in ALL}
    assert names < set(contents(out))
    assert set(rows(table)) == {"sub/a.png", "b.JPG"}
    assert imread(out / "mask/b.png").shape == (150, 100)
    check_prediction(out, "sub/a", colour, 255, tolerance=0.02 if size == "tile" else 0.4)

    deep = (camera()[60:130, 200:300].astype(np.uint16) * 257 + 3)[..., None]
    write(tmp_path / "deep/c.png", deep[..., 0])
    run(make_run(size=size), tmp_path / "deep/c.png", tmp_path / "out16")
    assert imread(tmp_path / "out16/translation/c.png").dtype == np.uint16
    check_prediction(tmp_path / "out16", "c", deep, 65535, 0.02 if size == "tile" else 0.4)


def check_prediction(out, name, picture, largest, tolerance):
    """What the method `Light` makes of a picture, but for the details that fitting blurs."""
    is_light = picture[..., 0] > largest / 2
    mask, probability = imread(out / f"mask/{name}.png"), imread(out / f"probability/{name}.png")
    assert (mask.dtype, probability.dtype) == (np.uint8, np.uint16)
    clear = (probability < 32767) | (probability > 32768)
    np.testing.assert_array_equal(mask[clear], np.where(probability > 32768, 255, 0)[clear])
    both = np.logical_and(mask > 0, is_light).sum() * 2 / ((mask > 0).sum() + is_light.sum())
    assert both > (0.97 if tolerance < 0.1 else 0.75)
    translation = imread(out / f"translation/{name}.png").reshape(picture.shape)
    residual = imread(out / f"residual/{name}.tif").reshape(picture.shape)
    assert residual.dtype == np.float32
    for half in (translation, residual):
        assert np.abs(half / largest - picture / largest / 2).max() < tolerance
    overlay = imread(out / f"overlay/{name}.jpg")
    assert overlay.shape == (*picture.shape[:2], 3)
    outline = (mask > 0) & ~binary_erosion(mask, border_value=1)
    away = np.abs(overlay - np.array([213.0, 94, 0])).mean(axis=2)  # JPEG: about that colour
    assert np.median(away[outline]) < 30 < np.median(away[~outline])


def test_what_is_too_long_for_jpeg_is_a_png():
    for width, suffix in ((65_500, ".jpg"), (65_501, ".png")):
        maps = [np.ones((1, 1, width), np.float32)]
        predicted = PicturePrediction.of(np.zeros((1, width, 1), np.uint8), maps, threshold=0.5)
        ((place, content),) = encoded("overlay", predicted, None).items()
        assert place == f"overlay/{{}}{suffix}"
        assert iio.imread(content, extension=suffix).shape == (1, width, 3)


def test_networks_leave_a_processor_to_readers_and_writers(monkeypatch):
    before = torch.get_num_threads()
    for n, left in ((1, 1), (2, 1), (3, 2)):
        monkeypatch.setattr("segtrans.predict.picture_stream.n_processors", lambda n=n: n)
        with pytest.raises(ZeroDivisionError), one_processor_left():
            assert torch.get_num_threads() == left
            1 / 0  # noqa: B018
        assert torch.get_num_threads() == before


def test_the_table_says_how_much_and_how_sure(tmp_path, make_run, light):
    dark, spot = np.full((32, 40), 40, np.uint8), np.full((32, 40), 40, np.uint8)
    spot[:4, :5] = 200
    write(tmp_path / "in/dark.png", dark)
    write(tmp_path / "in/spot.png", spot)
    table = rows(run(make_run(min_target_fraction=0.03125), tmp_path / "in", tmp_path / "out"))
    assert table["dark.png"]["area"] == "0"
    assert float(table["dark.png"]["max_probability"]) == float(table["dark.png"]["score"]) == 0
    assert table["spot.png"]["area"] == "20"
    assert float(table["spot.png"]["max_probability"]) == 1
    assert float(table["spot.png"]["score"]) == 0.5  # 20 of the 40 pixels of the least target


def test_classes_are_told_apart(tmp_path, make_run, monkeypatch):
    class Two(Light):
        def segment(self, x):
            crack, rust = (x < -0.5).float(), (x > 0.5).float() * 0.8
            return torch.cat([1 - crack - rust, crack, rust], dim=1)

    monkeypatch.setattr(predicting, "load_method", lambda run, which: Two().eval())
    picture = np.zeros((32, 40), np.float32)
    picture[:, :10], picture[:5, 10:] = -1, 1
    np.save(tmp_path / "a.npy", picture)
    tiny = make_run(classes={"crack": 1, "rust": 2})
    table = rows(run(tiny, tmp_path / "a.npy", tmp_path / "out", kinds=["mask"]))
    expected = np.where(picture < 0, 1, np.where(picture > 0, 2, 0))
    np.testing.assert_array_equal(imread(tmp_path / "out/mask/a.png"), expected)
    assert table["a.npy"]["area_crack"] == "320"
    assert table["a.npy"]["area_rust"] == "150"
    assert table["a.npy"]["area"] == "470"


def test_a_picture_may_have_a_file_for_each_channel(tmp_path, make_run, light):
    for name in ("w", "x", "y"):
        for channel in range(2):
            write(tmp_path / f"in/{name}_000{channel}.png", camera()[:32, :40])
    tiny = make_run(channels=["t1", "flair"])
    (tmp_path / "in/y_0001.png").unlink()
    with pytest.raises(UserErrors, match=r"y_0000\.png: has no file y_0001; expected 2, a"):
        run(tiny, tmp_path / "in", tmp_path / "out")
    assert imread(tmp_path / "out/translation/x.tif").shape == (32, 40, 2)
    assert run(tiny, tmp_path / "in/x_0001.png", tmp_path / "one").exists()
    assert list(contents(tmp_path / "one/mask")) == ["x.png"]


def test_bad_pictures_are_named_at_the_end_and_the_good_ones_are_written(tmp_path, make_run, capfd):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b", "c"):
        write(folder / f"{name}.png", camera()[:50, :60])
    write(folder / "colour.png", astronaut()[:50, :60])
    whole = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "photo.heic").write_bytes(b"x")
    np.save(folder / "nan.npy", np.full((40, 40), np.nan, np.float32))
    (folder / "._a.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserErrors) as caught:
        run(make_run("autoencoder"), folder, out, kinds=["mask", "overlay"])
    *lines, last = caught.value.lines
    for name in ("b.png", "colour.png", "empty.png", "photo.heic", "nan.npy"):
        assert sum(line.startswith(f"{folder / name}: ") for line in lines) == 1, lines
    assert last == f"5 pictures are left out, named above; 2 are in {out}"
    assert "segtrans: passed over 2 files: notes.txt, ._a.png\n" in capfd.readouterr().err
    written = {place.format(name) for place in ("mask/{}.png", "overlay/{}.jpg") for name in "ac"}
    assert set(contents(out)) == written | {"predictions.csv", "predictions.jsonl"}


def test_where_no_picture_can_be_predicted_nothing_is_left(tmp_path, make_run):
    folder, trained = tmp_path / "in", make_run("autoencoder")
    for name in "ab":
        write(folder / f"{name}.png", astronaut()[:50, :60])
    kept = tmp_path / "kept"
    (kept / "mask").mkdir(parents=True)
    for out in (kept, tmp_path / "new/deep"):
        with pytest.raises(UserErrors) as caught:
            run(trained, folder, out, kinds=["mask"])
        assert len(caught.value.lines) == 3
        assert caught.value.lines[-1] == "2 pictures are left out, named above; nothing was written"
    assert not (tmp_path / "new").exists()
    assert list(kept.rglob("*")) == [kept / "mask"]
    # What was predicted before stays.
    write(folder / "c.png", camera()[:50, :60])
    with pytest.raises(UserErrors):
        run(trained, folder, kept, kinds=["mask"])
    (folder / "c.png").unlink()
    before = contents(kept)
    with pytest.raises(UserErrors, match=f"named above; 0 are in {kept}"):
        run(trained, folder, kept, kinds=["mask"])
    assert set(contents(kept)) == set(before)


@pytest.mark.parametrize(
    ("intensity", "words"),
    [
        ({"mode": "dtype"}, "1 is the largest number of each type"),
        ({"mode": "window", "low": 0, "high": 255}, "low and high are taken as they are"),
        ({"mode": "percentile", "low": 1, "high": 99}, None),
    ],
)
def test_pictures_of_another_type_than_those_of_the_training_are_told(
    tmp_path, make_run, light, capfd, intensity, words
):
    """A sensor's 12 bits in 16 are nearly black to a run that was trained on 8 bits."""
    folder, out = tmp_path / "in", tmp_path / "out"
    write(folder / "a.png", camera()[:50, :60])
    for name in "bc":
        write(folder / f"{name}.png", camera()[:50, :60].astype(np.uint16) << 4)
    trained = make_run("translation", intensity=intensity)
    run(trained, folder, out)  # which does not say what it was trained on
    assert capfd.readouterr().err == ""
    facts = json.loads((trained / "run.json").read_text())
    facts["data"]["parameters"]["type"] = "uint8"
    (trained / "run.json").write_text(json.dumps(facts))
    run(trained, folder, tmp_path / "again")
    assert contents(tmp_path / "again/mask") == contents(out / "mask")
    said = capfd.readouterr().err
    start = "segtrans: warning: 2 pictures hold uint16, the first of them b.png, and the run was"
    assert said.startswith(f"{start} trained on uint8: {words}") if words else said == ""


def test_what_is_not_ours_is_kept_and_nothing_is_written_then(tmp_path, make_run, light):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b"):
        write(folder / f"{name}.png", camera()[:50, :60])
    tiny = make_run()
    write(out / "mask/b.png", camera()[:50, :60])
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"mask/b\.png: is there already and was not written by"):
        run(tiny, folder, out)
    for inside in (folder, folder / "out", tiny / "out"):
        with pytest.raises(UserError, match=r"lies in the (run folder|folder of the pictures)"):
            run(tiny, folder, inside)
    with pytest.raises(UserError, match=r"where predictions are written"):
        run(tiny, out / "mask", out)
    with pytest.raises(UserError, match=r"holds no picture"):
        (tmp_path / "none").mkdir()
        run(tiny, tmp_path / "none", tmp_path / "new")
    write(folder / "b.bmp", camera()[:50, :60])
    with pytest.raises(UserError, match=r"b\.bmp and b\.png: one name for both predictions"):
        run(tiny, folder, tmp_path / "new")
    (folder / "b.bmp").unlink()
    with pytest.raises(UserError, match=r"--save masks: .*mask"):
        run(tiny, folder, tmp_path / "new", kinds=["masks"])
    assert contents(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_a_folder_holds_the_predictions_of_one_run_threshold_and_folder(tmp_path, make_run, light):
    folder, out = tmp_path / "in", tmp_path / "out"
    write(folder / "a.png", camera()[:50, :60])
    write(tmp_path / "other/a.png", camera()[:50, :60])
    tiny = make_run()
    run(tiny, folder, out)
    before = contents(out)
    for args, threshold, message in [
        ((tiny, folder), 0.4, "at threshold 0.5"),
        ((make_run("autoencoder"), folder), 0.5, "of another run"),
        ((tiny, tmp_path / "other"), 0.5, "of what is in .*/in"),
    ]:
        with pytest.raises(UserError, match=f"holds predictions {message}; give another folder"):
            run(*args, out, threshold=threshold, kinds=["mask"])
    write(out / "mask/a.png", 255 - imread(out / "mask/a.png"))
    with pytest.raises(UserError, match=r"mask/a\.png: was changed since `segtrans predict`"):
        run(tiny, folder, out)
    (out / "mask/a.png").write_bytes(before["mask/a.png"])
    assert contents(out) == before


def test_what_is_there_is_not_made_again_but_what_changed_is(tmp_path, make_run, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b", "c"):
        write(folder / f"{name}.png", camera()[:50, :60])
    tiny = make_run()
    run(tiny, folder, out, kinds=["mask"])
    seen, read = [], predicting.read_finite_image

    def note(files, task):
        seen.append(files)
        return read(files, task)

    monkeypatch.setattr(predicting, "read_finite_image", note)
    run(tiny, folder, out, kinds=["mask"])
    assert seen == []
    write(folder / "b.png", camera()[100:150, :70])
    write(folder / "d.png", camera()[:50, :60])
    (out / "mask/c.png").unlink()
    (folder / "a.png").unlink()
    table = run(tiny, folder, out, kinds=["mask"])
    assert sorted(path.name for (path,) in seen) == ["b.png", "c.png", "d.png"]
    assert imread(out / "mask/b.png").shape == (50, 70)
    assert set(rows(table)) == {"a.png", "b.png", "c.png", "d.png"}
    run(tiny, folder, out, kinds=["probability"])  # beside the masks
    assert set(contents(out)) == {
        *(f"mask/{name}.png" for name in "abcd"),
        *(f"probability/{name}.png" for name in "bcd"),
        *("predictions.csv", "predictions.jsonl"),
    }
    # What stands in the list of a picture that cannot be read now is of what it was before.
    (folder / "d.png").write_bytes(b"")
    with pytest.raises(UserErrors, match=r"d\.png: an empty file"):
        run(tiny, folder, out, kinds=["mask"])
    assert set(rows(table)) == {"a.png", "b.png", "c.png"}


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(tmp_path, make_run):
    folder = tmp_path / "in"
    for number in range(60):
        write(folder / f"{number:02d}.png", camera()[number : number + 90, :100])
    tiny = make_run()
    command = [sys.executable, "-m", "segtrans", "predict", "--weights", tiny, "--input", folder]
    killed = tmp_path / "killed"
    process = subprocess.Popen([*command, "--output", killed], cwd=ROOT)
    deadline = time.monotonic() + WAIT_S
    while len(list(killed.glob("mask/*.png"))) < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(timeout=WAIT_S) == -signal.SIGKILL
    with (killed / "predictions.jsonl").open("ab") as file:
        file.write(b'{"image": "half a li')
    for output in (killed, tmp_path / "whole"):
        run(tiny, folder, output, kinds=["mask", "probability", "overlay"])
    there, whole = contents(killed), contents(tmp_path / "whole")
    for files in (there, whole):
        files["predictions.jsonl"] = sorted(set(files["predictions.jsonl"].splitlines()))
    assert there == whole
    assert len(whole) == 3 * 60 + 2


def test_weights_that_learnt_nothing_are_told(tmp_path, make_run):
    from typer.testing import CliRunner

    from segtrans.cli import app

    folder = make_run("segmentation_only")
    write(tmp_path / "in/a.png", np.zeros((32, 40), np.uint8))
    for iteration, n_warnings in ((200, 0), (0, 1)):
        facts = json.loads((folder / "run.json").read_text())
        facts["best_iteration"] = iteration
        (folder / "run.json").write_text(json.dumps(facts))
        arguments = ["predict", "--weights", folder, "--input", tmp_path / "in"]
        result = CliRunner().invoke(app, [*map(str, arguments), "--output", str(tmp_path / "out")])
        said = "its weights are those that the training began with"
        assert (result.exit_code, result.stderr.count(said)) == (0, n_warnings)


def test_the_wrong_input_for_a_run_is_one_line(tmp_path, make_run):
    from typer.testing import CliRunner

    from segtrans.cli import app

    tiny, out = str(make_run("autoencoder")), str(tmp_path / "out")
    for arguments, message in [
        ([], "give one of --case, a scan, and --input, a folder of your own"),
        (
            ["--case", "x", "--input", "y"],
            "give one of --case, a scan, and --input, a folder of your own",
        ),
        (["--case", "x"], "a run of task mine; expected one of brats, which reads scans"),
        (["--input", "x"], "x: not found; expected a folder of pictures, or one of them"),
        (["--input", tiny, "--save", "translation"], "method autoencoder of .* does not translate"),
    ]:
        base = ["predict", "--weights", tiny, "--output", out, *arguments]
        if "--save" in arguments:
            write(Path(tiny) / "a.png", camera()[:50, :60])
        error = CliRunner().invoke(app, base).exception
        assert isinstance(error, UserError)
        with pytest.raises(UserError, match=message):
            raise error
    assert not Path(out).exists()


def test_what_is_wrong_with_a_picture_is_said_to_who_predicts_it(tmp_path, make_run, light):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "colour.png", astronaut()[:50, :60])
    np.save(folder / "floats.npy", camera()[:50, :60].astype(np.float32))
    trained = make_run("translation")
    with pytest.raises(UserErrors) as caught:
        run(trained, folder, tmp_path / "out")
    colour, floats, _ = caught.value.lines
    assert colour == (
        f"{folder}/colour.png: has 3 channels; expected 1 (grey), those that the run was trained "
        "on: save it in grey"
    )
    assert floats == (
        f"{folder}/floats.npy: values are 197 to 210, which intensity.mode = dtype takes for "
        "intensities of -1 to 1; save it with values as the run's own have"
    )
    (folder / "dataset.csv").write_text("image\n/colour.png\nnone.png\n")
    with pytest.raises(UserErrors) as caught:
        run(trained, folder, tmp_path / "out")
    assert [line.split(";")[0] for line in caught.value.lines] == [
        "dataset.csv: row 2: image = /colour.png: an absolute path",
        "dataset.csv: row 3: image = none.png: no such file in the folder",
    ]


@pytest.mark.parametrize("has_table", [False, True, "of pictures alone"])
def test_masks_of_a_folder_that_was_trained_on_are_no_pictures(tmp_path, has_table):
    folder = tmp_path / "in"
    masks = "elsewhere" if has_table else "ground_truth"
    for name in ("defect/a.png", "good/b.png", f"{masks}/a_mask.png"):
        (folder / name).parent.mkdir(parents=True)
        write(folder / name, np.eye(40, dtype=np.uint8))
    if has_table:
        rows = (
            "image,domain,mask",
            f"defect/a.png,present,{masks}/a_mask.png",
            "good/b.png,absent,",
        )
        if has_table == "of pictures alone":
            rows = ("image,camera", "defect/a.png,7", "good/b.png,")
        (folder / "dataset.csv").write_text("\n".join(rows))
    found = find_pictures(folder, n_channels=1)
    assert [picture.name for picture in found.pictures] == ["defect/a", "good/b"]
    assert folder / masks / "a_mask.png" in found.skipped.others
    alone = find_pictures(folder / masks, n_channels=1)
    assert [picture.name for picture in alone.pictures] == ["a_mask"]

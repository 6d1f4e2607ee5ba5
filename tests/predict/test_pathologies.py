"""Several pathologies of pictures: files and columns of each, and one model that gives all."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut
from skimage.io import imread

from segtrans.config.runs import read_run
from segtrans.errors import UserError
from segtrans.methods.weights import load_method
from segtrans.predict.export import export_run
from segtrans.predict.pictures import predict_pictures
from segtrans.predict.prepared import task_of_pictures
from segtrans.sources.image_folder.fitting import Fitting
from tests.predict.picture_runs import write_run

NAMES = ("crack", "stain")
TWO = {
    "multi_label": True,
    "classes": {"stain": 2, "crack": 1},
    "channels": ["red", "green", "blue"],
}
ALL = ("mask", "probability", "translation", "without", "residual", "overlay")
THRESHOLD = 0.45


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path, "pathologies", **TWO)


@pytest.fixture
def photos(tmp_path):
    for name, width in (("a", 70), ("crack/b", 40)):
        path = tmp_path / f"in/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(astronaut()[:50, :width]).save(path)
    return tmp_path / "in"


def by_networks(run_folder, picture):
    """Probabilities (K, H, W), translation (C, H, W) and residuals (K, C, H, W) in 0 to 255."""
    read = read_run(run_folder)
    fitting, method = (
        Fitting(picture.shape[:2], task_of_pictures(read)),
        load_method(read, which="best"),
    )
    with torch.no_grad():
        x = torch.from_numpy(fitting.views(picture))
        without, residuals = method.decompose(x)
        maps = (method.segment(x)[0], without[0], residuals[0])
    p, without, residuals = (fitting.back(of.numpy()) for of in maps)
    return p, without * 255, residuals * 255


@pytest.mark.parametrize("size", ["fit", "tile"])
def test_each_pathology_has_files_and_columns_of_its_own(tmp_path, photos, size):
    run = write_run(tmp_path, "pathologies", **TWO, size=size)
    table = predict_pictures(run, photos, tmp_path / "out", threshold=THRESHOLD, kinds=ALL)
    found = sorted(
        p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*g")
    )
    of_each = {f"{kind}/{of}/{name}.png" for kind in ("mask", "probability", "without")
               for of in NAMES for name in ("a", "crack/b")}  # fmt: skip
    others = {
        f"{kind}/{name}.{suffix}"
        for kind, suffix in (("translation", "png"), ("overlay", "jpg"))
        for name in ("a", "crack/b")
    }
    assert set(found) == of_each | others
    rows = {row["image"]: row for row in csv.DictReader(table.read_text().splitlines())}
    for name in ("a", "crack/b"):
        row = rows[f"{name}.png"]
        masks = [imread(tmp_path / f"out/mask/{of}/{name}.png") for of in NAMES]
        for of, mask in zip(NAMES, masks, strict=True):
            probability = imread(tmp_path / f"out/probability/{of}/{name}.png") / 65535
            sure = np.abs(probability - THRESHOLD) > 1e-4
            np.testing.assert_array_equal((mask == 255)[sure], (probability > THRESHOLD)[sure])
            assert float(row[f"max_probability_{of}"]) == pytest.approx(probability.max(), abs=2e-5)
            assert int(row[f"area_{of}"]) == (mask == 255).sum()
            assert 0 < float(row[f"score_{of}"]) <= float(row[f"max_probability_{of}"])
        assert int(row["area"]) == (np.maximum(*masks) == 255).sum()
        highest = max(float(row[f"max_probability_{of}"]) for of in NAMES)
        assert float(row["max_probability"]) == highest
        if size == "tile":
            continue
        p, without, residuals = by_networks(run, imread(photos / f"{name}.png"))
        for k, of in enumerate(NAMES):
            probability = imread(tmp_path / f"out/probability/{of}/{name}.png") / 65535
            np.testing.assert_allclose(probability, p[k], atol=1e-4)
            residual = imread(tmp_path / f"out/residual/{of}/{name}.tif")
            np.testing.assert_allclose(residual, np.moveaxis(residuals[k], 0, 2), atol=0.05)
            left = imread(tmp_path / f"out/without/{of}/{name}.png").astype(float)
            expected = np.moveaxis(without + residuals[1 - k], 0, 2).clip(0, 255)
            np.testing.assert_allclose(left, expected, atol=0.6)
        translation = imread(tmp_path / f"out/translation/{name}.png").astype(float)
        expected = np.moveaxis(without, 0, 2).clip(0, 255)
        np.testing.assert_allclose(translation, expected, atol=0.6)


def test_a_file_of_one_pathology_that_is_gone_is_made_again(tmp_path, run, photos):
    out = tmp_path / "out"
    predict_pictures(run, photos, out, threshold=THRESHOLD, kinds=("mask",))
    lost = out / "mask/stain/a.png"
    content = lost.read_bytes()
    lost.unlink()
    predict_pictures(run, photos, out, threshold=THRESHOLD, kinds=("mask",))
    assert lost.read_bytes() == content


def test_a_method_of_one_target_on_such_pictures_gives_one_mask(tmp_path, photos):
    run = write_run(tmp_path, "translation", **TWO)
    with pytest.raises(UserError, match=r"--save without: method translation of .* does not tell"):
        predict_pictures(run, photos, tmp_path / "out", threshold=0.5, kinds=ALL)
    kinds = [kind for kind in ALL if kind != "without"]
    table = predict_pictures(run, photos, tmp_path / "out", threshold=0.5, kinds=kinds)
    assert (tmp_path / "out/mask/a.png").exists()
    assert (tmp_path / "out/residual/crack/b.tif").exists()  # of the picture in crack/
    header = table.read_text().splitlines()[0]
    assert header == "image,max_probability,area,score"


def test_a_folder_with_a_table_of_pathologies_is_predicted_by_its_rows(tmp_path, run):
    for name in ("a", "m"):
        Image.fromarray(astronaut()[:50, :60]).save(tmp_path / f"{name}.png")
    photos = tmp_path / "in"
    photos.mkdir()
    for name in ("a", "m"):
        (tmp_path / f"{name}.png").rename(photos / f"{name}.png")
    (photos / "dataset.csv").write_text("image,domain,crack,stain\na.png,present,1,\n")
    table = predict_pictures(run, photos, tmp_path / "out", threshold=0.5, kinds=("mask",))
    assert len(table.read_text().splitlines()) == 2


@pytest.mark.slow
def test_onnx_runtime_gives_a_map_of_each(tmp_path, run):
    import onnxruntime

    said = export_run(run, tmp_path / "model.onnx", pixels="uint8")
    assert "2 maps (crack, stain)" in said
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for picture in (astronaut()[:50, :70], astronaut()[:33, :90]):
        (found,) = session.run(None, {"picture": picture})
        np.testing.assert_allclose(found, by_networks(run, picture)[0], atol=1e-3)
        assert np.abs(found[0] - found[1]).max() > 0.01

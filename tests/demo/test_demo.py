"""The shipped weights: of the current format, small, of the named preset, as good as documented."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.io import imread

from segtrans.config.params import load_params
from segtrans.config.run_config import resolve_config
from segtrans.config.runs import read_metrics, read_run
from segtrans.config.versions import HALF_SLICES_VERSION, TRAINING_VERSION
from segtrans.demo.held_out import PHANTOM
from segtrans.demo.show import RUNS, run_demo
from segtrans.errors import UserError
from segtrans.methods.weights import load_method
from segtrans.sources.image_folder import examples
from segtrans.sources.image_folder.examples import draw_test_pictures, write_example
from segtrans.sources.parameters import read_params

ROOT = Path(__file__).parents[2]
PRESET = (ROOT / "params.yaml", ROOT / "config/demo.yaml")
TASKS = ("pictures", "brats")
ROUNDING = 0.01  # of documented figures, and of processors that add in another order


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def example(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "_N_OF_DOMAIN", 4)  # of training pictures: seconds less
    write_example(tmp_path / "example", kind="grey")
    return tmp_path / "example"


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_weights_are_of_this_version(task):
    run = read_run(RUNS / task)
    assert run.config.training_version == TRAINING_VERSION
    method = load_method(run, which="best")  # checks the architecture, and the SHA-256
    assert run.record.n_parameters > 0
    assert not method.training
    assert read_metrics(run).test_dice > 0.5
    assert "/work" not in (RUNS / task / "run.json").read_text(encoding="utf-8")
    if task == "brats":
        assert run.record.data.parameters["half_slices_version"] == HALF_SLICES_VERSION


def test_the_shipped_weights_are_small_and_of_the_named_preset(example):
    sizes = [path.stat().st_size for path in RUNS.rglob("*") if path.is_file()]
    assert sum(sizes) < 2e6
    own = {"data_sets": {"pictures": {"directory": str(example)}}}
    params = read_params(*PRESET, overlay=own)
    assert params.tasks == TASKS
    for task in TASKS:
        expected = resolve_config(params, task=task, method="translation", init_seed=0)
        assert read_run(RUNS / task).config == expected
        assert read_run(RUNS / task).record.preset == params.preset == "demo"


def test_what_is_shown_was_held_out(example):
    pictures = {picture.name: picture for picture in draw_test_pictures("grey")}
    files = sorted((example / "test").glob("*sent/*.png"))
    assert len(files) == len(pictures) == 96
    for file in files:
        assert np.array_equal(imread(file), pictures[file.stem].pixels)
        defect = pictures[file.stem].defect
        assert (defect is not None) == (file.parent.name == "present")
        if defect is not None:
            assert np.array_equal(imread(example / "test/masks" / file.name) > 0, defect)
    trained = {path.stem.split("__")[0] for path in example.glob("*sent/*.png")}
    assert not trained & {name.split("__")[0] for name in pictures}
    assert load_params(*PRESET).brats.n_patients <= PHANTOM


def test_the_dice_is_the_documented_one(shown):
    text = (ROOT / "docs/demo.md").read_text(encoding="utf-8")
    documented = re.findall(r"\| (0\.\d\d) \| (0\.\d\d) \| (\d+) of", text)
    assert len(documented) == len(shown) == 2
    for one, (soft, hard, pixels) in zip(shown, documented, strict=True):
        assert one.scores["dice_soft_pooled"] == pytest.approx(float(soft), abs=ROUNDING)
        assert one.scores["dice_hard_pooled"] == pytest.approx(float(hard), abs=ROUNDING)
        absent = one.scores["false_positive_pixels_A_image_mean"]
        assert absent == pytest.approx(float(pixels), rel=0.05)


def test_pictures_score_as_they_did_when_the_run_was_evaluated(shown):
    """Then they came from files, by way of a data set and `segtrans evaluate`."""
    pictures, _ = shown
    expected = read_metrics(read_run(RUNS / "pictures")).best["test"]
    assert pictures.scores["n_images_P"] == expected["n_images_P"] == 48
    for name in ("dice_soft_pooled", "dice_hard_pooled"):
        assert pictures.scores[name] == pytest.approx(expected[name], abs=1e-3)


def test_a_picture_is_written_of_each(shown):
    assert [one.picture.name for one in shown] == ["pictures.png", "phantom.png"]
    for one in shown:
        image = np.asarray(Image.open(one.picture).convert("RGB"))
        assert min(image.shape[:2]) > 600
        # Residuals are drawn in colours, everything else is grey.
        assert (np.ptp(image.astype(int), axis=2) > 60).any()


def test_damaged_weights_are_refused_before_anything_is_drawn(tmp_path):
    shutil.copytree(RUNS, tmp_path / "runs")
    weights = tmp_path / "runs/pictures/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="SHA-256"):
        run_demo(tmp_path / "out", runs=tmp_path / "runs")
    assert not list((tmp_path / "out").iterdir())

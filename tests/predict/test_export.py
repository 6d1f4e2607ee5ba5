"""What is exported computes what prediction does: resampling, intensities and networks."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut, camera

from segtrans.config.runs import read_run
from segtrans.methods.weights import load_method
from segtrans.predict.export import doubt_of_pixels, export_run
from segtrans.predict.network_of_pictures import NetworkOfPictures
from segtrans.predict.picture_stream import Networks
from segtrans.predict.prepared import task_of_pictures
from segtrans.sources.image_folder.fitting import Fitting
from tests.predict.picture_runs import write_run

COLOURS = ("red", "green", "blue")
PERCENTILE = {"mode": "percentile", "low": 1.0, "high": 99.0}


def by_prediction(run_folder, picture):
    """Probabilities (K, H, W) as `segtrans predict` computes them."""
    run = read_run(run_folder)
    fitting = Fitting(picture.shape[:2], task_of_pictures(run))
    networks = Networks(load_method(run, which="best"), with_translation=False)
    return fitting.joined(networks(fitting.views(picture))[0])


@pytest.mark.parametrize("size", ["fit", "stretch"])
@pytest.mark.parametrize(
    "intensity",
    [{"mode": "dtype"}, {"mode": "zscore"}, PERCENTILE, {"mode": "window", "low": 9, "high": 99}],
    ids=lambda intensity: intensity["mode"],
)
def test_torch_alone_fits_pictures_as_prediction_does(tmp_path, size, intensity):
    folder = write_run(tmp_path, "autoencoder", channels=COLOURS, size=size, intensity=intensity)
    run = read_run(folder)
    network = NetworkOfPictures(load_method(run, which="best"), task_of_pictures(run), largest=255)
    whole = astronaut()
    for picture in (whole[:200, :91], whole[:20, :17], whole[:7, :400], whole[:32, :40], whole):
        with torch.inference_mode():
            found = network(torch.from_numpy(picture.copy())).numpy()
        np.testing.assert_allclose(found, by_prediction(folder, picture), atol=2e-4)


@pytest.mark.parametrize(
    ("task", "type_", "pixels", "is_told"),
    [
        ({}, "uint8", "uint16", True),
        ({}, "uint8", "uint8", False),
        ({}, None, "uint16", False),
        ({"intensity": PERCENTILE}, "uint8", "uint16", False),
        ({"size": "tile"}, "uint8", "uint16", False),  # it takes intensities
    ],
)
def test_a_model_of_another_type_than_that_of_the_training_is_told(
    tmp_path, task, type_, pixels, is_told
):
    doubt = doubt_of_pixels(write_run(tmp_path, "autoencoder", type_=type_, **task), pixels)
    expected = "the model takes uint16, and the run was trained on uint8: 1 is the largest number"
    assert doubt.startswith(expected) if is_told else doubt is None


@pytest.mark.slow
def test_onnx_runtime_computes_the_same_of_pictures_of_any_size(tmp_path):
    import onnxruntime

    folder = write_run(tmp_path, "translation", intensity=PERCENTILE, type_="uint8")
    said = export_run(folder, tmp_path / "model.onnx", pixels="uint16")
    assert "intensity (percentile) and size (fit to 32 x 40, and back) are in it" in said
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert said.endswith("of the picture's size; the run was trained on uint8.")
    assert session.get_modelmeta().description == said
    assert session.get_modelmeta().custom_metadata_map["trained_on_type"] == "uint8"
    assert [x.type for x in session.get_inputs()] == ["tensor(uint16)"]
    deep = camera().astype(np.uint16)[..., None] * 200
    for picture in (deep[:100, :60], deep[:33, :150]):
        (found,) = session.run(None, {"picture": picture})
        np.testing.assert_allclose(found, by_prediction(folder, picture), atol=1e-3)
        assert np.ptp(found) > 0.01


@pytest.mark.slow
def test_a_model_of_tiles_takes_intensities_and_says_so(tmp_path):
    import onnxruntime

    folder = write_run(tmp_path, "segmentation_only", channels=COLOURS, size="tile")
    said = export_run(folder, tmp_path / "model.onnx", pixels="uint8")
    assert said.startswith("Takes intensities in [-1, 1] of one image")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    tile = astronaut()[:32, :40]
    intensities = np.moveaxis(tile / 255, 2, 0).astype(np.float32)
    (found,) = session.run(None, {"intensities": intensities})
    np.testing.assert_allclose(found, by_prediction(folder, tile), atol=1e-3)

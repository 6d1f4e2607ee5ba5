"""Between an image's own size and the task's: scikit-image and torch are the independent truth."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut, camera
from skimage.filters import gaussian
from skimage.transform import resize
from torch.nn import functional as F

from segtrans.errors import UserError
from segtrans.sources.image_folder.fitting import Fitting
from segtrans.sources.image_folder.intensities import levels_of
from segtrans.tasks.image_folder import ImageFolder, Intensity


def task(size="fit", height=64, width=64, **intensity):
    return ImageFolder(
        kind="image_folder",
        title="Mine",
        directory="mine",
        height=height,
        width=width,
        size=size,
        intensity=Intensity(**intensity),
    )


def fitting(x, size="fit", height=64, width=64, **intensity):
    return Fitting(x.shape[:2], task(size, height, width, **intensity))


def disc(height, width):
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - 0.5 * height) ** 2 + (columns - 0.45 * width) ** 2 < (0.3 * height) ** 2
    return inside.astype(np.uint8)


@pytest.mark.parametrize("shape", [(40, 40), (50, 33), (17, 90)])
def test_an_image_is_enlarged_as_scikit_image_does(shape):
    x = np.random.default_rng(0).random((*shape, 3)).astype(np.float32)
    got = fitting(x, "stretch", 96, 120).image(x)
    expected = resize(x, (96, 120), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(got, np.moveaxis(expected, 2, 0), atol=2e-6)


def test_an_image_is_made_smaller_as_torch_and_scikit_image_do():
    x = astronaut()
    got = fitting(x, "stretch", 96, 120).image(x)
    tensor = torch.from_numpy(np.moveaxis(x, 2, 0) / 255)[None]
    torchs = F.interpolate(tensor, (96, 120), mode="bilinear", antialias=True)[0]
    np.testing.assert_allclose(got, torchs, atol=1e-5)
    smooth = gaussian(x / 255, 4, channel_axis=2)
    of_smooth = fitting(x, "stretch", 96, 120).image(smooth)
    expected = resize(smooth, (96, 120), anti_aliasing=True)
    np.testing.assert_allclose(of_smooth, np.moveaxis(expected, 2, 0), atol=0.01)


@pytest.mark.parametrize("shape", [(200, 100), (90, 200), (31, 30), (5, 400), (1, 1)])
def test_fit_keeps_the_shape_and_pads_by_reflection(shape):
    x = np.random.default_rng(0).random((*shape, 1)).astype(np.float32)
    fit = fitting(x)
    scale = 64 / max(shape)
    assert fit.resized == tuple(max(1, round(n * scale)) for n in shape)
    got = fit.image(x)[0]
    before = [(64 - n) // 2 for n in fit.resized]
    inner = got[tuple(slice(b, b + n) for b, n in zip(before, fit.resized, strict=True))]
    alone = Fitting(shape, task("stretch", *fit.resized)).image(x)[0]
    np.testing.assert_array_equal(inner, alone)
    around = [(b, 64 - n - b) for b, n in zip(before, inner.shape, strict=True)]
    np.testing.assert_array_equal(got, np.pad(inner, around, mode="reflect"))


@pytest.mark.parametrize("size", ["fit", "stretch", "crop", "tile"])
@pytest.mark.parametrize("shape", [(200, 130), (64, 64), (40, 91), (100, 63)])
def test_a_map_comes_back_in_the_image_s_own_size(size, shape):
    x = disc(*shape).astype(np.float32)[..., None]
    fit = fitting(x, size)
    views = fit.views(x)
    assert views.shape[1:] == (1, 64, 64)
    back = fit.joined(views)[0]
    assert back.shape == shape
    assert back.dtype == np.float32
    overlap = 2 * (back > 0.5)[x[..., 0] > 0.5].sum() / ((back > 0.5).sum() + x.sum())
    assert overlap > (0.999 if size in ("crop", "tile") or shape == (64, 64) else 0.95)


def test_blended_tiles_are_the_image_itself():
    x = np.random.default_rng(0).random((150, 233, 2)).astype(np.float32)
    fit = fitting(x, "tile", 64, 48)
    views = fit.views(x)
    np.testing.assert_allclose(fit.joined(views), np.moveaxis(x, 2, 0), atol=1e-6)
    # A tile that is wrong at its border alone hardly shows where another one covers it.
    views[..., 0, :] += 1
    off = np.abs(fit.joined(views) - np.moveaxis(x, 2, 0))
    assert off[:, 1:].max() < 0.1


@pytest.mark.parametrize("shape", [(64, 64), (200, 130), (65, 40), (128, 192)])
def test_tiles_cover_everything_and_overlap_no_more_than_they_must(shape):
    fit = Fitting(shape, task("tile"))
    covered = np.zeros(fit.padded_shape, int)
    for place in fit.places():
        fit.part(covered, place)[...] += 1
    assert covered.min() == 1
    n = np.prod([-(-of // 64) for of in fit.padded_shape])
    assert len(fit.places()) == n
    if all(of % 64 == 0 for of in shape):
        assert covered.max() == 1


def test_masks_are_nearest_and_lie_on_their_image():
    mask = disc(200, 130) * 3
    for size in ("fit", "stretch"):
        got = Fitting(mask.shape, task(size)).mask(mask)
        assert set(np.unique(got)) == {0, 3}
        of_image = Fitting(mask.shape, task(size)).image((mask > 0)[..., None])[0]
        assert np.mean((got > 0) != (of_image > 0.5)) < 0.02
    stretched = Fitting(mask.shape, task("stretch")).mask(mask)
    expected = resize(mask, (64, 64), order=0, anti_aliasing=False, preserve_range=True)
    assert np.mean(stretched != expected) < 0.005  # of ties


def test_values_of_a_type_are_intensities():
    for x, expected in [
        (camera()[..., None], camera() / 255),
        (camera().astype(np.uint16)[..., None] * 257, camera() / 255),
        ((camera() > 99)[..., None], camera() > 99),
        ((camera()[..., None] / 255 * 2 - 1), camera() / 255 * 2 - 1),
        ((camera().astype(np.int16) * 128)[..., None], camera() * (128 / 32767)),
    ]:
        got = fitting(x, "stretch", 512, 512).image(x)
        assert got.dtype == np.float32
        assert got.shape == (1, 512, 512)
        np.testing.assert_allclose(got[0], expected, atol=1e-6)
    with pytest.raises(UserError, match=r"values are 0 to 255, which intensity\.mode = dtype"):
        fitting(x).image(camera().astype(np.float32)[..., None])


@pytest.mark.parametrize(
    ("intensity", "low", "high"),
    [
        ({"mode": "window", "low": 20.0, "high": 120.0}, 20, 120),
        ({"mode": "percentile", "low": 1.0, "high": 99.0}, *np.percentile(camera(), [1, 99])),
        ({"mode": "zscore"}, *(camera().mean() + 5 * camera().std() * np.array([-1, 1]))),
    ],
)
def test_windows_and_statistics_are_of_minus_one_to_one(intensity, low, high):
    x = camera()[..., None]
    got = fitting(x, "stretch", 512, 512, **intensity).image(x)[0]
    expected = np.clip((x[..., 0].astype(float) - low) / (high - low) * 2 - 1, -1, 1)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    levels = levels_of(x, Intensity(**intensity))
    inside = (x >= low) & (x <= high)
    again = levels.undo(levels.apply(x), np.uint8)
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again[inside], x[inside])


def test_channels_have_levels_of_their_own():
    x = np.stack([camera(), camera() // 2, np.full_like(camera(), 7)], axis=2)
    got = fitting(x, "stretch", 512, 512, mode="zscore").image(x)
    np.testing.assert_allclose(got[0], got[1], atol=0.02)
    assert not got[2].any()

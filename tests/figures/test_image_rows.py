import numpy as np
import pytest
from matplotlib.image import imread

from segtrans.figures.image_rows import Block, Row, rows_figure


def pixels(path):
    return imread(path)[..., :3]


def count(picture, colour):
    return int((np.abs(picture - np.array(colour)) < 1 / 255).all(axis=-1).sum())


@pytest.mark.parametrize(("size", "zoom"), [(48, 2), (128, 1)])
def test_images_are_enlarged_by_whole_numbers_without_resampling(tmp_path, size, zoom):
    # Blue-ish greys that occur nowhere in text or background can be counted.
    checks = np.indices((size, size)).sum(axis=0) % 2
    images = np.stack([0.25 + 0.5 * checks] * 10)
    rows_figure([Block("title", [Row("row", images)])], tmp_path / "rows.png")
    row = pixels(tmp_path / "rows.png")
    is_dark = np.abs(row - 0.25).max(axis=-1) < 2 / 255
    is_light = np.abs(row - 0.75).max(axis=-1) < 2 / 255
    n = 10 * (size * zoom) ** 2 // 2
    # Antialiased letters add a few pixels of any grey.
    assert is_dark.sum() == pytest.approx(n, rel=0.01)
    assert is_light.sum() == pytest.approx(n, rel=0.01)


def test_residuals_are_grey_at_zero_and_symmetric(tmp_path):
    images = np.zeros((3, 40, 40))
    images[1], images[2] = 0.4, -0.4
    rows = [Row("residual", images, limits=(-0.4, 0.4), is_residual=True)]
    rows_figure([Block("title", rows)], tmp_path / "rows.png")
    picture = pixels(tmp_path / "rows.png")
    counts = [
        count(picture, np.array(c) / 255) for c in ((240,) * 3, (0x6B, 0x2F, 0), (0, 0x3A, 0x5C))
    ]
    assert min(counts) >= 40 * 40
    assert max(counts) / min(counts) < 1.01


def test_values_beyond_the_limits_are_clipped(tmp_path):
    images = np.full((2, 40, 40), 7.0)
    rows_figure([Block("title", [Row("row", images), Row("row", -images)])], tmp_path / "rows.png")
    assert count(pixels(tmp_path / "rows.png"), (0, 0, 0)) >= 2 * 40 * 40


def test_the_same_rows_give_the_same_bytes(tmp_path):
    blocks = [Block("a", [Row("row", np.random.default_rng(0).random((4, 20, 30)))])]
    rows_figure(blocks, tmp_path / "a.png")
    rows_figure(blocks, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("length", [10, 80])
def test_a_heading_fits_into_the_picture(tmp_path, length):
    block = Block("W" * length, [Row("row", np.full((10, 64, 64), 0.5))])
    rows_figure([block], tmp_path / "rows.png")
    assert (pixels(tmp_path / "rows.png")[:, -6:] == 1).all()  # the margin stays white

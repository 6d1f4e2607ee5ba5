import numpy as np
import pytest
from matplotlib.image import imread

from segtrans.errors import UserError
from segtrans.figures import progress
from segtrans.figures.progress import progress_figure, write_progress
from segtrans.methods.frames import Frames
from segtrans.tasks.base import VOID


def make_frames(n_channels=1, n_frames=3, n_images=2):
    rng = np.random.default_rng(0)
    images = (n_images, n_channels, 8, 8)
    y = np.zeros((n_images, 8, 8), np.uint8)
    y[:, 2:4, 2:4], y[:, 0, 0] = 1, VOID
    return Frames(
        x=rng.integers(0, 256, images, dtype=np.uint8),
        y=y,
        iterations=np.array([0, 500, 1000][:n_frames]),
        x_PA=rng.integers(0, 256, (n_frames, *images), dtype=np.uint8),
        y_seg=rng.integers(0, 256, (n_frames, n_images, 8, 8), dtype=np.uint8),
    )


@pytest.fixture
def block_of(monkeypatch, tmp_path):
    """The one block that a figure consists of."""
    drawn = []
    draw = progress.rows_figure
    monkeypatch.setattr(
        progress, "rows_figure", lambda *given: (drawn.append(given[0]), draw(*given))
    )

    def block(frames, channels):
        progress_figure(frames, channels, tmp_path / "progress.png", title="Proposed")
        assert imread(tmp_path / "progress.png").ndim == 3
        ((only,),) = drawn
        return only

    return block


def test_a_column_for_each_frame_behind_the_image_and_its_mask(block_of):
    frames = make_frames()
    block = block_of(frames, ("grey",))
    assert block.heading == "Proposed"
    assert list(block.columns) == ["image, mask", "0", "500", "1,000"]
    assert len(block.rows) == 4
    translated, segmented = block.rows[2:]  # of the second image
    np.testing.assert_allclose(translated.images[0] * 255, frames.x[1, 0])
    np.testing.assert_allclose(translated.images[1:] * 255, frames.x_PA[:, 1, 0])
    mask = np.zeros((8, 8))
    mask[2:4, 2:4] = 1  # not what is unknown
    np.testing.assert_array_equal(segmented.images[0], mask)
    np.testing.assert_allclose(segmented.images[1:] * 255, frames.y_seg[:, 1])
    assert segmented.limits == (0, 1)


def test_of_several_channels_the_last_is_drawn_and_named(block_of):
    frames = make_frames(n_channels=4)
    block = block_of(frames, ("t1", "t2", "t1c", "flair"))
    assert block.heading == "Proposed, flair"
    np.testing.assert_allclose(block.rows[0].images[1:] * 255, frames.x_PA[:, 0, 3])


def test_colours_are_drawn_as_colours(block_of):
    frames = make_frames(n_channels=3)
    block = block_of(frames, ("red", "green", "blue"))
    assert block.heading == "Proposed"
    assert block.rows[0].images.shape == (4, 8, 8, 3)
    np.testing.assert_allclose(block.rows[0].images[0, ..., 2] * 255, frames.x[0, 2])


def test_an_image_of_one_value_is_drawn(block_of):
    frames = make_frames()
    frames.x[:] = 7
    low, high = block_of(frames, ("grey",)).rows[0].limits
    assert low < high


def test_a_run_gets_its_picture_and_one_without_frames_has_none(write_run):
    folder = write_run("translation")
    make_frames().write(folder / "frames.npz")
    write_progress(folder)
    assert imread(folder / "progress.png").ndim == 3
    (folder / "frames.npz").unlink()
    write_progress(folder)
    assert not (folder / "progress.png").exists()


def test_damaged_frames_are_one_line(write_run):
    folder = write_run("translation")
    make_frames().write(folder / "frames.npz")
    content = (folder / "frames.npz").read_bytes()
    for damaged in (content[:-30], b"", b"frames"):
        (folder / "frames.npz").write_bytes(damaged)
        with pytest.raises(UserError, match=r"frames\.npz: damaged; train the run again"):
            write_progress(folder)

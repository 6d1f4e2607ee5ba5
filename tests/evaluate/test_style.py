import pytest
from PIL import Image

from segtrans.catalogue import METHODS
from segtrans.evaluate.style import DPI, METHOD_COLOURS, saved_figure


def test_every_method_has_a_colour_of_its_own():
    assert set(METHOD_COLOURS) == set(METHODS)
    assert len(set(METHOD_COLOURS.values())) == len(METHODS)


def test_a_figure_is_saved_whole_without_date_or_version(tmp_path):
    with saved_figure(tmp_path / "new" / "a.png", width_in=2, height_in=1) as figure:
        figure.add_subplot().plot([0, 1])
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert image.size == (2 * DPI, DPI)
        assert set(image.info) <= {"dpi"}


def test_a_failed_drawing_leaves_nothing(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        saved_figure(tmp_path / "a.png", width_in=2, height_in=1),
    ):
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []

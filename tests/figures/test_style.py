import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from segtrans.config.catalogue import METHODS
from segtrans.config.runs import read_runs
from segtrans.figures.style import DPI, METHOD_COLOURS, method_colours, saved_figure


def test_every_method_has_a_colour_of_its_own():
    assert set(METHOD_COLOURS) == set(METHODS)
    assert len(set(METHOD_COLOURS.values())) == len(METHODS)


def test_rows_without_variants_have_their_methods_colours(write_run):
    runs = read_runs([write_run("autoencoder"), write_run("translation")])
    assert method_colours(runs) == {
        name: METHOD_COLOURS[name] for name in ("autoencoder", "translation")
    }


@pytest.mark.parametrize("methods", [["translation"], ["translation_noskip", "autoencoder"]])
@pytest.mark.parametrize("n_variants", [2, 6, 9])
def test_every_variant_has_a_colour_of_its_own_that_is_seen_on_white(
    write_run, methods, n_variants
):
    runs = read_runs(
        [write_run(name, variant=f"v{i}") for name in methods for i in range(n_variants)]
    )
    colours = method_colours(runs)
    assert list(colours) == [run.method_name for run in runs]
    assert len(set(colours.values())) == len(runs)
    assert max(min(to_rgb(colour)) for colour in colours.values()) < 0.75


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

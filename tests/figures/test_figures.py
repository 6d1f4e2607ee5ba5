import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import nn

from segtrans.config.runs import read_run
from segtrans.errors import UserError
from segtrans.figures import of_task, panels
from segtrans.figures.of_task import samples_figure, write_figures
from segtrans.figures.panels import panel_figure, write_panel
from segtrans.methods.weights import WEIGHTS, build_method, save_weights


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))

    def segment(self, x):
        return x * self.gain


class Reconstructor(Segmenter):
    def reconstruct(self, x):
        return x * 0.9


class Translator(Segmenter):
    def remove(self, x_P):
        return x_P * 0.75, x_P * 0.25

    def sample_u(self, x_A, generator):
        return torch.randn(x_A.shape, generator=generator)

    def insert(self, x_A, u_prior):
        return x_A + u_prior, u_prior


@pytest.fixture
def blocks_of(monkeypatch):
    """The blocks of rows that a figure consists of."""
    drawn = []
    draw = of_task.rows_figure
    for module in (of_task, panels):
        monkeypatch.setattr(
            module,
            "rows_figure",
            lambda blocks, output: (drawn.append(blocks), draw(blocks, output)),
        )

    def blocks(function, *arguments, **named):
        function(*arguments, **named)
        return drawn.pop()

    return blocks


def labels(block):
    return [row.label.split(",")[0] for row in block.rows]


def test_samples_are_the_rows_of_figure_6(make_store, tmp_path, blocks_of):
    store = make_store()
    (block,) = blocks_of(samples_figure, store, tmp_path / "samples.png", title="A task")
    assert labels(block) == ["presence", "mask", "absence"]
    np.testing.assert_array_equal(block.rows[1].images, store.masks("test")[[2, 4, 0, 1]])
    assert block.heading == "A task: test images"


def test_a_translation_is_drawn_as_figure_7(make_store, tmp_path, blocks_of):
    removed, inserted = blocks_of(
        panel_figure, Translator(), make_store(), tmp_path / "p.png", title="Proposed"
    )
    assert labels(removed) == ["presence", "translation", "residual", "segmentation", "mask"]
    assert labels(inserted) == ["absence", "translation", "residual"]
    x_P, x_PA, delta_PA, y_seg, _ = (row.images for row in removed.rows)
    np.testing.assert_allclose(x_PA + delta_PA, x_P, rtol=1e-6)
    np.testing.assert_allclose(y_seg, x_P / 2)
    x_A, x_AP, delta_AP = (row.images for row in inserted.rows)
    np.testing.assert_allclose(x_A + delta_AP, x_AP, rtol=1e-6)


def test_both_residuals_share_a_symmetric_scale(make_store, tmp_path, blocks_of):
    removed, inserted = blocks_of(
        panel_figure, Translator(), make_store(), tmp_path / "p.png", title="Proposed"
    )
    largest = float(np.abs(inserted.rows[2].images).max())
    assert removed.rows[2].limits == inserted.rows[2].limits == (-largest, largest)


def test_a_baseline_shows_what_it_has(make_store, tmp_path, blocks_of):
    store = make_store()
    (block,) = blocks_of(panel_figure, Reconstructor(), store, tmp_path / "p.png", title="AE")
    assert labels(block) == ["presence", "reconstruction", "segmentation", "mask"]
    (block,) = blocks_of(panel_figure, Segmenter(), store, tmp_path / "p.png", title="Only")
    assert labels(block) == ["presence", "segmentation", "mask"]


def test_the_same_method_gives_the_same_bytes(make_store, tmp_path):
    store = make_store()
    for name in ("a", "b"):
        panel_figure(Translator(), store, tmp_path / f"{name}.png", title="Proposed")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert imread(tmp_path / "a.png").std() > 0.05


def test_residuals_of_nothing_are_drawn(make_store, tmp_path, blocks_of):
    class Idle(Translator):
        def remove(self, x_P):
            return x_P, x_P * 0

        def insert(self, x_A, u_prior):
            return x_A, x_A * 0

    removed, _ = blocks_of(panel_figure, Idle(), make_store(), tmp_path / "p.png", title="Idle")
    assert removed.rows[2].limits == (-1.0, 1.0)


@pytest.mark.parametrize("method", ["segmentation_only", "autoencoder", "translation"])
def test_the_real_methods_get_their_panels(write_run, make_store, blocks_of, method):
    store = make_store()
    folder = write_run(method, sha256=store.sha256())
    config = read_run(folder).config
    save_weights(folder / WEIGHTS["best"], build_method(config).state_dict(), config)
    blocks = blocks_of(write_panel, folder, store.path)
    n_rows = {"segmentation_only": [3], "autoencoder": [4], "translation": [5, 3]}[method]
    assert [len(block.rows) for block in blocks] == n_rows
    assert imread(folder / "panel.png").ndim == 3


def test_the_figures_of_a_task_are_written(write_run, make_store, tmp_path):
    store = make_store()
    runs = [write_run(seed=seed, sha256=store.sha256()) for seed in (0, 1)]
    write_figures(runs, store.path, tmp_path / "figures")
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"samples.png", "learning_curves.png", "learning_curves.csv", "dice.png"}


def test_runs_with_unlike_labelled_fractions_are_drawn_against_them(
    write_run, make_store, tmp_path
):
    store = make_store()
    runs = [
        write_run(variant=f"v{i}", labels={"fraction": fraction}, sha256=store.sha256())
        for i, fraction in enumerate((0.01, 0.1))
    ]
    write_figures(runs, store.path, tmp_path / "figures")
    assert (tmp_path / "figures" / "labels.png").exists()


def test_figures_of_runs_on_other_data_are_refused(write_run, make_store, tmp_path):
    with pytest.raises(UserError, match="not the data of"):
        write_figures([write_run()], make_store().path, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()

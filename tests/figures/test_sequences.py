"""Figure 8: a column for each sequence, and what stands in each row."""

import numpy as np
import pytest
import torch
from torch import nn

from segtrans.data.pathologies import bit_labels
from segtrans.data.store import DOMAINS, FOLDS, Store, StoreHeader, write_store
from segtrans.figures import panels, sequences
from segtrans.figures.panels import sequence_panel
from segtrans.figures.sequences import sequence_samples
from segtrans.sources.brats.merge import LABELS

NAMES = ("t1", "t2", "t1c", "flair")


@pytest.fixture
def make_store(tmp_path):
    def make(case_ids, pathologies=()):
        labels = bit_labels(pathologies) if pathologies else LABELS
        header = StoreHeader(
            "brats", NAMES, {}, "made up", "0" * 64, 0, labels, pathologies=pathologies
        )
        rng = np.random.default_rng(0)
        n = len(case_ids)
        with write_store(tmp_path / "brats.h5", header) as writer:
            for fold in FOLDS:
                for domain in DOMAINS:
                    image = rng.normal(size=(n, 4, 20, 16)).astype(np.float16)
                    image[:, :, :4] = 0
                    arrays = {"image": image, "case_id": np.array(case_ids, dtype="S2")}
                    if domain == "present":
                        mask = np.zeros((n, 20, 16), np.uint8)
                        for i in range(n):
                            mask[i, 6 : 8 + i, 6:10] = 3
                        if pathologies:
                            mask[0, 6:8, 6:10] = 1  # the first alone, larger than the other
                            mask[1:, 12:14, 6:9] = 2
                        arrays["mask"] = mask
                    for name, values in arrays.items():
                        scale = 0.2 if name == "image" else None
                        writer.add(
                            fold, domain, name, shape=values.shape, dtype=values.dtype, scale=scale
                        ).append(values)
        return Store(tmp_path / "brats.h5")

    return make


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def segment(self, x):
        return x[:, 3:].sigmoid()


class Translator(Segmenter):
    def remove(self, x_P):
        return x_P / 2, x_P / 4

    def insert(self, x_A, u_prior):
        return x_A * u_prior, x_A / 8

    def sample_u(self, x_A, generator):
        return torch.full((1,), 0.5)


class Reconstructor(Segmenter):
    def reconstruct(self, x):
        return x / 3


@pytest.fixture
def drawn(monkeypatch):
    """What would be drawn, and that it can be."""
    seen = []
    draw = sequences.rows_figure

    def keep(blocks, output):
        seen.append(blocks)
        draw(blocks, output)

    for module in (panels, sequences):
        monkeypatch.setattr(module, "rows_figure", keep)
    return seen


def test_a_translation_has_the_rows_of_figure_8_for_two_patients(make_store, drawn, tmp_path):
    store = make_store(["a", "b", "a", "b", "c"])
    sequence_panel(Translator(), store, tmp_path / "p.png", title="Proposed")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    (removed, inserted) = drawn[0]
    assert list(removed.columns) == ["T1", "T2", "T1C", "FLAIR"] * 2
    kinds = [row.label.split(",")[0] for row in removed.rows]
    assert kinds == ["presence", "translation", "residual", "segmentation", "mask"]
    assert [row.label.split(",")[0] for row in inserted.rows] == [
        "absence",
        "translation",
        "residual",
    ]
    rows = dict(zip(kinds, removed.rows, strict=True))
    # The largest lesions of a and b are images 2 and 3; lines 0 to 3 are background.
    x = store.images("test", "present")[[2, 3], :, 1:].astype(np.float32) * 0.2
    np.testing.assert_allclose(rows["residual"].images, x.reshape(8, 19, 16) / 4, atol=1e-3)
    assert rows["residual"].limits == pytest.approx(
        (-0.25 * np.abs(x).max(), 0.25 * np.abs(x).max()), rel=0.3
    )
    masks = store.masks("test")[[2, 3], 1:] > 0
    np.testing.assert_array_equal(rows["mask"].images, np.repeat(masks, 4, axis=0))
    probability = 1 / (1 + np.exp(-x[:, 3]))
    np.testing.assert_allclose(
        rows["segmentation"].images, np.repeat(probability, 4, axis=0), atol=1e-3
    )
    for kind in ("presence", "translation"):
        images = rows[kind].images
        assert images.min() == 0
        assert images.max() <= 1
        assert not images[:, :3].any()  # the background is black


class Decomposer(Translator):
    n_pathologies = 2

    def segment(self, x):
        return x[:, 2:].sigmoid()

    def decompose(self, x):
        return x / 2, torch.stack([x / 8, x / 4], dim=1)


def test_each_pathology_of_half_slices_is_removed_in_turn(make_store, drawn, tmp_path):
    store = make_store(["a", "a", "a", "b", "b"], pathologies=("tumour", "lesions"))
    sequence_panel(Decomposer(), store, tmp_path / "p.png", title="Several")
    of_all, of_tumour, of_lesions, _ = drawn[0]
    assert [of_tumour.heading, of_lesions.heading] == ["Without the tumour", "Without the lesions"]
    assert of_tumour.columns == of_all.columns
    # Of each patient an image that shows both; in all of them the lesions are equally large.
    x = store.images("test", "present")[[2, 4], :, 1:].astype(np.float32) * 0.2
    x, masks = x.reshape(8, 19, 16), np.repeat(store.masks("test")[[2, 4], 1:], 4, axis=0)
    is_brain, y_seg = masks >= 0, 1 / (1 + np.exp(-x.reshape(2, 4, 19, 16)[:, 2:]))
    is_brain[:, :3] = False
    for k, (block, share) in enumerate(((of_tumour, 0.125), (of_lesions, 0.25))):
        left, delta, segmented, mask = (row.images for row in block.rows)
        np.testing.assert_allclose(delta, x * share, atol=1e-3)
        assert block.rows[1].limits == pytest.approx(
            (-0.25 * np.abs(x).max(), 0.25 * np.abs(x).max())
        )
        np.testing.assert_array_equal(mask, (masks >> k) & 1)
        np.testing.assert_allclose(segmented, np.repeat(y_seg[:, k], 4, axis=0), atol=1e-3)
        # Everything but its own residual, in black and white of the input.
        without = x * (0.5 + 0.375 - share)
        for i in range(4):
            seen, of_input = without[i::4], x[i::4][is_brain[i::4]]
            low, high = np.percentile(of_input, (0.5, 99.5))
            expected = np.clip((seen - low) / (high - low), 0, 1) * is_brain[i::4]
            np.testing.assert_allclose(left[i::4], expected, atol=2e-2)


def test_other_methods_show_what_they_have(make_store, drawn, tmp_path):
    store = make_store(["a", "b"])
    sequence_panel(Segmenter(), store, tmp_path / "s.png", title="Only")
    sequence_panel(Reconstructor(), store, tmp_path / "r.png", title="AE")
    (only,), (ae,) = drawn
    assert [row.label.split(",")[0] for row in only.rows] == ["presence", "segmentation", "mask"]
    assert [row.label.split(",")[0] for row in ae.rows][1] == "reconstruction"


def test_a_sequence_with_one_value_in_all_that_is_drawn_is_black(tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 2, 8, 6)).astype(np.float32)
    x[:, 1] = -0.3  # cut off, or empty, in these slices
    drawn = sequences.HalfSlices(x, x[:, 0], ("T1", "FLAIR") * 2)
    row = drawn.row("presence", x, (slice(0, 8), slice(0, 6)))
    assert np.isfinite(row.images).all()
    assert not row.images[1::2].any()
    assert row.images[::2].max() == 1


def test_a_single_patient_can_be_drawn(make_store, drawn, tmp_path):
    sequence_samples(make_store(["a", "a", "a"]), tmp_path / "s.png", title="BraTS", image_name="x")
    ((block,),) = drawn
    assert len(block.rows[0].images) == 8
    assert [row.label.split(",")[0] for row in block.rows] == ["presence", "mask", "absence"]

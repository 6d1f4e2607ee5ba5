import numpy as np

from segtrans.figures import examples as module
from segtrans.figures.examples import choose_examples


def test_the_first_image_of_each_digit_is_chosen(make_store):
    store = make_store()
    examples = choose_examples(store)
    # Digits are 3, 9, 0, 3, 1, 9.
    chosen = [2, 4, 0, 1]
    np.testing.assert_array_equal(examples.y, store.masks("test")[chosen])
    np.testing.assert_allclose(
        examples.x_P, store.images("test", "present")[chosen] / 255, rtol=1e-6
    )
    np.testing.assert_allclose(examples.x_A, store.images("test", "absent")[:4] / 255, rtol=1e-6)


def test_data_without_classes_give_images_of_the_whole_fold(make_store, monkeypatch):
    store = make_store(has_digits=False)
    np.testing.assert_array_equal(choose_examples(store).y, store.masks("test"))
    monkeypatch.setattr(module, "_N_WITHOUT_CLASSES", 3)
    examples = choose_examples(store)
    np.testing.assert_array_equal(examples.y, store.masks("test")[[0, 2, 5]])
    for x, domain in ((examples.x_P, "present"), (examples.x_A, "absent")):
        expected = store.images("test", domain)[[0, 2, 5]] / 255
        np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_there_is_a_row_per_channel(make_store):
    examples = choose_examples(make_store(side=20, channels=("T1", "FLAIR")))
    rows = examples.rows("presence", examples.x_P)
    assert [row.label for row in rows] == ["presence\nT1", "presence\nFLAIR"]
    np.testing.assert_array_equal(rows[1].images, examples.x_P[:, 1])
    assert rows[0].limits == (0.0, 1.0)
    assert not rows[0].is_residual


def test_residuals_are_drawn_symmetrically(make_store):
    examples = choose_examples(make_store())
    (row,) = examples.residual_rows("residual", examples.x_P, 0.4)
    assert row.label == "residual"
    assert row.limits == (-0.4, 0.4)
    assert row.is_residual

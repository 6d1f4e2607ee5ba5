import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from segtrans.score.metrics import ImageSums, dice, image_sums, split_scores

# Two images of four pixels, counted by hand.
P = np.array([[[0.8, 0.6], [0.2, 0.0]], [[0.4, 0.0], [0.0, 0.0]]], dtype=np.float32)
Y = np.array([[[1, 0], [1, 0]], [[2, 0], [0, 0]]], dtype=np.uint8)
ABSENT = np.array([[[0.9, 0.1], [0.7, 0.0]], [[0.0, 0.0], [0.0, 0.5]]], dtype=np.float32)


def scores(p=P, y=Y, absent=ABSENT, threshold=0.5):
    return split_scores(
        image_sums(p, y, threshold=threshold), image_sums(absent, None, threshold=threshold)
    )


def test_soft_dice_pools_over_all_pixels():
    # overlap 0.8 + 0.2 + 0.4; sum of p 2.0; three lesion pixels
    assert scores()["dice_soft_pooled"] == pytest.approx(2 * 1.4 / (2.0 + 3))


def test_hard_dice_pools_over_all_pixels():
    # segmented: 0.8 (right) and 0.6 (wrong)
    assert scores()["dice_hard_pooled"] == pytest.approx(2 * 1 / (2 + 3))


def test_hard_dice_per_image_is_averaged():
    assert scores()["dice_hard_image_mean"] == pytest.approx((0.5 + 0.0) / 2)


def test_false_positives_are_segmented_pixels_of_absence_images():
    # 0.9 and 0.7; exactly 0.5 is not above the threshold
    assert scores()["false_positive_pixels_A"] == 2
    assert scores()["false_positive_pixels_A_image_mean"] == 1.0


def test_a_lower_threshold_segments_more():
    assert scores(threshold=0.1)["false_positive_pixels_A"] == 3
    assert scores(threshold=0.1)["dice_hard_pooled"] == pytest.approx(2 * 3 / (4 + 3))


def test_empty_masks_follow_one_rule_and_are_counted():
    empty, full = np.zeros((1, 2, 2)), np.ones((1, 2, 2))
    p = np.concatenate([empty, full, empty, full]).astype(np.float32)
    y = np.concatenate([empty, empty, full, full]).astype(np.uint8)
    sums = image_sums(p, y, threshold=0.5)
    assert sums.dice_hard().tolist() == [1, 0, 0, 1]
    assert sums.dice_soft().tolist() == [1, 0, 0, 1]
    counted = scores(p, y)
    assert counted["n_both_empty_P"] == 1
    assert counted["n_only_mask_empty_P"] == 1
    assert counted["n_only_segmentation_empty_P"] == 1
    assert (counted["n_images_P"], counted["n_images_A"]) == (4, 2)


def test_a_split_of_empty_masks_and_segmentations_is_perfect():
    nothing = np.zeros((2, 2, 2), dtype=np.float32)
    assert scores(nothing, nothing.astype(np.uint8))["dice_soft_pooled"] == 1.0


images = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, (n, 3, 4), elements=st.floats(0, 1, width=32)),
        arrays(np.uint8, (n, 3, 4), elements=st.integers(0, 2)),
    )
)


@given(images)
def test_hard_dice_is_the_f1_score(pair):
    p, y = pair
    sums = image_sums(p, y, threshold=0.5)
    expected = [
        f1_score((mask > 0).ravel(), (image > 0.5).ravel(), zero_division=1.0)
        for image, mask in zip(p, y, strict=True)
    ]
    assert sums.dice_hard() == pytest.approx(expected)
    assert scores(p, y)["dice_hard_pooled"] == pytest.approx(
        f1_score((y > 0).ravel(), (p > 0.5).ravel(), zero_division=1.0)
    )


@given(images, st.integers(1, 4))
def test_blocks_of_any_size_give_the_same_sums(pair, size):
    p, y = pair
    whole = image_sums(p, y, threshold=0.5)
    joined = ImageSums.joined(
        [
            image_sums(p[i : i + size], y[i : i + size], threshold=0.5)
            for i in range(0, len(p), size)
        ]
    )
    for name in vars(whole):
        np.testing.assert_array_equal(getattr(whole, name), getattr(joined, name))


def test_dice_is_symmetric_and_bounded():
    a, b = np.array([4, 9]), np.array([5, 9])
    overlap = np.array([3, 9])
    np.testing.assert_array_equal(dice(overlap, a, b), dice(overlap, b, a))
    np.testing.assert_allclose(dice(overlap, a, b), [6 / 9, 1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01])
def test_what_is_no_probability_is_refused(value):
    p = P.copy()
    p[1, 0, 1] = value
    with pytest.raises(ValueError, match="not a number"):
        image_sums(p, Y, threshold=0.5)


def test_masks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2, 2\), mask is \(1, 2, 2\)"):
        image_sums(P, Y[:1], threshold=0.5)

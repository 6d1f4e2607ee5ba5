"""Half-slices back in volumes: places, Dice and distances known by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from segtrans.data.store import DOMAINS, FOLDS, Store, StoreHeader, write_store
from segtrans.data.values import RESERVED
from segtrans.errors import UserError
from segtrans.score.evaluate import patient_means, per_image, per_patient, score_method
from segtrans.score.patients import COLUMNS, Grid, packed, score_patients, volume_scores
from segtrans.sources.brats.merge import LABELS

GRID = Grid(shape=(12, 10, 20), spacing_mm=(1.0, 1.0, 2.0), mirror_right=False)
NAMES = ("t1", "t2", "t1c", "flair")


def empty():
    return np.zeros((20, 10, 12), bool)


@pytest.mark.parametrize("mirror_right", [False, True])
def test_half_slices_are_put_back_where_they_were_cut(mirror_right):
    grid = Grid((12, 10, 20), (1.0, 1.0, 1.0), mirror_right)
    rng = np.random.default_rng(0)
    truth = rng.random((20, 10, 12)) > 0.5
    places = [("left", 3), ("right", 3), ("right", 17), ("left", 0)]
    expected, half_slices = empty(), []
    for side, z in places:
        columns = slice(6, 12) if side == "left" else slice(0, 6)
        expected[z, :, columns] = truth[z, :, columns]
        cut = truth[z, :, columns]
        half_slices.append(cut[:, ::-1] if mirror_right and side == "right" else cut)
    side, index = (np.array(column) for column in zip(*places, strict=True))
    np.testing.assert_array_equal(grid.volume(np.stack(half_slices), side, index), expected)


def test_whole_slices_are_put_back_where_they_were():
    truth = np.random.default_rng(0).random((20, 10, 12)) > 0.5
    expected, index = empty(), np.array([17, 0, 3])
    expected[index] = truth[index]
    found = GRID.volume(truth[index], np.full(3, "whole"), index)
    np.testing.assert_array_equal(found, expected)


def test_two_blocks_have_the_dice_and_the_distance_counted_by_hand():
    segmented, truth = empty(), empty()
    segmented[4, 2:8, 2:8] = True  # 36 voxels, one plane
    truth[7, 2:8, 2:8] = True  # the same plane, three slices of 2 mm further up
    scores = volume_scores(segmented, truth, GRID)
    assert scores["dice_hard_3d"] == 0
    assert scores["hd95_mm"] == pytest.approx(6)
    truth[4, 2:8, 2:5] = True  # 18 shared voxels
    scores = volume_scores(segmented, truth, GRID)
    assert scores["dice_hard_3d"] == pytest.approx(2 * 18 / (36 + 54))
    assert (scores["lesion_voxels"], scores["predicted_voxels"]) == (54, 36)


def test_a_shifted_ball_is_as_far_off_as_scipy_says():
    from scipy.ndimage import binary_erosion, distance_transform_edt

    z, y, x = np.indices((20, 10, 12))
    first = (z - 9) ** 2 + (y - 5) ** 2 + (x - 5) ** 2 <= 9
    second = (z - 11) ** 2 + (y - 5) ** 2 + (x - 7) ** 2 <= 5
    edges = [mask & ~binary_erosion(mask) for mask in (first, second)]
    away = [distance_transform_edt(~edge, sampling=(2, 1, 1)) for edge in edges]
    expected = max(np.percentile(away[1][edges[0]], 95), np.percentile(away[0][edges[1]], 95))
    assert volume_scores(first, second, GRID)["hd95_mm"] == pytest.approx(expected, rel=1e-5)


def test_empty_masks_follow_the_stated_rule():
    some = empty()
    some[4, 2, 2] = True
    diagonal = math.sqrt(12**2 + 10**2 + 40**2)
    for segmented, truth, dice, distance in (
        (empty(), empty(), 1, 0),
        (some, empty(), 0, diagonal),
        (empty(), some, 0, diagonal),
        (some, some, 1, 0),
    ):
        scores = volume_scores(segmented, truth, GRID)
        assert (scores["dice_hard_3d"], scores["hd95_mm"]) == (dice, pytest.approx(distance))
    brats = Grid((240, 240, 155), (1.0, 1.0, 1.0), mirror_right=False)
    assert brats.diagonal_mm == pytest.approx(373.13, abs=0.01)


# Patients a and b in P and A, patient c in A alone; by domain: case, side, slice.
PLACES = {
    "present": [("a", "left", 2), ("a", "left", 3), ("b", "right", 5)],
    "absent": [("a", "right", 2), ("b", "left", 5), ("c", "left", 1), ("c", "right", 1)],
}


@pytest.fixture
def store(tmp_path):
    parameters = {
        "volume_shape": [12, 10, 20],
        "spacing_mm": [1.0, 1.0, 2.0],
        "mirror_right": False,
    }
    header = StoreHeader("brats", NAMES, parameters, "made up", "0" * 64, 0, LABELS)
    rng = np.random.default_rng(0)
    with write_store(tmp_path / "brats.h5", header) as writer:
        for fold in FOLDS:
            for domain in DOMAINS:
                case_id, side, index = zip(*PLACES[domain], strict=True)
                image = rng.normal(size=(len(case_id), 4, 10, 6)).astype(np.float16)
                arrays = {
                    "image": image,
                    "case_id": np.array(case_id, dtype="S1"),
                    "side": np.array(side, dtype="S5"),
                    "slice_index": np.array(index, dtype=np.int64),
                }
                if domain == "present":
                    arrays["mask"] = (image[:, 3] > 0.5).astype(np.uint8) * 2
                for name, values in arrays.items():
                    scale = 0.2 if name == "image" else None
                    writer.add(
                        fold, domain, name, shape=values.shape, dtype=values.dtype, scale=scale
                    ).append(values)
    return Store(tmp_path / "brats.h5")


class Flair(nn.Module):
    """Segments where the last sequence is bright, which is where the masks are."""

    def __init__(self, above=0.1):
        super().__init__()
        self.above = nn.Parameter(torch.tensor(above))

    def segment(self, x):
        return (x[:, 3:] > self.above).float()


def test_patients_are_scored_over_their_half_slices_of_both_domains(store):
    sums = score_method(Flair(), store, threshold=0.5, has_patients=True)
    table = sums["test"].patients
    assert tuple(table.columns) == COLUMNS
    assert table["case_id"].tolist() == ["a", "b", "c"]
    assert table["n_half_slices_P"].tolist() == [2, 1, 0]
    assert table["n_half_slices_A"].tolist() == [1, 1, 2]
    masks = store.masks("test") > 0
    bright = store.images("test", "absent")[:, 3] * 0.2 > 0.1
    lesion = [masks[:2].sum(), masks[2].sum(), 0]
    invented = [bright[0].sum(), bright[1].sum(), bright[2:].sum()]
    assert table["lesion_voxels"].tolist() == lesion
    assert table["predicted_voxels"].tolist() == [
        n + m for n, m in zip(lesion, invented, strict=True)
    ]
    for i in (0, 1):
        expected = 2 * lesion[i] / (2 * lesion[i] + invented[i])
        assert table["dice_hard_3d"][i] == pytest.approx(expected)
    assert table["dice_hard_3d"][2] == 0
    # Both lesions of patient a are found by the half-slices that are segmented as they are.
    assert table["lesions_missed"].tolist() == [0, 0, 0]
    assert (table["lesions_found"] > 0).tolist() == [True, True, False]
    assert table["lesions_false"][2] > 0
    assert sums["test"].groups is table
    means = patient_means(table)
    assert means["dice_hard_patient_3d"] == pytest.approx(table["dice_hard_3d"].mean())
    assert means["hd95_mm_patient"] == pytest.approx(table["hd95_mm"].mean())
    assert (means["n_patients"], means["n_patients_invented"]) == (3, 1)
    assert per_patient(sums)["fold"].tolist() == ["valid"] * 3 + ["test"] * 3


def test_missed_and_empty_patients_are_counted(store):
    table = score_method(Flair(above=5.0), store, threshold=0.5, has_patients=True)["test"].patients
    means = patient_means(table)
    assert (means["n_patients_missed"], means["n_patients_both_empty"]) == (2, 1)
    assert means["dice_hard_patient_3d"] == pytest.approx(1 / 3)
    assert means["hd95_mm_patient"] == pytest.approx(2 / 3 * Grid.of(store).diagonal_mm)


def test_tasks_without_patients_have_no_such_scores(make_store):
    digits = make_store()
    sums = score_method(First(), digits, threshold=0.5, has_patients=False)
    assert sums["test"].patients is None
    assert set(patient_means(None).values()) == {None}
    table = per_patient(sums)
    assert (len(table), tuple(table.columns)) == (0, COLUMNS)


class First(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def segment(self, x):
        return x[:, :1] * self.gain


def test_images_are_listed_with_patient_side_and_slice(store):
    frame = per_image(store, score_method(Flair(), store, threshold=0.5, has_patients=True))
    row = frame[(frame["fold"] == "test") & (frame["domain"] == "present")].iloc[1]
    assert (row["case_id"], row["side"], row["slice_index"]) == ("a", "left", 3)
    assert isinstance(frame, pd.DataFrame)
    # What is not provenance is no name for it.
    assert set(frame.columns) - {"case_id", "side", "slice_index"} == set(RESERVED)
    with (
        pytest.raises(UserError, match=r"/train/present/index: per_image\.csv has a column index"),
        write_store(store.path.with_name("own.h5"), store.header) as writer,
    ):
        writer.add("train", "present", "index", shape=(3,), dtype=np.int64)


def test_nothing_is_lost_when_patients_stand_in_any_order(store):
    predicted = {domain: packed(np.ones((len(PLACES[domain]), 10, 6), bool)) for domain in DOMAINS}
    table = score_patients(store, "test", predicted)
    assert table["predicted_voxels"].tolist() == [180, 120, 120]

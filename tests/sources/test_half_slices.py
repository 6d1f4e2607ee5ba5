"""Half-slices against hand-counted pixels, NumPy's own mean and sd, and a real patient's counts."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtrans.config.params import load_params
from segtrans.config.refusals import validate
from segtrans.errors import UserError
from segtrans.sources.brats.half_slices import (
    brain_of,
    half,
    intensities_of,
    make_half_slices,
    normalised,
)
from segtrans.tasks.parameters import HalfSliceRules

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "tcga-du-7294"
PARAMS = Path(__file__).parents[2] / "params.yaml"
NAMES = ("t1", "t2", "t1c", "flair")


def patient():
    """Five slices of 8 x 10 (X, Y): what each half is stands in the comments of the test."""
    volumes = {name: np.zeros((8, 10, 5), np.int16) for name in NAMES}
    mask = np.zeros((8, 10, 5), np.uint8)
    # Half-slices have 40 pixels: ten are a quarter.
    volumes["t1"][:4, :3, 1] = 50  # 12 pixels of brain, right
    volumes["flair"][4:, :3, 1] = 70  # 12, left: brain in one sequence is brain
    volumes["t2"][:3, :3, 2] = -20  # 9 pixels: too little; negative values are brain
    volumes["t1"][4:, :, 3] = 60  # 40, left
    volumes["t1c"][:, :, 4] = 10  # 40 and 40
    volumes["t1"][0, 0, 4] = 7
    mask[4, 0, 1] = 3  # 1 of 12
    mask[5, 5, 3] = 1  # 1 of 40
    mask[:2, :2, 4] = 2  # 4 of 40
    return volumes, mask


def test_hand_counted_half_slices_go_where_they_belong():
    volumes, mask = patient()
    domains, _ = make_half_slices(
        volumes, mask, HalfSliceRules(min_lesion_fraction=0.03), case_id="hand"
    )
    assert domains.counts == {
        "present": 2,  # left 1, right 4
        "absent": 2,  # right 1, left 4
        "without_brain": 4,  # both of 0, left 2, right 3
        "small_brain": 1,  # right 2
        "small_lesion": 1,  # left 3
    }
    assert domains.present.side.tolist() == ["right", "left"]
    assert domains.present.slice_index.tolist() == [4, 1]
    assert domains.absent.side.tolist() == ["right", "left"]
    assert domains.absent.slice_index.tolist() == [1, 4]
    assert domains.present.image.shape == (2, 4, 10, 4)
    assert domains.present.mask[0].sum() == 4 * 2
    assert domains.present.mask[1, 0, 0] == 3


def test_the_limits_are_included():
    volumes, mask = patient()
    volumes["t2"][3, 0, 2] = 1  # ten pixels: a quarter
    domains, _ = make_half_slices(
        volumes, mask, HalfSliceRules(min_lesion_fraction=1 / 40), case_id="hand"
    )
    assert domains.counts["small_brain"] == 0
    assert domains.counts["small_lesion"] == 0
    assert domains.counts["present"] == 3


def test_lesion_outside_the_brain_makes_no_presence_and_no_absence():
    volumes, mask = patient()
    before, _ = make_half_slices(volumes, mask, HalfSliceRules(), case_id="hand")
    mask[:4, 5:, 1] = 1  # the brain of right 1, one of A, ends at row 3
    mask[4:, 5:, 2] = 1  # there is no brain on the left of 2
    domains, _ = make_half_slices(volumes, mask, HalfSliceRules(), case_id="hand")
    assert before.absent.side.tolist() == ["right", "left"]
    assert domains.absent.side.tolist() == ["left"]
    changed = {"absent": before.counts["absent"] - 1, "small_lesion": 1}
    assert domains.counts == before.counts | changed


@pytest.mark.parametrize("normalisation", ["per_sequence", "joint"])
def test_the_brain_of_the_whole_volume_is_normalised_and_the_background_stays_zero(normalisation):
    rng = np.random.default_rng(0)
    volumes = {
        name: rng.normal(100 * i, 10 + i, (12, 14, 3)).astype(np.int16)
        for i, name in enumerate(NAMES)
    }
    for volume in volumes.values():
        volume[:, :4] = 0
    brain = np.any([volume != 0 for volume in volumes.values()], axis=0)
    np.testing.assert_array_equal(brain_of(volumes), brain)
    found = intensities_of(volumes, brain, normalisation=normalisation, case_id="x")
    values = {name: volume[brain].astype(float) for name, volume in volumes.items()}
    if normalisation == "joint":
        values = dict.fromkeys(NAMES, np.concatenate(list(values.values())))
    image = normalised(
        volumes, brain, found, side="left", slices=np.arange(3, dtype=np.int64), mirror=False
    )
    for i, name in enumerate(NAMES):
        mean, sd = values[name].mean(), values[name].std()
        assert found.mean[name] == pytest.approx(mean)
        assert found.sd[name] == pytest.approx(sd)
        expected = np.where(brain, (volumes[name] - mean) / sd, 0)[6:].transpose(2, 1, 0)
        np.testing.assert_allclose(image[:, i], expected, rtol=1e-3, atol=1e-3)
    assert not image[:, :, :4].any()


def test_the_right_half_is_mirrored_when_asked_and_the_left_never():
    volumes, mask = patient()
    plain, _ = make_half_slices(volumes, mask, HalfSliceRules(), case_id="x")
    mirrored, _ = make_half_slices(volumes, mask, HalfSliceRules(mirror_right=True), case_id="x")
    for domain in ("present", "absent"):
        before, after = getattr(plain, domain), getattr(mirrored, domain)
        for i, side in enumerate(before.side):
            turn = slice(None, None, -1) if side == "right" else slice(None)
            np.testing.assert_array_equal(after.image[i], before.image[i][..., turn])
            np.testing.assert_array_equal(after.mask[i], before.mask[i][..., turn])


def test_halves_of_an_odd_width_share_the_middle_column():
    volume = np.arange(5)[:, None, None] * np.ones((1, 2, 3))
    assert half(volume, "right")[0, 0].tolist() == [0, 1, 2]
    assert half(volume, "left")[0, 0].tolist() == [2, 3, 4]
    assert half(volume, "left").shape == (3, 2, 3)


def test_a_sequence_of_one_value_is_refused_by_name():
    volumes, mask = patient()
    volumes["t2"][volumes["t1"] != 0] = 4
    volumes = {name: volumes["t2"] if name == "t2" else volumes["t1"] for name in NAMES}
    volumes["t2"] = np.where(brain_of(volumes), 4, 0)
    with pytest.raises(UserError, match="patient 7: sequence t2 has one value, 4"):
        make_half_slices(volumes, mask, HalfSliceRules(), case_id="patient 7")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"min_brain_fraction": 1.5}, "rules: min_brain_fraction = 1.5"),
        ({"min_lesion_fraction": 0.0}, "rules: min_lesion_fraction = 0"),
        ({"normalisation": "joined"}, 'rules: normalisation = "joined".*per_sequence'),
        ({"label_classes": [0, 0]}, r"rules: label_classes = \[0, 0\]: makes no label a lesion"),
        ({"label_classes": [1, 4]}, "rules: label_classes.1 = 4"),
        ({"mirror": True}, "rules: mirror: unknown; did you mean mirror_right"),
    ],
)
def test_rules_that_make_no_sense_are_refused(change, words):
    with pytest.raises(UserError, match=words):
        validate(HalfSliceRules, change, origin="rules")


@pytest.mark.parametrize("classes", [None, (1, 2, 3, 0)])
def test_the_rules_of_a_parameter_file_are_one_value(classes):
    brats = load_params(PARAMS).brats.model_copy(update={"label_classes": classes})
    read = validate(HalfSliceRules, brats.facts, origin="rules")
    assert read.facts == brats.facts
    assert read.label_classes == classes
    # The parameters of a data set, which have had these names and no others since version 1.
    always = {"min_brain_fraction", "min_lesion_fraction", "normalisation", "mirror_right"}
    assert set(brats.facts) == always | ({"label_classes"} if classes else set())


@given(seed=st.integers(0, 2**32), lesion=st.floats(0.01, 0.5), brain=st.floats(0.05, 0.6))
def test_every_half_slice_has_one_fate_and_keeps_its_rule(seed, lesion, brain):
    rng = np.random.default_rng(seed)
    shown = rng.random((6, 8, 7)) < rng.random(7)
    volumes = {name: np.where(shown, rng.integers(1, 90, shown.shape), 0) for name in NAMES}
    mask = ((rng.random(shown.shape) < rng.choice([0, 0.05, 0.5], 7)) & shown).astype(np.uint8)
    if not shown.any():
        return
    domains, _ = make_half_slices(
        volumes,
        mask,
        HalfSliceRules(min_brain_fraction=brain, min_lesion_fraction=lesion),
        case_id="random",
    )
    assert sum(domains.counts.values()) == 2 * 7
    for domain in ("present", "absent"):
        half_slices = getattr(domains, domain)
        assert len(half_slices.image) == domains.counts[domain]
        for side, index, found in zip(
            half_slices.side, half_slices.slice_index, half_slices.mask, strict=True
        ):
            columns = slice(0, 3) if side == "right" else slice(3, 6)
            is_brain = shown[columns, :, index]
            assert is_brain.sum() >= brain * 24
            np.testing.assert_array_equal(found, mask[columns, :, index].T)
            share = np.count_nonzero(found) / is_brain.sum()
            assert share >= lesion if domain == "present" else share == 0


@pytest.mark.skipif(not REAL.is_dir(), reason="the real patient's scan is not here")
def test_a_real_patient_has_the_counts_found_independently():
    files = {"t1": "t1", "t2": "t2", "t1c": "t1ce", "flair": "flair"}
    volumes = {
        name: np.asanyarray(nib.load(REAL / f"TCGA-DU-7294_{file}.nii.gz").dataobj)
        for name, file in files.items()
    }
    mask = np.asanyarray(nib.load(REAL / "TCGA-DU-7294_seg.nii.gz").dataobj)
    assert brain_of(volumes).sum() == 1_246_059
    domains, _ = make_half_slices(volumes, mask, HalfSliceRules(), case_id="TCGA-DU-7294")
    counts = domains.counts
    assert (counts["present"], counts["absent"], counts["small_lesion"]) == (2, 60, 1)
    assert sum(counts.values()) == 310
    assert domains.absent.image.shape == (60, 4, 240, 120)

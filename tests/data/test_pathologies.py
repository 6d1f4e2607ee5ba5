"""What data say of several pathologies: read, refused, and in every batch."""

import numpy as np
import pytest
import torch

from segtrans.batch import Batch
from segtrans.config.blocks import AugmentationParams
from segtrans.data.feed.augment import augment_batch
from segtrans.data.feed.batches import BatchPlan, TrainingBatches
from segtrans.data.pathologies import bit, bit_labels, check_pathologies, read_knowledge
from segtrans.data.store import DOMAINS, FOLDS, Store, StoreHeader, write_store
from segtrans.errors import UserError
from segtrans.tasks.base import VOID

NAMES = ("tumour", "lesion", "cyst")
N = 12


def columns(seed):
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 8, (N, 8, 8)).astype(np.uint8)
    return masks, {f"shows_{name}": np.ones(N, np.uint8) for name in NAMES}


def write(path, change=lambda fold, masks, noted: None, names=NAMES):
    header = StoreHeader(
        task="three",
        channels=("intensity",),
        parameters={},
        source="noise",
        source_sha256="0" * 64,
        data_seed=0,
        labels=bit_labels(NAMES),
        has_void=True,
        pathologies=names,
    )
    with write_store(path, header) as writer:
        for number, fold in enumerate(FOLDS):
            masks, noted = columns(number)
            change(fold, masks, noted)
            for domain in DOMAINS:
                images = np.random.default_rng(number).integers(0, 255, (N, 1, 8, 8), np.uint8)
                writer.add(
                    fold, domain, "image", shape=images.shape, dtype=np.uint8, scale=1 / 255
                ).append(images)
            writer.add(fold, "present", "mask", shape=masks.shape, dtype=np.uint8).append(masks)
            for name, column in noted.items():
                writer.add(fold, "present", name, shape=column.shape, dtype=column.dtype).append(
                    column
                )
    return Store(path)


def test_bits_are_named_and_taken_apart():
    assert bit_labels(("a", "b")) == {0: "background", 1: "a", 2: "b", 3: "a and b"}
    assert list(bit_labels(NAMES)) == list(range(8))
    assert bit_labels(NAMES)[5] == "tumour and cyst"
    masks = np.array([0, 1, 2, 3, 7, VOID], np.uint8)
    assert bit(masks, 1).tolist() == [0, 0, 1, 1, 1, VOID]


def partly_known(fold, masks, noted):
    if fold == "train":
        noted["shows_cyst"] = np.array([VOID] * 6 + [1] * 6, np.uint8)
        noted["has_mask_cyst"] = np.array([0] * 6 + [1] * 6, np.uint8)


def test_what_is_not_known_is_read_as_such(tmp_path):
    store = write(tmp_path / "a.h5", partly_known)
    check_pathologies(store, NAMES)
    known = read_knowledge(store, "train")
    assert known.t[:, 2].tolist() == [VOID] * 6 + [1] * 6
    assert known.has_mask[:, 2].tolist() == [0] * 6 + [1] * 6
    assert known.t[:, :2].all()
    assert known.has_mask[:, :2].all()


@pytest.mark.parametrize("limit", [0, 2**30])
def test_batches_bring_what_is_known_of_their_images(tmp_path, limit):
    store = write(tmp_path / "a.h5", partly_known)
    known = read_knowledge(store, "train")
    plan = BatchPlan(
        labelled=np.arange(4),
        unlabelled=np.arange(4, N),
        n_absent=N,
        batch_size=5,
        labelled_per_batch=2,
        only_labelled=False,
        n_iterations=6,
        seed=0,
    )
    batches = TrainingBatches(store, plan, device=torch.device("cpu"), memory_limit_bytes=limit)
    assert batches.is_held == (limit > 0)
    for iteration in range(6):
        batch = batches[iteration]
        present, _, n_labelled = plan.at(iteration)
        assert torch.equal(batch.t, torch.from_numpy(known.t[present]))
        assert torch.equal(batch.has_mask, torch.from_numpy(known.has_mask[present]))
        assert torch.equal(batch.y, torch.from_numpy(store.masks("train", present[:n_labelled])))


@pytest.mark.parametrize("limit", [0, 2**30])
def test_for_one_target_a_pixel_counts_only_where_it_is_sure(tmp_path, limit):
    """The first image may show a cyst that no mask tells of; the second is known to have none."""

    def change(fold, masks, noted):
        if fold == "train":
            masks[0, 0, 0] = VOID
            masks[:2, 1:] &= 3
            noted["shows_cyst"] = np.array([VOID, 0, *[1] * 10], np.uint8)
            noted["has_mask_cyst"] = np.array([0, 0, *[1] * 10], np.uint8)

    store = write(tmp_path / "a.h5", change)
    plan = BatchPlan(
        labelled=np.arange(3),
        unlabelled=np.arange(3, N),
        n_absent=N,
        batch_size=4,
        labelled_per_batch=3,
        only_labelled=False,
        n_iterations=2,
        seed=0,
    )
    batches = TrainingBatches(
        store, plan, device=torch.device("cpu"), memory_limit_bytes=limit, tells_apart=False
    )
    for iteration in range(2):
        batch, (present, _, n) = batches[iteration], plan.at(iteration)
        assert batch.t is batch.has_mask is None
        for index, y in zip(present[:n], batch.y.numpy(), strict=True):
            stored = store.masks("train", np.array([index]))[0]
            expected = np.where(stored == 0, VOID, stored) if index == 0 else stored
            np.testing.assert_array_equal(y, expected)


def test_a_batch_keeps_what_is_known_wherever_it_goes(tmp_path):

    x = torch.rand(3, 1, 40, 40)
    t = torch.tensor([[1, 0], [0, 1], [1, VOID]], dtype=torch.uint8)
    batch = Batch({"present": x, "absent": x.clone()}, torch.zeros(1, 40, 40).byte(), t, t == 1)
    still = AugmentationParams(warp_sd=0, rotation_deg=0, zoom=0, intensity=0, flips=False)
    moved = augment_batch(batch, still, generator=torch.Generator())
    for of in (moved, batch.clone(), batch.to(torch.device("cpu")), batch.clip_()):
        assert torch.equal(of.t, t)
        assert torch.equal(of.has_mask, t == 1)
    other = batch.each(torch.zeros_like)
    other.copy_(batch)
    assert torch.equal(other.t, t)
    assert torch.equal(other.has_mask, t == 1)
    assert batch.shapes[-1] == t.shape
    assert Batch.of(x, x, batch.y).t is None


def shows_what_its_mask_does_not(fold, masks, noted):
    noted["shows_lesion"] = np.zeros(N, np.uint8)


def lacks_a_column(fold, masks, noted):
    del noted["shows_tumour"]


def has_another_value(fold, masks, noted):
    noted["shows_tumour"][3] = 2


def lacks_a_mask_to_score(fold, masks, noted):
    noted["has_mask_tumour"] = np.zeros(N, np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shows_what_its_mask_does_not, r"the mask of image 0 has lesion, which shows_lesion = 0"),
        (lacks_a_column, r"/train/present/shows_tumour is missing"),
        (has_another_value, r"/train/present/shows_tumour: holds 2; expected 0, 1, 255"),
        (lacks_a_mask_to_score, r"/valid/present: has_mask is 0 of some image"),
    ],
)
def test_data_that_contradict_themselves_are_refused(tmp_path, change, message):
    store = write(tmp_path / "a.h5", change)
    with pytest.raises(UserError, match=message):
        check_pathologies(store, NAMES)


def test_data_of_other_pathologies_are_refused(tmp_path):
    store = write(tmp_path / "a.h5")
    with pytest.raises(UserError, match=r"pathologies are tumour, lesion, cyst; .* are none"):
        check_pathologies(store, ())

"""Stacks of neighbouring slices, against slices looked up one by one."""

import numpy as np
import pytest
import torch

from segtrans.batch import Batch
from segtrans.config.blocks import AugmentationParams
from segtrans.data.beside import NEITHER, are_beside, beside
from segtrans.data.feed.augment import augment_batch
from segtrans.data.feed.batches import BatchPlan, TrainingBatches
from segtrans.data.feed.folds import iterate_fold
from segtrans.data.images import read_images
from segtrans.data.stacks import Stacks
from segtrans.data.store import DOMAINS, FOLDS, Store, StoreHeader, write_store
from segtrans.errors import UserError

SHAPE = (2, 5, 4)
N_SLICES = 9
# By slice: slices 0 to 8 of the volume; 0 and 8 are further than one away from any image.
FATES = ["", "neither", "absent", "absent", "neither", "present", "present", "absent", "absent"]
SCALE = 0.2


def slice_of(case_id, side, index):
    """The image (C, H, W) of a slice: what is looked up."""
    seed = (ord(case_id), ord(side[0]), index)
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float16)


def write(path, *, neighbours=1, fates=FATES, scales=None):
    header = StoreHeader("brats", ("a", "b"), {"neighbours": neighbours}, "made up", "", 0)
    with write_store(path, header) as writer:
        for fold, cases in zip(FOLDS, ("abc", "d", "e"), strict=True):
            for domain in (*DOMAINS, NEITHER):
                rows = [
                    (case, side, index)
                    for case in cases
                    for side in ("right", "left")
                    for index, fate in enumerate(fates)
                    if fate == domain
                ]
                rows = rows[::-1]  # in whatever order
                if not rows:
                    continue
                arrays = {
                    "image": np.stack([slice_of(*row) for row in rows]),
                    "case_id": np.array([row[0] for row in rows], "S1"),
                    "side": np.array([row[1] for row in rows], "S5"),
                    "slice_index": np.array([row[2] for row in rows]),
                }
                if domain == "present":
                    arrays["mask"] = np.ones((len(rows), *SHAPE[1:]), np.uint8)
                for name, values in arrays.items():
                    scale = (scales or {}).get(domain, SCALE) if name == "image" else None
                    writer.add(
                        fold, domain, name, shape=values.shape, dtype=values.dtype, scale=scale
                    ).append(values)
    return Store(path)


@pytest.fixture
def store(tmp_path):
    return write(tmp_path / "data.h5")


def expected(store, fold, domain, r):
    """Each stack as its slices one by one, the volume's last slice where it ends."""
    noted = store.provenance(fold, domain)
    held = [index for index, fate in enumerate(FATES) if fate]
    return np.stack(
        [
            np.concatenate(
                [
                    slice_of(case, side, min(max(index + step, held[0]), held[-1]))
                    for step in range(-r, r + 1)
                ]
            )
            for case, side, index in zip(
                noted["case_id"], noted["side"], noted["slice_index"].tolist(), strict=True
            )
        ]
    )


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_stack_is_a_slice_between_its_true_neighbours(store, domain):
    wanted = (expected(store, "train", domain, 1).astype(np.float32) * np.float32(SCALE)).clip(
        -1, 1
    )
    stacks = Stacks(store, "train", domain, 1).read(np.arange(len(wanted)))
    assert stacks.shape == (len(wanted), 3 * SHAPE[0], *SHAPE[1:])
    np.testing.assert_array_equal(stacks, wanted)
    of_fold = torch.cat([x for x, _ in iterate_fold(store, "train", domain, neighbours=1)])
    np.testing.assert_array_equal(of_fold.numpy(), wanted)


def test_neighbours_of_neither_domain_are_the_true_ones_and_not_repeated(store):
    """Slice 4 has too little target: beside it, 3 of A and 5 of P see it all the same."""
    for domain, index, place in (("absent", 3, 2), ("present", 5, 0)):
        noted = store.provenance("train", domain)
        row = np.flatnonzero((noted["case_id"] == "a") & (noted["slice_index"] == index))[:1]
        stack = Stacks(store, "train", domain, 1).read(row)[0].reshape(3, *SHAPE)
        between = slice_of("a", noted["side"][row[0]], 4).astype(np.float32) * np.float32(SCALE)
        np.testing.assert_array_equal(stack[place], between.clip(-1, 1))


def test_where_a_volume_ends_its_last_slice_is_repeated(store):
    noted = store.provenance("train", "absent")
    rows = np.flatnonzero(noted["slice_index"] == N_SLICES - 1)
    stacks = Stacks(store, "train", "absent", 1).read(rows).reshape(len(rows), 3, *SHAPE)
    np.testing.assert_array_equal(stacks[:, 2], stacks[:, 1])
    assert (stacks[:, 0] != stacks[:, 1]).any()


@pytest.mark.parametrize("domain", DOMAINS)
def test_without_neighbours_images_are_as_ever(store, domain):
    indices = np.array([3, 0, 3])
    found = Stacks(store, "train", domain, 0).read(indices)
    np.testing.assert_array_equal(found, read_images(store, "train", domain, indices))


@pytest.mark.parametrize("limit", [2**40, 0])
@pytest.mark.parametrize("r", [0, 1])
def test_batches_are_stacks_from_memory_and_from_the_file(store, limit, r):
    n = store.n("train", "present")
    plan = BatchPlan(
        labelled=np.arange(4),
        unlabelled=np.arange(4, n),
        n_absent=store.n("train", "absent"),
        batch_size=3,
        labelled_per_batch=1,
        only_labelled=False,
        n_iterations=9,
        seed=0,
    )
    batches = TrainingBatches(
        store, plan, device=torch.device("cpu"), memory_limit_bytes=limit, neighbours=r
    )
    p, a, n_labelled = plan.at(5)
    batch = batches[5]
    for x, domain, indices in ((batch.x_P, "present", p), (batch.x_A, "absent", a)):
        wanted = torch.from_numpy(expected(store, "train", domain, r)[indices]).float() * SCALE
        torch.testing.assert_close(x, wanted, rtol=0, atol=0)
    np.testing.assert_array_equal(batch.y.numpy(), store.masks("train", p[:n_labelled]))


def test_a_pool_is_held_once_and_counted_whole(store):
    """Neighbours are no copies: the pool has each slice of the file once."""
    of_P, of_A = (Stacks(store, "train", domain, 1) for domain in DOMAINS)
    assert of_P.parts == of_A.parts == (*DOMAINS, NEITHER)
    assert of_P.n_pool == sum(store.n("train", part) for part in of_P.parts)
    images = of_P.n_pool * np.prod(SHAPE) * 2
    assert store.n_bytes("train") == images + store.n("train", "present") * np.prod(SHAPE[1:])


def test_data_with_fewer_neighbours_are_refused(store):
    with pytest.raises(UserError, match=r"holds 1 neighbours .* networks\.neighbours = 2"):
        Stacks(store, "train", "present", 2)


def test_domains_of_different_scale_make_no_stack(tmp_path):
    store = write(tmp_path / "data.h5", scales={"absent": 0.4})
    Stacks(store, "train", "present", 0)
    with pytest.raises(UserError, match="differ in scale"):
        Stacks(store, "train", "present", 1)


def test_slices_beside_stay_in_the_volume():
    assert beside(np.array([0, 4]), 5, 2).tolist() == [[0, 0, 0, 1, 2], [2, 3, 4, 4, 4]]
    is_image = np.array([False, False, True, False, False, True])
    assert np.flatnonzero(are_beside(is_image, 1)).tolist() == [1, 3, 4]
    assert not are_beside(is_image, 0).any()


def test_a_stack_is_augmented_as_one():
    """Every slice as it would be alone, with the same warp and the same shift of a sequence."""
    ranges = AugmentationParams(warp_sd=3.0, rotation_deg=10.0, zoom=0.1, intensity=0.2, flips=True)
    r, (n, c, h, w) = 2, (4, 2, 24, 12)
    slices = [torch.rand(n, c, h, w) * (torch.rand(n, 1, h, w) > 0.3) for _ in range(2 * r + 1)]
    y = torch.randint(0, 2, (2, h, w), dtype=torch.uint8)

    def augmented(x, neighbours):
        generator = torch.Generator().manual_seed(3)
        return augment_batch(Batch.of(x, x, y), ranges, generator=generator, neighbours=neighbours)

    together = augmented(torch.cat(slices, dim=1), r)
    for place, x in enumerate(slices):
        alone = augmented(x, 0)
        part = slice(place * c, (place + 1) * c)
        torch.testing.assert_close(together.x_P[:, part], alone.x_P)
        torch.testing.assert_close(together.x_A[:, part], alone.x_A)
        torch.testing.assert_close(together.y, alone.y, rtol=0, atol=0)

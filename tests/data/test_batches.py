"""Batches: epochs without replacement, labelled first, the same from memory and from workers."""

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import segtrans.data.feed.batches as data_batches
import segtrans.data.feed.folds as data_folds
from segtrans.batch import Batch
from segtrans.data.feed.batches import (
    BatchPlan,
    TrainingBatches,
    make_loader,
    memory_for_data,
)
from segtrans.data.feed.folds import fold_again_and_again, iterate_fold
from segtrans.data.store import DOMAINS, Store, StoreHeader, write_store
from segtrans.errors import UserError
from segtrans.tasks.base import VOID

SIZES = {"train": 23, "valid": 7, "test": 3}
SHAPE = (2, 40, 30)  # 27 samples of uint8 to a chunk
HUGE = 2**40
CPU = torch.device("cpu")


def plan(
    labelled=(4, 9, 11),
    n=23,
    n_absent=19,
    size=6,
    quota=0,
    only_labelled=False,
    n_iterations=30,
    seed=0,
):
    labelled = np.array(labelled, np.int64)
    return BatchPlan(
        labelled=labelled,
        unlabelled=np.setdiff1d(np.arange(n), labelled),
        n_absent=n_absent,
        batch_size=size,
        labelled_per_batch=quota,
        only_labelled=only_labelled,
        n_iterations=n_iterations,
        seed=seed,
    )


def drawn(batches, n_iterations):
    """Everything drawn by the first iterations: of P labelled, of P unlabelled, of A."""
    labelled, unlabelled, absent = [], [], []
    for iteration in range(n_iterations):
        present, a, n_labelled = batches.at(iteration)
        labelled += present[:n_labelled].tolist()
        unlabelled += present[n_labelled:].tolist()
        absent += a.tolist()
    return labelled, unlabelled, absent


def assert_epochs(sequence, pool):
    """Each whole round through the pool draws every member once."""
    for start in range(0, len(sequence) - len(pool) + 1, len(pool)):
        assert sorted(sequence[start : start + len(pool)]) == sorted(pool)


@given(
    n=st.integers(2, 30),
    n_labelled=st.integers(1, 30),
    n_absent=st.integers(1, 30),
    size=st.integers(1, 40),
    quota=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_a_quota_draws_both_pools_in_epochs(n, n_labelled, n_absent, size, quota, seed):
    labelled, quota = np.arange(min(n_labelled, n - 1)), min(quota, size)
    batches = plan(labelled, n=n, n_absent=n_absent, size=size, quota=quota, seed=seed)
    for iteration in (0, 7):
        present, absent, n_first = batches.at(iteration)
        assert (len(present), len(absent), n_first) == (size, size, quota)
    of_labelled, of_unlabelled, of_absent = drawn(batches, 12)
    assert_epochs(of_labelled, labelled)
    assert_epochs(of_unlabelled, range(len(labelled), n))
    assert_epochs(of_absent, range(n_absent))


@given(size=st.integers(1, 50), seed=st.integers(0, 2**32))
def test_without_a_quota_all_images_are_one_pool(size, seed):
    batches = plan(size=size, seed=seed)
    everything = []
    for iteration in range(10):
        present, _, n_labelled = batches.at(iteration)
        assert set(present[:n_labelled].tolist()) <= {4, 9, 11}
        assert not set(present[n_labelled:].tolist()) & {4, 9, 11}
        everything += present.tolist()
    # Within a batch the labelled ones move to the front, so rounds are counted, not cut.
    counts = np.bincount(everything, minlength=23)
    assert counts.max() - counts.min() <= 1


def test_only_labelled_images_fill_every_batch():
    labelled, unlabelled, absent = drawn(plan(only_labelled=True), 4)
    assert unlabelled == []
    assert len(labelled) == len(absent) == 24
    assert_epochs(labelled, [4, 9, 11])


def test_all_images_labelled_makes_a_quota_meaningless():
    present, _, n_labelled = plan(labelled=range(23), quota=2).at(0)
    assert n_labelled == len(present) == 6


def test_a_plan_is_a_function_of_iteration_and_seed():
    forwards = [plan(quota=2).at(iteration) for iteration in range(30)]
    backwards = [plan(quota=2).at(iteration) for iteration in reversed(range(30))]
    for (p, a, n), (p_again, a_again, n_again) in zip(forwards, reversed(backwards), strict=True):
        np.testing.assert_array_equal(p, p_again)
        np.testing.assert_array_equal(a, a_again)
        assert n == n_again
    assert not np.array_equal(forwards[0][0], plan(quota=2, seed=1).at(0)[0])
    assert not np.array_equal(forwards[0][1], plan(quota=2, seed=1).at(0)[1])


def test_epochs_differ_in_order():
    absent = drawn(plan(n_absent=12), 4)[2]
    assert absent[:12] != absent[12:]
    assert sorted(absent[:12]) == sorted(absent[12:])


@given(
    n=st.integers(2, 40),
    n_labelled=st.integers(1, 40),
    size=st.integers(1, 50),
    n_iterations=st.integers(1, 60),
    seed=st.integers(0, 2**32),
)
def test_slots_are_the_most_labelled_images_of_any_batch(n, n_labelled, size, n_iterations, seed):
    labelled = np.random.default_rng(seed).permutation(n)[:n_labelled]
    batches = plan(labelled, n=n, size=size, n_iterations=n_iterations, seed=seed)
    assert batches.n_slots == max(batches.at(iteration)[2] for iteration in range(n_iterations))


def test_slots_of_a_quota_and_of_labelled_images_alone():
    assert plan(quota=2).n_slots == 2
    assert plan(only_labelled=True).n_slots == plan(range(23), quota=2).n_slots == 6
    assert plan(labelled=()).n_slots == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"labelled": (), "quota": 1},
        {"labelled": (), "only_labelled": True},
        {"quota": 7},
        {"quota": -1},
    ],
)
def test_a_plan_that_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(ValueError, match="labelled"):
        plan(**wrong)


LABELS = {0: "background", 1: "one", 2: "two"}


def make_store(path, dtype="uint8", scale=1 / 255, spoil=None):
    rng = np.random.default_rng(0)
    header = StoreHeader("mnist48_simple", ("a", "b"), {}, "made up", "", 0, labels=LABELS)
    with write_store(path, header) as writer:
        for fold, n in SIZES.items():
            for domain in DOMAINS:
                images = rng.integers(0, 256, (n, *SHAPE)).astype(dtype)
                dataset = writer.add(
                    fold, domain, "image", shape=images.shape, dtype=dtype, scale=scale
                )
                dataset.append(images)
            mask = rng.integers(0, 3, (n, *SHAPE[1:]), dtype=np.uint8)
            writer.add(fold, "present", "mask", shape=mask.shape, dtype=np.uint8).append(mask)
    if spoil is not None:
        fold, domain, index, value = spoil
        with h5py.File(path, "a") as file:
            file[f"{fold}/{domain}/image"][index, 1, 3, 4] = value
    return Store(path)


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "data.h5")


def training(store, batch_plan, *, limit=HUGE, device=CPU):
    return TrainingBatches(store, batch_plan, device=device, memory_limit_bytes=limit)


def assert_equal(batch, other):
    for name in ("x_P", "x_A", "y"):
        torch.testing.assert_close(getattr(batch, name), getattr(other, name), rtol=0, atol=0)


@pytest.mark.parametrize("limit", [HUGE, 0])
@pytest.mark.parametrize("quota", [0, 2, 6])
def test_a_batch_holds_the_planned_samples(store, limit, quota):
    batches = training(store, plan(quota=quota), limit=limit)
    images = {domain: store.images("train", domain) for domain in DOMAINS}
    for iteration in (0, 3, 11):
        p, a, n_labelled = plan(quota=quota).at(iteration)
        batch = batches[iteration]
        assert batch.x_P.dtype == batch.x_A.dtype == torch.float32
        assert batch.y.dtype == torch.uint8
        np.testing.assert_allclose(batch.x_P, images["present"][p] / 255, rtol=1e-6)
        np.testing.assert_allclose(batch.x_A, images["absent"][a] / 255, rtol=1e-6)
        np.testing.assert_array_equal(batch.y[:n_labelled], store.masks("train")[p[:n_labelled]])
        assert (batch.y[n_labelled:] == VOID).all()


@pytest.mark.parametrize("limit", [HUGE, 0])
def test_masks_have_one_shape_or_are_none(store, limit):
    paper = plan(labelled=(4, 9), size=2, n_iterations=60)
    batches = training(store, paper, limit=limit)
    n_labelled = [paper.at(iteration)[2] for iteration in range(60)]
    assert set(n_labelled) == {0, 1, 2}
    for iteration, n in enumerate(n_labelled):
        assert batches[iteration].y.shape == (2 if n else 0, *SHAPE[1:])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float16", "float32"])
def test_memory_and_file_give_the_same_bits(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(data_batches, "_READ_BYTES", 5 * 2 * 40 * 30 * np.dtype(dtype).itemsize)
    store = make_store(tmp_path / "data.h5", dtype, 0.2)
    held, read = (training(store, plan(), limit=limit) for limit in (HUGE, 0))
    assert (held.is_held, read.is_held) == (True, False)
    for iteration in range(8):
        assert_equal(held[iteration], read[iteration])
        p = plan().at(iteration)[0]
        expected = torch.from_numpy(store.images("train", "present")[p]).float() * 0.2
        torch.testing.assert_close(held[iteration].x_P, expected, rtol=0, atol=0)


def test_the_limit_decides_between_memory_and_file(store):
    n_bytes = 2 * 23 * 2 * 40 * 30 + 23 * 40 * 30
    assert training(store, plan(), limit=n_bytes).is_held
    assert not training(store, plan(), limit=n_bytes - 1).is_held
    assert memory_for_data(CPU) == 8 * 2**30


def test_a_batch_without_labelled_images(store):
    batch = training(store, plan(labelled=()))[0]
    assert batch.y.shape == (0, 40, 30)
    assert batch.x_P.shape == (6, *SHAPE)


@pytest.mark.parametrize(("limit", "n_workers"), [(HUGE, 2), (0, 0), (0, 2)])
def test_the_loader_gives_the_same_batches_in_order_from_anywhere(store, limit, n_workers):
    batches = training(store, plan(), limit=limit)
    loaded = list(make_loader(batches, 5, 17, n_workers=n_workers))
    in_memory = training(store, plan())
    assert len(loaded) == 12
    for iteration, batch in enumerate(loaded, start=5):
        assert isinstance(batch, Batch)
        assert_equal(batch, in_memory[iteration])


@pytest.mark.parametrize("limit", [HUGE, 0])
def test_batches_come_on_their_device(store, limit):
    """The device `meta` has shapes and no values: whatever waited for one would fail."""
    batches = training(store, plan(quota=1), limit=limit, device=torch.device("meta"))
    (batch,) = make_loader(batches, 0, 1, n_workers=0)
    assert {batch.x_P.device.type, batch.x_A.device.type, batch.y.device.type} == {"meta"}
    assert (batch.x_P.shape, batch.y.shape) == ((6, *SHAPE), (1, *SHAPE[1:]))


class Sent(TorchDispatchMode):
    """Notes what leaves the processor's memory, and refuses to read a value back."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten._local_scalar_dense.default
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.aten._to_copy.default and args[0].device != result.device:
            self.bytes += args[0].nbytes
        return result


def test_a_batch_of_a_fold_on_the_device_sends_indices_alone(store):
    batches = training(store, plan(quota=1), device=torch.device("meta"))
    with Sent() as sent:
        batches[3]
    assert sent.bytes == 12 * 8


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_a_fold_is_passed_once_and_in_order(store, batch_size, monkeypatch):
    _, height, width = store.image_shape
    monkeypatch.setattr(data_folds, "_SCORED_PIXELS", batch_size * height * width)
    present = list(iterate_fold(store, "valid", "present"))
    absent = list(iterate_fold(store, "valid", "absent"))
    assert len(present) == len(absent) == -(-7 // batch_size)
    x_P = torch.cat([x for x, _ in present])
    np.testing.assert_allclose(x_P, store.images("valid", "present") / 255, rtol=1e-6)
    np.testing.assert_array_equal(torch.cat([y for _, y in present]), store.masks("valid"))
    np.testing.assert_allclose(
        torch.cat([x for x, _ in absent]), store.images("valid", "absent") / 255, rtol=1e-6
    )
    assert {mask for _, mask in absent} == {None}


@pytest.mark.parametrize(("kept_bytes", "n_reads"), [(7 * 2 * 40 * 30 * 4, 1), (0, 3)])
def test_a_fold_is_kept_where_it_fits_and_read_again_where_not(
    store, monkeypatch, kept_bytes, n_reads
):
    monkeypatch.setattr(data_folds, "_KEPT_BYTES", kept_bytes)
    reads = []
    masks = store.masks
    monkeypatch.setattr(Store, "masks", lambda _, *of: reads.append(of) or masks(*of))
    of_fold = fold_again_and_again(store, "valid", "present")
    for _ in range(3):
        (samples,) = of_fold
        np.testing.assert_allclose(samples[0], store.images("valid", "present") / 255, rtol=1e-6)
        np.testing.assert_array_equal(samples[1], masks("valid"))
    assert len(reads) == n_reads


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("limit", [HUGE, 0])
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_value_that_is_not_finite_names_file_fold_and_image(tmp_path, value, limit, domain):
    store = make_store(tmp_path / "data.h5", "float16", 1.0, ("train", domain, 13, value))
    with pytest.raises(UserError) as refusal:
        batches = training(store, plan(quota=1), limit=limit)
        for iteration in range(23):
            batches[iteration]
    message = str(refusal.value)
    assert message.startswith(f"{store.path}: /train/{domain}/image: image 13 holds NaN or an inf")
    assert list(iterate_fold(store, "valid", domain))


def test_a_value_that_is_not_finite_in_a_scored_fold(tmp_path):
    store = make_store(tmp_path / "data.h5", "float16", 1.0, ("valid", "absent", 5, np.nan))
    with pytest.raises(UserError, match="/valid/absent/image: image 5 holds"):
        list(iterate_fold(store, "valid", "absent"))


def test_networks_see_no_value_beyond_one_while_scored(tmp_path):
    store = make_store(tmp_path / "data.h5", "float16", 1.0, ("valid", "absent", 5, 7.5))
    images = torch.cat([x for x, _ in iterate_fold(store, "valid", "absent")])
    expected = np.clip(store.images("valid", "absent").astype(np.float32), -1, 1)
    np.testing.assert_array_equal(images, expected)
    assert images.max() == 1


@pytest.mark.parametrize("domain", ["present", "absent"])
def test_some_samples_of_a_fold_are_spread_over_all_of_it(make_store, domain):
    store = make_store()
    every = torch.cat([x for x, _ in iterate_fold(store, "test", domain)])
    n = len(every)
    some = torch.cat([x for x, _ in iterate_fold(store, "test", domain, at_most=3)])
    assert torch.equal(some, every[[0, round((n - 1) / 2), n - 1]])
    whole = torch.cat([x for x, _ in iterate_fold(store, "test", domain, at_most=n + 5)])
    assert torch.equal(whole, every)

"""Volumes in the store, in batches and in augmentation, against NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.interpolate import CubicSpline

from segtrans.batch import Batch
from segtrans.config.blocks import AugmentationParams, LabelsParams
from segtrans.data.feed.augment import augment_batch, augment_images, draw_augmentation
from segtrans.data.feed.augment_volumes import (
    VolumeAugmentation,
    augment_volumes,
    draw_volumes,
    move_masks,
)
from segtrans.data.feed.batches import BatchPlan, TrainingBatches
from segtrans.data.feed.folds import iterate_fold
from segtrans.data.feed.labels import choose_labelled
from segtrans.data.store import DOMAINS, FOLDS, Store, StoreHeader, write_store
from segtrans.errors import UserError
from segtrans.tasks.base import VOID

PAPER = AugmentationParams(warp_sd=2.0, rotation_deg=3.0, zoom=0.1, intensity=0.1, flips=True)
NONE = AugmentationParams(warp_sd=0.0, rotation_deg=0.0, zoom=0.0, intensity=0.0, flips=False)
SIZE = (6, 9, 8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def volumes(*shape, seed=0):
    return torch.rand(shape, generator=generator(seed)) * 2 - 1


def looked_up(augmentation, index, sizes):
    """The place looked up by each voxel of a volume, (3, D, H, W) float64, by SciPy's spline."""
    drawn = {key: value[index].double().numpy() for key, value in vars(augmentation).items()}
    displacement = drawn["control_points"]
    for axis, size in enumerate(sizes, start=1):
        at = np.linspace(0, size - 1, 3)
        of_axis = CubicSpline(at, displacement, axis=axis, bc_type="natural")
        displacement = of_axis(np.arange(size))
    centre = (np.array(sizes) - 1) / 2
    from_centre = np.indices(sizes) - centre.reshape(3, 1, 1, 1)
    flipped = from_centre * np.where(drawn["flips"], -1, 1).reshape(3, 1, 1, 1)
    angle = np.deg2rad(drawn["rotation_deg"])
    rotation = np.array(
        [[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]]
    )
    turned = np.einsum("ab,bdhw->adhw", rotation / drawn["zoom"], flipped)
    return turned + displacement + centre.reshape(3, 1, 1, 1)


@pytest.mark.parametrize("size", [SIZE, (5, 16, 7), (3, 3, 3)])
def test_volumes_are_looked_up_where_scipy_looks_them_up(size):
    x = volumes(3, 2, *size)
    y = torch.randint(0, 3, (2, *size), generator=generator(), dtype=torch.uint8)
    drawn = draw_volumes(3, 2, PAPER, generator=generator(1))
    drawn = VolumeAugmentation(**vars(drawn) | {"rotation_deg": drawn.rotation_deg * 10})
    moved, masks = augment_volumes(x, drawn), move_masks(y, drawn)
    for i in range(3):
        at = looked_up(drawn, i, size)
        for channel in range(2):
            found = ndimage.map_coordinates(x[i, channel].double(), at, order=1, mode="mirror")
            expected = np.clip(found + float(drawn.shift[i, channel]), -1, 1)
            np.testing.assert_allclose(moved[i, channel], expected, atol=2e-4)
        if i < len(y):
            expected = ndimage.map_coordinates(y[i], at, order=0, mode="mirror")
            assert (masks[i].numpy() == expected).mean() > 0.99  # ties
    assert drawn.flips.any()
    assert not drawn.flips.all()


def test_what_is_constant_along_depth_is_moved_as_an_image():
    flat = draw_augmentation(2, 3, PAPER, generator=generator(2))
    points = torch.zeros(2, 3, 3, 3, 3)
    points[:, 1:] = flat.control_points[:, :, None]
    flips = torch.stack([torch.tensor([True, False]), flat.flip_rows, flat.flip_columns], dim=1)
    deep = VolumeAugmentation(points, flat.rotation_deg, flat.zoom, flat.shift, flips)
    x = volumes(2, 3, 20, 14)
    expected = augment_images(x, flat)
    moved = augment_volumes(x[:, :, None].expand(-1, -1, 7, -1, -1).contiguous(), deep)
    for slice_ in moved.unbind(2):
        torch.testing.assert_close(slice_, expected, atol=1e-5, rtol=1e-4)


def test_nothing_drawn_changes_no_bit_and_the_background_stays_0():
    x = volumes(2, 2, 48, 64, 32)
    x[:, :, :, :5] = 0
    drawn = draw_volumes(2, 2, NONE, generator=generator())
    assert torch.equal(augment_volumes(x, drawn), x)
    shifted = VolumeAugmentation(**vars(drawn) | {"shift": torch.full((2, 2), 0.25)})
    moved = augment_volumes(x, shifted)
    assert not moved[:, :, :, :5].any()
    assert torch.equal(moved[:, :, :, 5:], (x[:, :, :, 5:] + 0.25).clamp(-1, 1))


def test_a_batch_of_volumes_is_changed_by_its_generator_alone():
    batch = Batch.of(
        volumes(2, 3, *SIZE), volumes(3, 3, *SIZE, seed=1), torch.ones(1, *SIZE, dtype=torch.uint8)
    )
    first, again = (augment_batch(batch, PAPER, generator=generator(5)) for _ in range(2))
    other = augment_batch(batch, PAPER, generator=generator(6))
    assert first.shapes == batch.shapes
    assert torch.equal(first.x_P, again.x_P)
    assert torch.equal(first.x_A, again.x_A)
    assert not torch.equal(first.x_P, other.x_P)
    assert first.y.dtype == torch.uint8
    assert first.y.bool().all()


@pytest.fixture
def store(tmp_path):
    """Four volumes of P and three of A in each fold."""
    header = StoreHeader(
        task="volumes",
        channels=("t1", "flair"),
        parameters={},
        source="made up",
        source_sha256="0" * 64,
        data_seed=0,
    )
    rng = np.random.default_rng(0)
    with write_store(tmp_path / "volumes.h5", header) as writer:
        for fold in FOLDS:
            for domain, n in zip(DOMAINS, (4, 3), strict=True):
                columns = {
                    "image": rng.normal(size=(n, 2, *SIZE)).astype(np.float16),
                    "case_id": np.array([f"case{i // 2}".encode() for i in range(n)]),
                    "side": np.array([b"left", b"right"] * 2)[:n],
                }
                if domain == "present":
                    columns["mask"] = rng.integers(0, 2, (n, *SIZE)).astype(np.uint8)
                for name, values in columns.items():
                    scale = 0.2 if name == "image" else None
                    writer.add(
                        fold, domain, name, shape=values.shape, dtype=values.dtype, scale=scale
                    ).append(values)
    return Store(tmp_path / "volumes.h5")


@pytest.mark.parametrize("limit", [0, 2**30])
def test_batches_of_volumes_are_those_of_the_store(store, limit):
    assert store.image_shape == (2, *SIZE)
    plan = BatchPlan(
        labelled=np.array([2, 3]),
        unlabelled=np.array([0, 1]),
        n_absent=3,
        batch_size=2,
        labelled_per_batch=1,
        only_labelled=False,
        n_iterations=3,
        seed=0,
    )
    cpu = torch.device("cpu")
    batches = TrainingBatches(store, plan, device=cpu, memory_limit_bytes=limit)
    images, masks = store.images("train", "present"), store.masks("train")
    for iteration in range(3):
        p, _, n_labelled = plan.at(iteration)
        batch = batches[iteration]
        assert n_labelled == 1
        expected = images[p].astype(np.float32) * np.float32(0.2)
        np.testing.assert_allclose(batch.x_P, expected, rtol=1e-6)
        assert batch.x_A.shape == (2, 2, *SIZE)
        assert np.array_equal(batch.y, masks[p[:1]])


def test_masks_that_are_missing_are_void(store):
    plan = BatchPlan(np.array([0]), np.array([1, 2, 3]), 3, 2, 0, False, 8, 0)
    batches = TrainingBatches(store, plan, device=torch.device("cpu"), memory_limit_bytes=2**30)
    shapes = {batches[i].y.shape for i in range(8)}
    assert shapes <= {(0, *SIZE), (plan.n_slots, *SIZE)}
    assert all(not (batches[i].y == VOID).any() for i in range(8) if plan.at(i)[2] == 1)


def test_a_fold_is_iterated_in_order(store):
    blocks = list(iterate_fold(store, "test", "present"))
    x = torch.cat([block for block, _ in blocks])
    expected = (store.images("test", "present").astype(np.float32) * np.float32(0.2)).clip(-1, 1)
    np.testing.assert_allclose(x, expected, rtol=1e-6)
    assert np.array_equal(torch.cat([mask for _, mask in blocks]), store.masks("test"))


def test_whole_patients_are_labelled_and_half_slices_are_none(store):
    labels = LabelsParams(
        fraction=0.5, digits=None, unit="volume", per_batch=0, per_seed=False, segment_absent=False
    )
    provenance = store.provenance("train", "present")
    labelled = choose_labelled(provenance, labels, data_seed=0, init_seed=0)
    assert len(labelled.ids) == 1
    assert labelled.is_labelled.tolist() in ([True] * 2 + [False] * 2, [False] * 2 + [True] * 2)
    with pytest.raises(UserError, match=r"labels.unit = half_slice: .* no slices; set it to vol"):
        choose_labelled(
            provenance,
            labels.model_copy(update={"unit": "half_slice"}),
            data_seed=0,
            init_seed=0,
        )

"""Augmentation: what SciPy looks up at the same places; draws, borders, brain, determinism."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats
from scipy.interpolate import CubicSpline
from skimage import transform

from segtrans.batch import Batch
from segtrans.config.blocks import AugmentationParams
from segtrans.data.feed.augment import (
    Augmentation,
    augment_batch,
    augment_images,
    augment_masks,
    draw_augmentation,
)

PAPER = AugmentationParams(warp_sd=5.0, rotation_deg=3.0, zoom=0.1, intensity=0.1, flips=True)
NONE = AugmentationParams(warp_sd=0.0, rotation_deg=0.0, zoom=0.0, intensity=0.0, flips=False)
SIZES = [(240, 120), (24, 13), (9, 16), (2, 3), (1, 5)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def nothing(n=1, n_channels=1, **changes):
    """An augmentation that does nothing but what is given."""
    drawn = draw_augmentation(n, n_channels, NONE, generator=generator())
    return Augmentation(**vars(drawn) | changes)


def images(*shape, seed=0):
    return torch.rand(shape, generator=generator(seed)) * 2 - 1


def masks(*shape, seed=0):
    return torch.randint(0, 4, shape, generator=generator(seed), dtype=torch.uint8)


def blobs(n, height=48, width=24, seed=0):
    """Smooth labels 0 to 3, (n, H, W): regions of several pixels, as lesions are."""
    noise = np.random.default_rng(seed).normal(size=(n, height, width))
    smooth = ndimage.gaussian_filter(noise, (0, 4, 4))
    labels = np.digitize(smooth, np.quantile(smooth, [0.5, 0.7, 0.9]))
    return torch.from_numpy(labels.astype(np.uint8))


def spline(points, size):
    """Values along axis 0 at whole pixels of the natural spline through three points."""
    at = np.linspace(0, size - 1, 3)
    return CubicSpline(at, points, bc_type="natural")(np.arange(size))


def lookup(augmentation, index, height, width):
    """Row and column looked up by each pixel, in float64, as the module's head says."""
    drawn = {name: tensor[index].double().numpy() for name, tensor in vars(augmentation).items()}
    row, column = np.meshgrid(
        np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij"
    )
    row, column = row * (1 - 2 * drawn["flip_rows"]), column * (1 - 2 * drawn["flip_columns"])
    angle = np.deg2rad(drawn["rotation_deg"])
    turned = np.stack(
        [
            np.cos(angle) * row + np.sin(angle) * column + drawn["zoom"] * (height - 1) / 2,
            np.cos(angle) * column - np.sin(angle) * row + drawn["zoom"] * (width - 1) / 2,
        ]
    )
    displaced = [spline(spline(p, height).T, width).T for p in drawn["control_points"]]
    return turned / drawn["zoom"] + np.stack(displaced)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_drawn_changes_no_bit(size):
    x, y = images(2, 3, *size), masks(2, *size)
    augmentation = draw_augmentation(2, 3, NONE, generator=generator())
    assert torch.equal(augment_images(x, augmentation), x)
    assert torch.equal(augment_masks(y, augmentation), y)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("rows", "columns"), [(True, False), (False, True), (True, True)])
def test_flips_are_exact(size, rows, columns):
    flips = {"flip_rows": torch.tensor([rows]), "flip_columns": torch.tensor([columns])}
    axes = [-2] * rows + [-1] * columns
    x, y = images(1, 2, *size), masks(1, *size)
    assert torch.equal(augment_images(x, nothing(1, 2, **flips)), x.flip(axes))
    assert torch.equal(augment_masks(y, nothing(1, 2, **flips)), y.flip(axes))


@settings(max_examples=60)
@given(
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    warp_sd=st.floats(0, 30),
    rotation_deg=st.floats(0, 180),
    zoom=st.floats(0, 0.5),
    seed=st.integers(0, 1000),
)
def test_pixels_are_those_that_scipy_looks_up(height, width, warp_sd, rotation_deg, zoom, seed):
    ranges = AugmentationParams(
        warp_sd=warp_sd, rotation_deg=rotation_deg, zoom=zoom, intensity=0.0, flips=True
    )
    augmentation = draw_augmentation(2, 2, ranges, generator=generator(seed))
    x, y = images(2, 2, height, width, seed=seed), masks(2, height, width, seed=seed)
    moved, labels = augment_images(x, augmentation), augment_masks(y, augmentation)
    for n in range(2):
        at = lookup(augmentation, n, height, width)
        for channel in range(2):
            expected = ndimage.map_coordinates(x[n, channel].numpy(), at, order=1, mode="mirror")
            np.testing.assert_allclose(moved[n, channel], expected, atol=2e-4)
        # Half-way between two labels either is the nearest.
        is_clear = (np.abs(at - np.floor(at) - 0.5) > 1e-3).all(0)
        expected = ndimage.map_coordinates(y[n].numpy(), at, order=0, mode="mirror")
        np.testing.assert_array_equal(labels[n][is_clear], expected[is_clear])


@pytest.mark.parametrize("size", [(240, 120), (24, 13)])
@pytest.mark.parametrize("seed", [0, 1])
def test_pixels_are_those_that_scikit_image_warps(size, seed):
    height, width = size
    ranges = PAPER.model_copy(update={"rotation_deg": 40.0, "zoom": 0.3, "intensity": 0.0})
    drawn = draw_augmentation(1, 1, ranges, generator=generator(seed))
    x = images(1, 1, *size, seed=seed)
    y = blobs(1, *size, seed=seed)
    column_flip, row_flip = (1 - 2 * int(flip) for flip in (drawn.flip_columns, drawn.flip_rows))
    centre = ((width - 1) / 2, (height - 1) / 2)
    turned = (
        transform.AffineTransform(translation=[-at for at in centre])
        + transform.AffineTransform(scale=(column_flip, row_flip))
        + transform.SimilarityTransform(
            scale=1 / float(drawn.zoom), rotation=np.deg2rad(float(drawn.rotation_deg))
        )
        + transform.AffineTransform(translation=centre)
    )
    rows, columns = (
        spline(spline(points, height).T, width).T for points in drawn.control_points[0].numpy()
    )

    def looked_up(places):
        column, row = places.astype(int).T
        return turned(places) + np.stack([columns[row, column], rows[row, column]], 1)

    expected = transform.warp(x[0, 0].double().numpy(), looked_up, order=1, mode="reflect")
    np.testing.assert_allclose(augment_images(x, drawn)[0, 0], expected, atol=5e-4)
    labels = transform.warp(y[0].numpy(), looked_up, order=0, mode="reflect", preserve_range=True)
    assert (augment_masks(y, drawn)[0].numpy() != labels).mean() < 1e-3  # half-way, either is right


@pytest.mark.parametrize("angle", [3.0, -3.0, 30.0])
def test_a_rotation_is_that_of_scipy_in_pixels_of_both_axes(angle):  # counter-clockwise too
    x = images(1, 1, 40, 20)
    moved = augment_images(x, nothing(rotation_deg=torch.tensor([angle])))
    expected = ndimage.rotate(x[0, 0].numpy(), angle, reshape=False, order=1, mode="mirror")
    np.testing.assert_allclose(moved[0, 0], expected, atol=1e-4)


def test_zoom_enlarges_about_the_centre():
    x = torch.zeros(1, 1, 41, 21)
    x[0, 0, 15:26, 8:13] = 0.5  # 11 rows and 5 columns about the centre
    large = augment_images(x, nothing(zoom=torch.tensor([2.0])))[0, 0]
    assert (large == 0.5).sum() == 21 * 9  # from centre to centre of the outermost, twice as far
    np.testing.assert_array_equal(large, large.flip(0, 1))


def test_control_points_are_displaced_by_just_what_was_drawn():
    places = torch.stack(torch.meshgrid(torch.arange(33.0), torch.arange(17.0), indexing="ij"))
    x = places[None] / 64
    # Inwards at the edges, where the image has no more places to show.
    inwards = torch.tensor([1.0, 1.0, -1.0])
    drawn = torch.rand(1, 2, 3, 3, generator=generator()) * 4
    drawn *= torch.stack([inwards[:, None].expand(3, 3), inwards.expand(3, 3)])
    moved = augment_images(x, nothing(1, 2, control_points=drawn))[0] * 64
    displaced = (moved - places)[:, ::16, ::8]
    torch.testing.assert_close(displaced, drawn[0], atol=1e-4, rtol=0)


def test_borders_are_filled_by_reflection():
    x = torch.tensor([[[[0.1, 0.2, 0.3, 0.4, 0.5]]]]).expand(1, 1, 5, 5)
    to_the_left = torch.stack([torch.zeros(3, 3), torch.full((3, 3), -2.0)])[None]
    moved = augment_images(x, nothing(control_points=to_the_left))
    torch.testing.assert_close(moved[0, 0, 0], torch.tensor([0.3, 0.2, 0.1, 0.2, 0.3]))


@pytest.mark.parametrize("size", SIZES)
def test_nothing_from_outside_the_image_creeps_in(size):
    x = torch.full((20, 1, *size), 0.5)
    ranges = PAPER.model_copy(update={"intensity": 0.0})
    moved = augment_images(x, draw_augmentation(20, 1, ranges, generator=generator()))
    torch.testing.assert_close(moved, x, atol=1e-6, rtol=0)


def test_shift_is_added_to_the_brain_alone():
    x = torch.zeros(2, 2, 8, 6)
    x[:, :, 2:6, 1:5] = 0.25
    x[:, 1, 3, 3] = 0.0  # brain all the same: the other sequence shows it
    shift = torch.tensor([[0.1, -0.2], [0.0, 0.3]])
    changed = augment_images(x, nothing(2, 2, shift=shift)) - x
    is_brain = (x != 0).any(1, keepdim=True)
    torch.testing.assert_close(changed, shift[:, :, None, None] * is_brain)


def test_background_stays_zero_and_images_are_clipped_last():
    x = torch.zeros(8, 2, 32, 16)
    x[:, :, 12:20, 5:11] = images(8, 2, 8, 6) * 3
    augmentation = draw_augmentation(8, 2, PAPER, generator=generator())
    still = Augmentation(**vars(augmentation) | {"shift": torch.zeros(8, 2)})
    background = (augment_images(x, still) == 0).all(1, keepdim=True).expand_as(x)
    moved = augment_images(x, augmentation)
    assert (moved[background] == 0).all()
    assert (moved[~background] != 0).all()
    assert (float(moved.min()), float(moved.max())) == (-1.0, 1.0)


def test_clip_comes_after_interpolation():
    x = torch.tensor([[[[3.0, -2.0]]]])
    half_a_pixel = torch.stack([torch.zeros(3, 3), torch.full((3, 3), 0.5)])[None]
    moved = augment_images(x, nothing(control_points=half_a_pixel))
    assert moved.flatten().tolist() == [0.5, 0.5]


def test_mask_and_image_move_together():
    y = blobs(6)
    augmentation = draw_augmentation(6, 3, PAPER, generator=generator(1))
    augmentation = Augmentation(**vars(augmentation) | {"shift": torch.zeros(6, 3)})
    labels = augment_masks(y, augmentation)
    assert not torch.equal(labels, y)
    assert (labels.dtype, set(labels.unique().tolist())) == (y.dtype, {0, 1, 2, 3})
    x = torch.stack([y == label for label in (1, 2, 3)], 1).float()
    moved = augment_images(x, augmentation)
    for channel, label in enumerate((1, 2, 3)):
        share, is_label = moved[:, channel], labels == label
        assert is_label[share > 0.999].all()  # the four neighbours agree
        assert not is_label[share < 0.001].any()
        assert ((share > 0.5) != is_label).float().mean() < 0.02


def test_draws_have_the_distributions_of_the_paper():
    n = 20_000
    drawn = draw_augmentation(n, 2, PAPER, generator=generator())
    for values, law in [
        (drawn.control_points, stats.norm(0, 5)),
        (drawn.rotation_deg, stats.uniform(-3, 6)),
        (drawn.zoom, stats.uniform(0.9, 0.2)),
        (drawn.shift, stats.uniform(-0.1, 0.2)),
    ]:
        assert stats.kstest(values.flatten()[:n].numpy(), law.cdf).pvalue > 0.01
    flips = torch.stack([drawn.flip_rows, drawn.flip_columns]).double()
    assert flips.mean(1).tolist() == pytest.approx([0.5, 0.5], abs=0.02)


def test_draws_do_not_depend_on_one_another():
    drawn = draw_augmentation(20_000, 2, PAPER, generator=generator())
    columns = [tensor.double().reshape(20_000, -1) for tensor in vars(drawn).values()]
    correlation = torch.corrcoef(torch.cat(columns, 1).T).fill_diagonal_(0)
    assert float(correlation.abs().max()) < 0.04  # 5.6 standard errors


def make_batch(n=4, n_labelled=2):
    x = images(n, 2, 24, 12)
    return Batch.of(x, x.clone(), blobs(n_labelled, 24, 12))


def tensors(batch):
    return (batch.x_P, batch.x_A, batch.y)


def test_a_batch_is_the_same_for_the_same_generator_alone():
    first, again, other = (
        augment_batch(make_batch(), PAPER, generator=generator(seed)) for seed in (1, 1, 2)
    )
    assert all(map(torch.equal, tensors(first), tensors(again)))
    assert not any(map(torch.equal, tensors(first), tensors(other)))


def test_each_image_of_both_domains_changes_otherwise():
    x = images(1, 2, 24, 12).expand(3, -1, -1, -1)
    batch = augment_batch(Batch.of(x, x, masks(0, 24, 12)), PAPER, generator=generator())
    six = torch.cat([batch.x_P, batch.x_A])
    assert all(not torch.equal(six[i], six[j]) for i in range(6) for j in range(i))


@pytest.mark.parametrize("n_labelled", [0, 1, 4])
def test_masks_follow_the_first_images_of_P(n_labelled):
    y = blobs(4, 24, 12)[:n_labelled]
    x = torch.zeros(4, 1, 24, 12)
    x[:n_labelled, 0] = (y > 0).float()
    ranges = PAPER.model_copy(update={"intensity": 0.0})
    batch = augment_batch(Batch.of(x, x, y), ranges, generator=generator())
    assert batch.y.shape == (n_labelled, 24, 12)
    assert ((batch.x_P[:n_labelled, 0] > 0.5) != (batch.y > 0)).sum() <= 0.05 * batch.y.numel()
    assert ((batch.x_A[:n_labelled, 0] > 0.5) != (batch.y > 0)).sum() >= 0.1 * batch.y.numel()


def test_nothing_given_is_written_to():
    batch, before = make_batch(), make_batch()
    augmentation = draw_augmentation(4, 2, PAPER, generator=generator())
    drawn = {name: tensor.clone() for name, tensor in vars(augmentation).items()}
    augment_images(batch.x_P, augmentation)
    augment_batch(batch, PAPER, generator=generator())
    assert all(map(torch.equal, tensors(batch), tensors(before)))
    assert all(torch.equal(tensor, drawn[name]) for name, tensor in vars(augmentation).items())


def test_autocast_changes_no_bit():
    batch = make_batch()
    exact = augment_batch(batch, PAPER, generator=generator())
    with torch.autocast("cpu", torch.bfloat16):
        rounded = augment_batch(batch, PAPER, generator=generator())
    assert all(map(torch.equal, tensors(rounded), tensors(exact)))


def test_no_value_is_read_back_or_sent():
    """On a GPU each would stall the device (no hidden synchronisation)."""
    called = []

    class Calls(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            called.append(str(function))
            return function(*args, **(kwargs or {}))

    batch = make_batch()
    with Calls():
        augment_batch(batch, PAPER, generator=generator())
    assert any("grid_sampler" in name for name in called)
    # lift_fresh: a tensor is made of Python values, and would be copied to the device.
    for stall in ("_local_scalar_dense", "nonzero", "lift_fresh", "masked_select"):
        assert not any(stall in name for name in called), stall

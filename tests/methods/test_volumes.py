"""Updates on volumes, against those on images; and what takes none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from segtrans.batch import Batch
from segtrans.config.catalogue import METHODS
from segtrans.config.params import load_params
from segtrans.config.run_config import resolve_config
from segtrans.errors import UserError
from segtrans.methods import translation
from segtrans.methods.base import plain_step
from segtrans.methods.weights import build_method
from segtrans.nets.convolution import Convolution
from segtrans.objective.losses import dice_loss
from segtrans.tasks.base import VOID
from tests.nets.depth import over_depth, spread_over_depth

ROOT = Path(__file__).parents[2]
DEPTH, SIDES = 29, (30, 29)


def config_of(method, overlay=None, **task):
    """Of a task of half-volumes, tiny; of images where `task` says so."""
    own = {"kind": "half_volumes", "title": "Volumes"} | task
    params = load_params(
        ROOT / "params.yaml",
        overlay={
            "tasks": ["own"],
            "data_sets": {"own": own},
            "methods": [method],
            "networks": {"width": 1 / 64},
            "objective": {"translation": {"lambda_seg": 0.0}},
        }
        | (overlay or {}),
    )
    return resolve_config(params, task="own", method=method, init_seed=0)


def pair_of(method):
    """The method on images and on volumes, whose kernels do to each slice what the first does."""
    sides = dict(zip(("height", "width"), SIDES, strict=True))
    channels = ["t1", "t2", "t1c", "flair"]
    images = {"kind": "image_folder", "channels": channels, "directory": "/nowhere", **sides}
    norm = {"architecture": "mnist48", "segmentation_norm": "layer_norm"}
    flat = build_method(config_of(method, **norm, **images))
    config = config_of(method, depth=DEPTH, **sides)
    deep = build_method(config)
    places = spread_over_depth(flat, deep, torch.Generator().manual_seed(2))
    for of in (flat, deep):
        of.prepare(config.training)
    return flat, deep, places


def images(generator, n=2):
    return torch.rand(n, 4, *SIDES, generator=generator) * 2 - 1


@pytest.mark.parametrize("method", ["translation", "autoencoder"])
def test_an_update_on_what_is_constant_along_depth_is_that_on_images(method, monkeypatch):
    """The terms, and the gradients of each kernel at the place where its weights are."""
    flat, deep, places = pair_of(method)
    monkeypatch.setattr(
        translation,
        "normal_like",
        lambda u, generator: (
            torch.randn(u.shape[:2], generator=generator)
            .view(*u.shape[:2], *[1] * (u.ndim - 2))
            .expand_as(u)
        ),
    )
    generator = torch.Generator().manual_seed(0)
    x_P, x_A = images(generator), images(generator)
    y = torch.zeros(0, *SIDES, dtype=torch.uint8)
    expected = flat.update(Batch.of(x_P, x_A, y), plain_step(torch.Generator().manual_seed(3)))
    volumes = Batch.of(*(over_depth(of, DEPTH) for of in (x_P, x_A, y)))
    found = deep.update(volumes, plain_step(torch.Generator().manual_seed(3)))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=2e-3, abs=1e-3), name
    twins = dict(flat.named_modules())
    n_compared = 0
    for name, module in deep.named_modules():
        twin = twins[name]
        if isinstance(module, Convolution) and twin.weight.grad is not None:
            n_compared += 1
            gradient = module.weight.grad[:, :, places[name]]
            error = (gradient - twin.weight.grad).abs().max()
            assert error <= 0.02 * twin.weight.grad.abs().max() + 1e-4, name
    assert n_compared > 10


@pytest.mark.parametrize("method", ["translation", "segmentation_only", "autoencoder"])
def test_labelled_volumes_give_a_segmentation_term(method):
    config = config_of(method, {"objective": {}}, depth=DEPTH, height=30, width=29)
    built = build_method(config)
    built.prepare(config.training)
    generator = torch.Generator().manual_seed(0)
    x_P, x_A = (torch.rand(2, 4, DEPTH, 30, 29, generator=generator) for _ in range(2))
    y = (x_P[:1, 0] > 0.5).to(torch.uint8)
    with torch.no_grad():
        segmented = built.segment(x_P[:1])
    assert segmented.shape == (1, 1, DEPTH, 30, 29)
    terms = built.update(Batch.of(x_P, x_A, y), plain_step(torch.Generator()))
    p, truth = segmented[:, 0].double().numpy(), y.numpy() > 0
    dice = (2 * p[truth].sum() + 1) / (p.sum() + truth.sum() + 1)
    assert float(terms["seg"]) == pytest.approx(1 - dice, abs=2e-3)  # weights normalised once more


def test_dice_of_volumes_is_pooled_over_all_voxels_but_void():
    rng = np.random.default_rng(0)
    p = rng.random((2, 3, 4, 5, 6), np.float32)
    p /= p.sum(axis=1, keepdims=True)
    y = rng.integers(0, 3, (2, 4, 5, 6)).astype(np.uint8)
    y[rng.random(y.shape) < 0.2] = VOID
    known = y != VOID
    expected = []
    for k in (1, 2):
        overlap, size = (p[:, k] * (y == k)).sum(), (p[:, k] * known).sum() + (y == k).sum()
        expected.append(1 - (2 * overlap + 1) / (size + 1))
    loss = dice_loss(torch.from_numpy(p), torch.from_numpy(y))
    assert float(loss) == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize("method", [name for name, of in METHODS.items() if not of.takes_volumes])
def test_other_methods_are_refused(method):
    with pytest.raises(UserError, match=rf"method = {method}: takes no volumes.* of task own are"):
        config_of(method)


def test_methods_of_a_task_of_its_own_are_checked_for_it():
    overlay = {"methods": ["fixmatch"], "overrides": {"own": {"methods": ["autoencoder"]}}}
    assert config_of("autoencoder", overlay).method == "autoencoder"
    overlay["overrides"]["own"]["methods"] = ["fixmatch"]
    with pytest.raises(UserError, match="overrides of own: method = fixmatch: takes no volumes"):
        config_of("autoencoder", overlay)

"""Half-slices augmented a second: a batch of 20 P with their masks and 20 A.

The plain loop is SciPy's `map_coordinates`, an image and a channel after the other, on one core.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline

from benchmarks.floors import COPIED_BYTES
from benchmarks.lines import Line, best_seconds
from segtrans.batch import Batch
from segtrans.config.blocks import AugmentationParams
from segtrans.data.feed.augment import augment_batch

PAPER = AugmentationParams(warp_sd=5.0, rotation_deg=3.0, zoom=0.1, intensity=0.1, flips=True)
BATCH_SIZE = 20  # of each domain
N_SEQUENCES, HEIGHT, WIDTH = 4, 240, 120
REPEATS = 20


def lines() -> Iterator[Line]:
    """The plain loop, then ours with one thread and with two."""
    batch = make_batch()
    n = len(batch.x_P) + len(batch.x_A)
    n_bytes = sum(tensor.nbytes for tensor in (batch.x_P, batch.x_A, batch.y))
    line = partial(
        Line, part="augment", unit="half-slices/s", floor_is="images and masks copied once"
    )
    torch.set_num_threads(1)
    yield line(
        case="plain loop",
        value=n / best_seconds(lambda: plain_batch(batch), repeats=3),
        floor=n * copied_at_best(n_bytes),
    )
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        generator = torch.Generator().manual_seed(0)
        ours = partial(augment_batch, batch, PAPER, generator=generator)
        yield line(
            case=f"ours, {n_threads} thread{'s' * (n_threads > 1)}",
            value=n / best_seconds(ours, repeats=REPEATS),
            floor=n * copied_at_best(n_bytes),
        )


def make_batch() -> Batch:
    """Half-slices of noise with some background and a square lesion."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2 * BATCH_SIZE, N_SEQUENCES, HEIGHT, WIDTH, generator=generator) / 5
    x[..., : HEIGHT // 6, :] = 0  # background
    y = torch.zeros(BATCH_SIZE, HEIGHT, WIDTH, dtype=torch.uint8)
    y[:, 100:140, 40:80] = 1
    return Batch.of(x[:BATCH_SIZE], x[BATCH_SIZE:], y)


def copied_at_best(n_bytes: int) -> float:
    """Batches of this size a second that torch's threads copy in memory."""
    source = torch.ones(COPIED_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    return COPIED_BYTES / best_seconds(lambda: target.copy_(source), repeats=5) / n_bytes


def plain_batch(batch: Batch) -> None:
    """The same changes as one would first write them: an image and a channel after the other."""
    rng = np.random.default_rng(0)
    for x in batch.x_A.numpy():
        plain_image(rng, x, plain_lookup(rng))
    for x, y in zip(batch.x_P.numpy(), batch.y.numpy(), strict=True):
        at = plain_lookup(rng)
        plain_image(rng, x, at)
        ndimage.map_coordinates(y, at, order=0, mode="mirror")


def plain_lookup(rng: np.random.Generator) -> NDArray[np.float64]:
    """Row and column to look up for each pixel."""
    centre = np.array([HEIGHT - 1, WIDTH - 1])[:, None, None] / 2
    at = np.indices((HEIGHT, WIDTH)) - centre
    at *= rng.choice([-1, 1], (2, 1, 1))
    angle = np.deg2rad(rng.uniform(-PAPER.rotation_deg, PAPER.rotation_deg))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    at = np.tensordot(turn / rng.uniform(1 - PAPER.zoom, 1 + PAPER.zoom), at, 1) + centre
    for positions in at:
        points = rng.normal(0, PAPER.warp_sd, (3, 3))
        positions += plain_spline(plain_spline(points, HEIGHT).T, WIDTH).T
    return at


def plain_spline(points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Values at whole pixels of the spline through three points, along the first axis."""
    spline = CubicSpline(np.linspace(0, size - 1, 3), points, bc_type="natural")
    values: NDArray[np.float64] = spline(np.arange(size))
    return values


def plain_image(
    rng: np.random.Generator, x: NDArray[np.float32], at: NDArray[np.float64]
) -> NDArray[np.floating]:
    """Resample every sequence, shift its brain, clip."""
    moved = np.stack([ndimage.map_coordinates(c, at, order=1, mode="mirror") for c in x])
    shift = rng.uniform(-PAPER.intensity, PAPER.intensity, (len(x), 1, 1))
    changed: NDArray[np.floating] = np.clip(moved + shift * (moved != 0).any(0), -1, 1)
    return changed

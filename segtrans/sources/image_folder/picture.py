"""What a file of a picture holds, whatever its format."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TURNS = range(2, 9)  # EXIF orientations but the upright one, 1


@dataclass(frozen=True)
class Picture:
    """What a file holds.

    Attributes:
        pixels: (H, W) or (H, W, C) as it is to be looked at, without alpha; of bits, bool.
        palette: (n, 3) of 8 bits where pixels are indices into it, else None.
        alpha: (H, W) that was dropped, or None.
        is_lossy: whether the file's format may change values.
        orientation: EXIF's number of how pixels lay in the file; 1 is upright. It is undone.
    """

    pixels: NDArray[Any]
    palette: NDArray[np.uint8] | None = None
    alpha: NDArray[Any] | None = None
    is_lossy: bool = False
    orientation: int = 1

    @property
    def is_turned(self) -> bool:
        """Whether pixels lay otherwise in the file."""
        return self.orientation in _TURNS

    @property
    def shape_in_file(self) -> tuple[int, int]:
        """(H, W) in the file, before it was turned."""
        height, width = self.pixels.shape[:2]
        return (width, height) if self.orientation in range(5, 9) else (height, width)


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (H, W) or (H, W, C) of a file as its EXIF orientation has them looked at."""
    if orientation not in _TURNS:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def without_alpha(pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Pixels and alpha of a picture of grey or colours that may have alpha behind them."""
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        colours = np.ascontiguousarray(pixels[..., :-1])
        return (colours[..., 0] if colours.shape[2] == 1 else colours), pixels[..., -1]
    return pixels, None

"""The picture of a TIFF file, by tifffile."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.image_folder.picture import Picture, upright

_LOSSLESS = {
    *("NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "LZMA", "ZSTD", "PNG"),
    *("CCITTRLE", "CCITTFAX3", "CCITTFAX4", "CCIRLEW", "JBIG", "JBIG2"),
}
_COLOURS = {"MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "YCBCR", "MASK"}
_ALPHA = {"ASSOCALPHA", "UNASSALPHA"}
_ORIENTATION = 274


def read_tiff(path: Path) -> Picture:
    """The single picture of a TIFF file, in the machine's byte order.

    Raises:
        UserError: there are several pictures in it, or its colours are neither grey nor RGB.
        Exception: whatever tifffile raises of a damaged file.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is raised, too
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        photometric = page.photometric.name
        if photometric not in _COLOURS:
            raise UserError(f"{path}: has {photometric} colours; save it as grey or RGB")
        series = file.series[0]
        pixels = series.asarray(level=0)
        pixels = _channels_last(path, pixels, series.axes)
        others: list[Any] = [of.pages[0] for of in file.series[1:]]
        if not all(of.is_reduced for of in others):
            raise UserError(f"{path}: has several pictures; expected a single one")
        tag = page.tags.get(_ORIENTATION)
        orientation = int(tag.value) if tag else 1
        palette, alpha = None, None
        if any(extra.name in _ALPHA for extra in page.extrasamples):
            pixels, alpha = pixels[..., :-1], pixels[..., -1]
            pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        if photometric == "PALETTE":
            palette = (np.asarray(page.colormap).T >> 8).astype(np.uint8)
        if photometric == "MINISWHITE":
            pixels = ~pixels if pixels.dtype.kind in "bu" else pixels.max() - pixels
        is_lossy = page.compression.name not in _LOSSLESS
    pixels = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))
    return Picture(upright(pixels, orientation), palette, alpha, is_lossy, orientation)


def _channels_last(path: Path, pixels: NDArray[Any], axes: str) -> NDArray[Any]:
    """(H, W) or (H, W, C); other axes have a length of 1."""
    long = [axis for axis, length in zip(axes, pixels.shape, strict=True) if length > 1]
    kept = "".join(axis for axis in axes if axis in "YX" or axis in long)
    if kept not in ("YX", "YXS", "YXC", "SYX", "CYX"):
        raise UserError(
            f"{path}: holds a stack (axes {axes}, {' x '.join(map(str, pixels.shape))}); expected "
            "a single picture"
        )
    pixels = pixels.reshape(
        [length for axis, length in zip(axes, pixels.shape, strict=True) if axis in kept]
    )
    return np.moveaxis(pixels, 0, 2) if kept[0] in "SC" else pixels

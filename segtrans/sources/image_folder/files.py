"""A picture from its file: PNG, JPEG, TIFF, BMP, WebP, NPY.

A file is read by what it holds, whatever its ending. TIFF is tifffile's, PNG of 8 and 16 bits
imagecodecs', since Pillow halves the bits of 16 bit colours; the rest is Pillow's. These are what
scikit-image itself reads with.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segtrans.errors import UserError, one_line
from segtrans.sources.image_folder.picture import Picture, upright, without_alpha
from segtrans.sources.image_folder.tiff import read_tiff

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY = b"\x93NUMPY"
_PNG = b"\x89PNG\r\n\x1a\n"
_BITS_AT = 24  # of a PNG: bits of each channel
_EXIF = (b"eXIf", b"Raw profile type")  # chunks of a PNG
_ORIENTATION = 0x0112
_LOSSY = ("JPEG", "MPO", "WEBP")
_FORMATS = ("PNG", "BMP", "JPEG", "WEBP")
_FOREIGN = ("CMYK", "LAB", "YCbCr", "HSV")
_MAX_CHANNELS = 64  # of an array; more is a stack of images


def read_picture(path: Path, *, n_channels: int | None = None) -> Picture:
    """What a single file holds.

    Args:
        path: the file.
        n_channels: tells channels first from channels last in NPY; None: the shorter side.

    Raises:
        UserError: the file is empty, damaged, or no picture that is read.
    """
    try:
        data = path.read_bytes()
        if not data:
            raise UserError(f"{path}: an empty file; put the picture there again, or remove it")
        picture = _read(path, data, n_channels)
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{path}: no picture that can be read; save it as PNG or TIFF") from None
    except MemoryError:
        raise UserError(f"{path}: does not fit into memory; cut it into parts") from None
    except Exception as error:  # libraries raise anything of a damaged file
        raise UserError(
            f"{path}: cannot be read ({one_line(error)}); it may be cut off or damaged"
        ) from error
    if 0 in picture.pixels.shape:
        raise UserError(f"{path}: a picture without pixels")
    return picture


def _read(path: Path, data: bytes, n_channels: int | None) -> Picture:
    if data.startswith(_NPY):
        return _read_npy(path, n_channels)
    if data.startswith(_TIFF):
        return read_tiff(path)
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            raise UserError(f"{path}: has several frames; expected a single picture")
        if image.mode in _FOREIGN:
            raise UserError(f"{path}: has {image.mode} colours; save it as RGB")
        return _read_by_pillow(image, data)


def _read_by_pillow(image: Image.Image, data: bytes) -> Picture:
    is_png = data.startswith(_PNG)
    # Asked for its EXIF, a PNG without any is decoded first.
    has_exif = not is_png or any(chunk in data for chunk in _EXIF)
    orientation = image.getexif().get(_ORIENTATION, 1) if has_exif else 1
    palette = None
    if is_png and image.mode != "P" and data[_BITS_AT] >= 8:
        from imagecodecs import png_decode

        pixels = np.asarray(png_decode(data))
    else:
        if image.mode in ("P", "PA"):
            palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        pixels = np.asarray(image)
    pixels, alpha = without_alpha(pixels)
    return Picture(
        upright(pixels, orientation),
        palette,
        alpha,
        is_lossy=image.format in _LOSSY,
        orientation=orientation,
    )


def _read_npy(path: Path, n_channels: int | None) -> Picture:
    pixels: NDArray[Any] = np.load(path, allow_pickle=False)
    if pixels.dtype.kind not in "buif":
        raise UserError(f"{path}: holds {pixels.dtype}; expected numbers")
    shape = pixels.shape
    if pixels.ndim == 3:
        is_first = shape[0] < shape[2] if n_channels is None else shape[0] == n_channels != shape[2]
        pixels = np.moveaxis(pixels, 0, 2) if is_first else pixels
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] > _MAX_CHANNELS):
        raise UserError(f"{path}: has shape {shape}; expected (H, W), (H, W, C) or (C, H, W)")
    return Picture(np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("="), copy=False))

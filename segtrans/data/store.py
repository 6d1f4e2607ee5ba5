"""The HDF5 layout of every data set, schema version 2: the one place that reads and writes it.

    /<fold>/present/{image, mask, and provenance of each sample}
    /<fold>/absent/{image, and provenance if any}               fold: train, valid, test
    /<fold>/neither/{image, and provenance}     slices beside these, of neither domain

The last one only where the parameters have `neighbours`.

`image` is (N, C, H, W), or (N, C, D, H, W) of volumes, with an attribute `scale`: intensity =
stored value * scale. `mask` is (N, H, W) or (N, D, H, W) uint8, values of the attribute `labels`,
which says what each means. Provenance is one value a sample, (N,); text is stored as bytes of a
fixed length and read as text. Attributes of the file: schema_version, task, channels, labels,
parameters, source, source_sha256, data_seed; has_void where masks may hold
`segtrans.tasks.base.VOID` too, for pixels that count neither way; pathologies where masks are bits
of several (`segtrans.data.pathologies`).
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from segtrans.atomic import atomic_path
from segtrans.config.versions import STORE_VERSION
from segtrans.data.beside import NEITHER
from segtrans.data.chunks import gather
from segtrans.data.store_writer import StoreWriter
from segtrans.data.values import (
    BINARY,
    check_count,
    check_labels,
    check_masks,
    check_name,
    check_scale,
)
from segtrans.digests import file_sha256
from segtrans.errors import UserError, one_line

FOLDS = ("train", "valid", "test")
DOMAINS = ("present", "absent")

# No file is locked: not every file system has locks, and a data set that is there never changes.
# The format is fixed, so that a newer library does not write other bytes.
_LIBRARY_FORMAT = ("v110", "v110")
_MADE_BY = "`segtrans cluttered-mnist` or `segtrans half-slices`"
# The workflow believes a file that looks untouched, damaged or not.
_MAKE_AGAIN = f"delete it and make it again with {_MADE_BY}"
_CHECKED_BYTES = 16 * 2**20  # of masks, read at a time when a file is opened
_HDF5_ERRORS = (OSError, RuntimeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class StoreHeader:
    """What a data set says of itself.

    Attributes:
        task: its name.
        channels: names of the image channels, in stored order.
        parameters: everything that decided the content, as plain types.
        source: one sentence on where the raw data come from.
        source_sha256: hash of the raw data.
        data_seed: seed of split and content.
        labels: what each value of a mask means; 0 is the background, all others are the target.
        has_void: whether masks may hold `VOID` where nothing is known.
        pathologies: names of those whose bits masks are made of (`segtrans.data.pathologies`); none
            where there is one target.
    """

    task: str
    channels: tuple[str, ...]
    parameters: dict[str, Any]
    source: str
    source_sha256: str
    data_seed: int
    labels: dict[int, str] = field(default_factory=lambda: dict(BINARY))
    has_void: bool = False
    pathologies: tuple[str, ...] = ()


@contextmanager
def write_store(path: Path, header: StoreHeader) -> Iterator[StoreWriter]:
    """Write a data set, whole or not at all; the same content gives the same bytes.

    Args:
        path: the file, moved into place when the block ends well.
        header: what the data set says of itself.

    Raises:
        UserError: the disk is full, read-only or not ours, or a value may not stand in a data set.
    """
    check_labels(header.labels, place=str(path))
    try:
        with (
            atomic_path(path) as temporary,
            h5py.File(temporary, "w", libver=_LIBRARY_FORMAT, locking=False) as file,
        ):
            file.attrs["schema_version"] = STORE_VERSION
            file.attrs["task"] = header.task
            file.attrs["channels"] = json.dumps(header.channels)
            file.attrs["labels"] = json.dumps(header.labels, sort_keys=True)
            file.attrs["parameters"] = json.dumps(header.parameters, sort_keys=True)
            file.attrs["source"] = header.source
            file.attrs["source_sha256"] = header.source_sha256
            file.attrs["data_seed"] = header.data_seed
            if header.has_void:
                file.attrs["has_void"] = True
            if header.pathologies:
                file.attrs["pathologies"] = json.dumps(header.pathologies)
            check = partial(check_masks, labels=header.labels, has_void=header.has_void)
            writer = StoreWriter(file, path, check)
            yield writer
            writer.finish()
    except (OSError, RuntimeError) as error:
        if (reason := _disk_problem(error)) is None:
            raise
        raise UserError(
            f"{path}: cannot be written ({reason}); nothing was left half-written; "
            "free space there or choose another place"
        ) from error


class Store:
    """Reads a data set. Cheap to pickle; every process opens the file for itself.

    Attributes:
        path: the file.
        header: what the data set says of itself.
        image_shape: (C, H, W), or (C, D, H, W) of volumes.

    Raises:
        UserError: the file is missing, no HDF5 file, truncated or of another schema, has an empty
            fold, a scale that is no number above 0, or a mask value without a meaning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sha256: str | None = None
        self._opened: tuple[int, h5py.File] | None = None
        if not path.is_file():
            raise UserError(f"{path}: no such data file; make it with {_MADE_BY}")
        try:
            self.header = self._read_header()
            self._check_layout()
            self._check_values()
        except _HDF5_ERRORS as error:
            self._close()
            raise self._damaged(error) from error
        except UserError:
            self._close()
            raise
        image = self._dataset("train", "present", "image")
        self.image_shape: tuple[int, ...] = image.shape[1:]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def n(self, fold: str, domain: str) -> int:
        """Number of samples."""
        return len(self._dataset(fold, domain, "image"))

    def n_bytes(self, fold: str) -> int:
        """Memory that all images and masks of a fold take, in bytes."""
        parts = [("present", "mask"), *((domain, "image") for domain in self._domains(fold))]
        return int(sum(self._dataset(fold, *part).nbytes for part in parts))

    def has_neither(self, fold: str) -> bool:
        """Whether there are slices of neither domain, as neighbours of others."""
        return f"{fold}/{NEITHER}" in self._file()

    def scale(self, fold: str, domain: str) -> float:
        """Intensity of one stored unit."""
        return float(self._dataset(fold, domain, "image").attrs["scale"])

    def images(
        self, fold: str, domain: str, indices: NDArray[np.int64] | None = None
    ) -> NDArray[Any]:
        """Images as stored, (n, C, H, W) or (n, C, D, H, W); intensity = value * `scale`.

        Args:
            fold: one of FOLDS.
            domain: one of DOMAINS.
            indices: samples to read, in any order, repeated or not; None for all.

        Raises:
            UserError: the file is damaged there.
        """
        return self._read(fold, domain, "image", indices)

    def masks(self, fold: str, indices: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Class labels of present samples, (n, ...) uint8; arguments and errors as `images`."""
        return self._read(fold, "present", "mask", indices)

    def provenance(self, fold: str, domain: str) -> dict[str, NDArray[Any]]:
        """Where each sample comes from: arrays (N,) by name; empty when nothing was noted."""
        names = [n for n in self._file()[f"{fold}/{domain}"] if n not in ("image", "mask")]
        arrays = {name: self._read(fold, domain, name, None) for name in names}
        return {
            name: np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
            for name, array in arrays.items()
        }

    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        if self._sha256 is None:
            self._sha256 = file_sha256(self.path)
        return self._sha256

    def _read(
        self, fold: str, domain: str, name: str, indices: NDArray[np.int64] | None
    ) -> NDArray[Any]:
        dataset = self._dataset(fold, domain, name)
        try:
            return dataset[()] if indices is None else gather(dataset, indices)
        except _HDF5_ERRORS as error:
            raise UserError(
                f"{self.path}: {dataset.name} is damaged ({one_line(error)}); {_MAKE_AGAIN}"
            ) from error

    def _domains(self, fold: str) -> tuple[str, ...]:
        return (*DOMAINS, NEITHER) if self.has_neither(fold) else DOMAINS

    def _dataset(self, fold: str, domain: str, name: str) -> Any:
        place = f"/{fold}/{domain}/{name}"
        if place not in self._file():
            raise ValueError(f"{place} is missing")
        return self._file()[place]

    def _file(self) -> h5py.File:
        # HDF5's state must not be shared across a fork.
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                self._opened = (os.getpid(), h5py.File(self.path, "r", locking=False))
            except _HDF5_ERRORS as error:
                raise self._damaged(error) from error
        return self._opened[1]

    def _close(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def _read_header(self) -> StoreHeader:
        attributes = self._file().attrs
        version = attributes.get("schema_version")
        if version != STORE_VERSION:
            found = "no data set of ours" if version is None else f"of schema version {version}"
            raise UserError(
                f"{self.path}: is {found}, this program reads version {STORE_VERSION}; "
                f"{_MAKE_AGAIN}"
            )
        return StoreHeader(
            task=str(attributes["task"]),
            channels=tuple(json.loads(attributes["channels"])),
            parameters=json.loads(attributes["parameters"]),
            source=str(attributes["source"]),
            source_sha256=str(attributes["source_sha256"]),
            data_seed=int(attributes["data_seed"]),
            labels={int(key): str(of) for key, of in json.loads(attributes["labels"]).items()},
            has_void=bool(attributes.get("has_void", False)),
            pathologies=tuple(json.loads(attributes.get("pathologies", "[]"))),
        )

    def _check_layout(self) -> None:
        first = self._dataset(FOLDS[0], DOMAINS[0], "image")
        expected = (len(self.header.channels), *first.shape[2:])
        for fold in FOLDS:
            for domain in self._domains(fold):
                image = self._dataset(fold, domain, "image")
                has_axes = image.ndim in (4, 5) and image.shape[1:] == expected
                if not has_axes or "scale" not in image.attrs:
                    raise ValueError(f"{image.name} is {image.shape}, expected {('N', *expected)}")
                if image.dtype.kind not in "uif":
                    raise ValueError(f"{image.name} is {image.dtype}, expected numbers")
                self._check_samples(fold, domain, (self.n(fold, domain), *expected[1:]))

    def _check_samples(self, fold: str, domain: str, mask_shape: tuple[int, ...]) -> None:
        names = {*self._file()[f"{fold}/{domain}"]} - {"image"}
        for name in names | ({"mask"} if domain == "present" else set()):
            check_name(name, place=f"{self.path}: /{fold}/{domain}")
            dataset = self._dataset(fold, domain, name)
            shape = mask_shape if name == "mask" else mask_shape[:1]
            if dataset.shape != shape:
                raise ValueError(f"{dataset.name} is {dataset.shape}, expected {shape}")
            if name == "mask" and dataset.dtype != np.uint8:
                raise ValueError(f"{dataset.name} is {dataset.dtype}, expected uint8")

    def _check_values(self) -> None:
        """Sizes, scales and all masks; images are checked as they are read."""
        labels, has_void = self.header.labels, self.header.has_void
        check_labels(labels, place=str(self.path))
        for fold in FOLDS:
            for domain in self._domains(fold):
                place = f"{self.path}: /{fold}/{domain}/image"
                check_count(self.n(fold, domain), place=place)
                check_scale(self.scale(fold, domain), place=place)
            masks, n = self._dataset(fold, "present", "mask"), self.n(fold, "present")
            step = max(1, _CHECKED_BYTES * n // max(1, masks.nbytes))
            for start in range(0, n, step):
                block = self.masks(fold, np.arange(start, min(n, start + step)))
                place = f"{self.path}: {masks.name}"
                check_masks(block, labels, has_void=has_void, place=place)

    def _damaged(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path}: no HDF5 data set, or a damaged one ({one_line(error)}); {_MAKE_AGAIN}"
        )


def _disk_problem(error: Exception) -> str | None:
    """What the system said, e.g. of a full disk; HDF5 hides its number in a long text."""
    hidden = re.search(r"errno = (\d+)", str(error))
    number = int(hidden[1]) if hidden else getattr(error, "errno", None)
    return None if number is None else os.strerror(number)

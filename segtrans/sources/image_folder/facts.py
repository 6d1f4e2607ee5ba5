"""What is read of an image once: its own faults, and what it is compared with others by."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.data.values import is_target
from segtrans.errors import UserError
from segtrans.sources.image_folder.intensities import check_values
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.masks import read_masks
from segtrans.sources.image_folder.measures import Measures, measure
from segtrans.sources.image_folder.reading import check_channels, read_any_image
from segtrans.sources.own_folder.drawn import shows_by
from segtrans.tasks.image_folder import ImageFolder


@dataclass(frozen=True)
class Facts:
    """An image and its mask, without their pixels: some kilobytes.

    Attributes:
        item: the image.
        faults: what is wrong with it, a line each.
        shape: (H, W, C); None when it could not be read.
        dtype: of its files.
        largest: of its values.
        digest: of its pixels, whatever the format of their file.
        has_alpha: whether alpha was dropped.
        is_turned: whether EXIF turned it.
        classes: values of the classes in its mask; None without one.
        target_fraction: share of its pixels that are of a class; None without a mask.
        measures: what may tell its domain; None for an image with faults.
        shows: of several pathologies whether it shows each, by its masks or as was said: 1, 0 or
            `VOID`; else empty.
    """

    item: Item
    faults: tuple[str, ...]
    shape: tuple[int, int, int] | None = None
    dtype: str = ""
    largest: float = 0.0
    digest: str = ""
    has_alpha: bool = False
    is_turned: bool = False
    classes: tuple[int, ...] | None = None
    target_fraction: float | None = None
    measures: Measures | None = None
    shows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Examined:
    """An image that was read: facts, pixels (H, W, C) and mask (H, W); None where it has none."""

    facts: Facts
    image: NDArray[Any] | None = None
    mask: NDArray[np.uint8] | None = None


def examine(item: Item, task: ImageFolder) -> Examined:
    """Read an image and its mask, and note all that is wrong with them alone; raises nothing.

    Pixels are of use only where `facts.faults` is empty.
    """
    faults: list[str] = []
    try:
        image, pictures = read_any_image(item.files, n_channels=len(task.channels))
    except UserError as error:
        return Examined(Facts(item, (str(error),), shows=item.shows))
    faults += _faults_of(item, image, task)
    mask, drawn, faults_of_masks = read_masks(item, task, pictures[0])
    faults += faults_of_masks
    facts = Facts(
        item=item,
        faults=tuple(faults),
        shape=image.shape,
        dtype=image.dtype.name,
        largest=float(image.max()),
        digest=_digest(image),
        has_alpha=any(picture.alpha is not None for picture in pictures),
        is_turned=any(picture.is_turned for picture in pictures),
        classes=None if drawn is None else drawn.classes,
        target_fraction=None if mask is None else float(is_target(mask).mean()),
        shows=item.shows if drawn is None else shows_by(drawn, item),
        measures=None if faults else measure(item, image),
    )
    return Examined(facts, image, mask)


def _faults_of(item: Item, image: NDArray[Any], task: ImageFolder) -> Iterator[str]:
    first = item.files[0]
    try:
        whose = "as said or as the first image has"
        check_channels(item.files, image, task.channels, whose=whose)
    except UserError as error:
        yield str(error)
    if image.dtype.kind == "f" and not bool(np.isfinite(image).all()):
        n = int((~np.isfinite(image)).sum())
        yield f"{first}: NaN or infinite in {n:,} places; give them numbers, or remove it"
        return
    if bool(image.min() == image.max()):
        yield f"{first}: every value is {image.flat[0]}; a picture of nothing, remove it"
    try:
        check_values(image, task.intensity)
    except UserError as error:
        yield (
            f"{first}: {error}; in dataset.yaml set intensity: {{mode: percentile, low: 0.5, "
            "high: 99.5}, or another mode"
        )


def _digest(image: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{image.dtype.name} {image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()

"""What is read of an image once: its own faults, and what it is compared with others by."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.image_folder.files import read_picture
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.measures import Measures, measure
from segtrans.sources.image_folder.picture import Picture
from segtrans.sources.image_folder.reading import check_channels, mask_of, read_any_image
from segtrans.sources.own_folder.names import ABSENT, LOSSLESS, kind_of
from segtrans.tasks.base import VOID
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
        return Examined(Facts(item, (str(error),)))
    faults += _faults_of(item, image, task)
    mask = None
    if item.mask is not None and kind_of(item.mask) in LOSSLESS:  # others were refused by name
        try:
            picture = read_picture(item.mask)
            mask = mask_of(picture, item.mask, task)
            faults += _faults_of_mask(item, mask, picture, pictures[0])
        except UserError as error:
            faults.append(str(error))
    facts = Facts(
        item=item,
        faults=tuple(faults),
        shape=image.shape,
        dtype=image.dtype.name,
        largest=float(image.max()),
        digest=_digest(image),
        has_alpha=any(picture.alpha is not None for picture in pictures),
        is_turned=any(picture.is_turned for picture in pictures),
        classes=_classes_in(mask),
        target_fraction=None if mask is None else float(_is_target(mask).mean()),
        measures=None if faults else measure(item, image),
    )
    return Examined(facts, image, mask)


def _faults_of(item: Item, image: NDArray[Any], task: ImageFolder) -> Iterator[str]:
    first = item.files[0]
    try:
        check_channels(item.files, image, task.channels)
    except UserError as error:
        yield str(error)
    if image.dtype.kind == "f" and not bool(np.isfinite(image).all()):
        n = int((~np.isfinite(image)).sum())
        yield f"{first}: {n:,} values are NaN or infinite; give them numbers, or remove it"
    elif bool(image.min() == image.max()):
        yield f"{first}: every value is {image.flat[0]}; a picture of nothing, remove it"


def _faults_of_mask(
    item: Item, mask: NDArray[np.uint8], of_mask: Picture, of_image: Picture
) -> Iterator[str]:
    height, width = of_image.pixels.shape[:2]
    if mask.shape != (height, width):
        problem = f"{mask.shape[0]} x {mask.shape[1]}, and its image is {height} x {width}"
        if of_image.is_turned and mask.shape == of_image.shape_in_file:
            problem += ", turned by EXIF: turn the mask, or save the image upright"
        elif mask.shape == (width, height):
            problem += ": it looks turned by 90 degrees"
        yield f"{item.mask}: is {problem}; expected one size"
    has_target = bool(_is_target(mask).any())
    if item.domain == ABSENT and has_target:
        yield f"{item.mask}: shows target, and its image is absent; move the image to present"
    if item.domain != ABSENT and not has_target:
        yield (
            f"{item.mask}: is empty, and its image is present; remove the mask if nobody drew it, "
            "or move the image to absent"
        )


def _is_target(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    is_target: NDArray[np.bool_] = (mask != 0) & (mask != VOID)
    return is_target


def _classes_in(mask: NDArray[np.uint8] | None) -> tuple[int, ...] | None:
    if mask is None:
        return None
    counts = np.bincount(mask.ravel(), minlength=VOID + 1)
    return tuple(np.flatnonzero(counts[1:VOID]) + 1)


def _digest(image: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{image.dtype.name} {image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()

"""The masks of a picture, as one: values of classes, or bits of several pathologies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.data.pathologies import bit
from segtrans.data.values import is_target
from segtrans.errors import UserError
from segtrans.sources.image_folder.files import read_picture
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.picture import Picture
from segtrans.sources.image_folder.reading import mask_of
from segtrans.sources.own_folder.names import ABSENT, LOSSLESS, kind_of
from segtrans.tasks.base import VOID
from segtrans.tasks.image_folder import ImageFolder

Mask = NDArray[np.uint8]


def read_masks(item: Item, task: ImageFolder, of_image: Picture) -> tuple[Mask | None, list[str]]:
    """Read an image's masks, and note all that is wrong with them; raises nothing.

    Args:
        item: the image.
        task: whose classes there may be.
        of_image: its first file, whose size masks should have.

    Returns:
        (H, W): values of classes, or bits of the pathologies that there are masks of, `VOID` where
        one of them does not count; None without a mask that can be read. And faults, a line each.
    """
    layers: list[Mask] = []
    faults: list[str] = []
    files = [(None, item.mask), *enumerate(item.masks)]
    for k, path in files:
        if path is None or kind_of(path) not in LOSSLESS:  # others were refused by name
            continue
        try:
            picture = read_picture(path)
            layer = _layer(picture, path, k, task)
        except UserError as error:
            faults.append(str(error))
            continue
        wrong_size = list(_faults_of_size(path, layer.shape, of_image))
        faults += wrong_size or _faults_of_content(item, path, k, layer, task)
        if not wrong_size:
            layers.append(layer)
    if not layers:
        return None, faults
    # `VOID` has all bits.
    mask: Mask = np.bitwise_or.reduce(layers)
    if item.shows and item.domain != ABSENT and not faults and not any(shows_by(mask, item)):
        faults.append(
            f"{item.place}: by its masks, and what is said of it, it shows none of "
            f"{', '.join(task.pathologies)}, and it is present; move it to absent"
        )
    return mask, faults


def classes_in(mask: Mask, task: ImageFolder) -> tuple[int, ...]:
    """Values of the classes in a mask of `read_masks`."""
    if task.pathologies:
        n = len(task.pathologies)
        return tuple(k + 1 for k in range(n) if (bit(mask, k) == 1).any())
    counts = np.bincount(mask.ravel(), minlength=VOID + 1)
    return tuple(np.flatnonzero(counts[1:VOID]) + 1)


def shows_by(mask: Mask, item: Item) -> tuple[int, ...]:
    """Whether an image shows each pathology: 1 or 0 by its masks, else as was said of it."""
    has_void = bool((mask == VOID).any())
    shows = []
    for k, (said, is_masked) in enumerate(zip(item.shows, item.is_masked, strict=True)):
        if is_masked and (bit(mask, k) == 1).any():
            said = 1
        elif is_masked and not has_void:
            said = 0
        shows.append(said)
    return tuple(shows)


def _layer(picture: Picture, path: Path, k: int | None, task: ImageFolder) -> Mask:
    """What one file says: of pathology k, or of all classes."""
    if not task.pathologies:
        return mask_of(picture, path, task)
    if k is None:
        values = mask_of(picture, path, task)
        table = np.full(VOID + 1, VOID, np.uint8)
        table[: len(task.pathologies) + 1] = [0, *(1 << of for of in range(len(task.pathologies)))]
        return table[values]
    own = task.model_copy(update={"classes": {task.pathologies[k]: 1}})
    layer = mask_of(picture, path, own)
    return np.where(layer == VOID, layer, layer << np.uint8(k))


def _faults_of_size(path: Path, shape: tuple[int, ...], of_image: Picture) -> Iterator[str]:
    height, width = of_image.pixels.shape[:2]
    if shape == (height, width):
        return
    problem = f"{shape[0]} x {shape[1]}, and its image is {height} x {width}"
    if of_image.is_turned and shape == of_image.shape_in_file:
        problem += ", turned by EXIF: turn the mask, or save the image upright"
    elif shape == (width, height):
        problem += ": it looks turned by 90 degrees"
    yield f"{path}: is {problem}; expected one size"


def _faults_of_content(
    item: Item, path: Path, k: int | None, layer: Mask, task: ImageFolder
) -> Iterator[str]:
    has_target = bool(is_target(layer).any())
    if item.domain == ABSENT:
        if has_target:
            yield f"{path}: shows target, and its image is absent; move the image to present"
        return
    if not has_target and k is None:
        yield (
            f"{path}: is empty, and its image is present; remove the mask if nobody drew it, "
            "or move the image to absent"
        )
        return
    found, has_void = classes_in(layer, task), bool((layer == VOID).any())
    for index, (name, said) in enumerate(zip(task.pathologies, item.shows, strict=False)):
        if k not in (None, index):
            continue
        if index + 1 in found and said == 0:
            yield f"{path}: has {name}, and its image is said not to show it; mend one of them"
        if index + 1 not in found and said == 1 and not has_void:
            yield f"{path}: has no {name}, and its image is said to show it; mend one of them"

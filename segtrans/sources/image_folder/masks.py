"""The masks of a picture, as one: values of classes, or bits of several pathologies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.image_folder.files import read_picture
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.picture import Picture
from segtrans.sources.image_folder.reading import mask_of
from segtrans.sources.own_folder.drawn import Drawn, drawn_in, faults_of_all, faults_of_mask
from segtrans.sources.own_folder.names import LOSSLESS, kind_of
from segtrans.tasks.base import VOID
from segtrans.tasks.image_folder import ImageFolder

Mask = NDArray[np.uint8]


def read_masks(
    item: Item, task: ImageFolder, of_image: Picture
) -> tuple[Mask | None, Drawn | None, list[str]]:
    """Read an image's masks, and note all that is wrong with them; raises nothing.

    Args:
        item: the image.
        task: whose classes there may be.
        of_image: its first file, whose size masks should have.

    Returns:
        (H, W): values of classes, or bits of the pathologies that there are masks of, `VOID` where
        one of them does not count; what it shows; both None without a mask that can be read. And
        faults, a line each.
    """
    layers: list[Mask] = []
    faults: list[str] = []
    for k, path in item.layers:
        if kind_of(path) not in LOSSLESS:  # refused by name
            continue
        try:
            picture = read_picture(path)
            layer = _layer(picture, path, k, task)
        except UserError as error:
            faults.append(str(error))
            continue
        wrong_size = list(_faults_of_size(path, layer.shape, of_image))
        drawn = drawn_in([layer], task.pathologies)
        faults += wrong_size or faults_of_mask(item, path, k, drawn, task.pathologies, what="image")
        if not wrong_size:
            layers.append(layer)
    if not layers:
        return None, None, faults
    # `VOID` has all bits.
    mask: Mask = np.bitwise_or.reduce(layers)
    drawn = drawn_in([mask], task.pathologies)
    if not faults:
        faults += faults_of_all(item, drawn, task.pathologies)
    return mask, drawn, faults


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

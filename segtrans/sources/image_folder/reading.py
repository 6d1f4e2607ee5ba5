"""Images and masks of a folder, as arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.image_folder.files import read_picture
from segtrans.sources.image_folder.picture import Picture
from segtrans.tasks.base import VOID
from segtrans.tasks.image_folder import ImageFolder

_WHITE = 255
_MANY = 3  # values beside the background: more of them in a mask of one class are soft edges


def read_image(files: Sequence[Path], channels: Sequence[str]) -> NDArray[Any]:
    """An image of the kind that a run was trained on, from a file, or from one for each channel.

    EXIF orientation is applied, palettes become colours, alpha is dropped, bits become 0 and 255.

    Args:
        files: in the order of channels.
        channels: names of the channels.

    Returns:
        (H, W, C) in the type of the files.

    Raises:
        UserError: a file cannot be read, is no picture, or does not have these channels.
    """
    image, _ = read_any_image(files, n_channels=len(channels))
    check_channels(files, image, channels, whose="those that the run was trained on")
    return image


def check_channels(
    files: Sequence[Path], image: NDArray[Any], channels: Sequence[str], *, whose: str
) -> None:
    """Refuse an image (H, W, C) of other channels than named ones; `whose` says of what they are.

    Raises:
        UserError: names the file.
    """
    n = image.shape[2]
    if n == len(channels):
        return
    grey = ", all alike" if n == 3 and bool((image == image[..., :1]).all()) else ""
    some = "s" if n > 1 else ""
    wanted = {1: "grey", 3: "colour"}.get(len(channels))
    hint = f": save it in {wanted}" if {n, len(channels)} == {1, 3} else ""
    raise UserError(
        f"{files[0]}: has {n} channel{some}{grey}; expected {len(channels)} "
        f"({', '.join(channels)}), {whose}{hint}"
    )


def read_any_image(
    files: Sequence[Path], *, n_channels: int | None
) -> tuple[NDArray[Any], list[Picture]]:
    """As `read_image`, with any number of channels, and what each file holds besides.

    Args:
        files: in the order of channels.
        n_channels: expected ones, which tell channels first from last in NPY; None: any.

    Raises:
        UserError: a file cannot be read, is no picture, or differs from others of the image.
    """
    pictures: list[Picture] = []
    planes: list[NDArray[Any]] = []
    for path in files:
        picture = read_picture(path, n_channels=n_channels if len(files) == 1 else 1)
        plane = _channels_of(picture)
        if len(files) > 1 and plane.shape[2] != 1:
            raise UserError(
                f"{path}: has {plane.shape[2]} channels; expected 1, in one of {len(files)} files "
                "of an image"
            )
        if planes and (plane.shape, plane.dtype) != (planes[0].shape, planes[0].dtype):
            raise UserError(
                f"{path}: is {_described(plane)}, and {files[0].name} is {_described(planes[0])}; "
                "expected one size and type in all files of an image"
            )
        pictures.append(picture)
        planes.append(plane)
    return (np.concatenate(planes, axis=2) if len(planes) > 1 else planes[0]), pictures


def read_mask(path: Path, task: ImageFolder) -> NDArray[np.uint8]:
    """A mask, from a file of a lossless format.

    Values are as in the file: of a palette, the indices; of one class, 0 and 1 or 0 and 255.

    Args:
        path: the file.
        task: whose classes and ignored value there may be.

    Returns:
        (H, W): 0 background, the values of `task.classes`, `VOID` where it does not count.

    Raises:
        UserError: the file cannot be read, changes values, or has others than these.
    """
    return mask_of(read_picture(path), path, task)


def mask_of(picture: Picture, path: Path, task: ImageFolder) -> NDArray[np.uint8]:
    """As `read_mask`, of a file that was read.

    Raises:
        UserError: as `read_mask`.
    """
    if picture.is_lossy:
        raise UserError(
            f"{path}: its compression changes the values of a mask; save it as PNG or TIFF"
        )
    values = _indices_of(picture, path)
    found = _values_in(values, path)
    # Of one class, black and white are as good as 0 and 1.
    is_white = (
        len(task.classes) == 1 and task.ignore != _WHITE and found <= {0, _WHITE, task.ignore}
    )
    of_classes = {_WHITE: 1} if is_white else {value: value for value in task.classes.values()}
    known = {0: 0} | of_classes | ({task.ignore: VOID} if task.ignore else {})
    if unknown := sorted(found - set(known)):
        raise UserError(f"{path}: {_about(unknown, found, task)}")
    table = np.zeros(_WHITE + 1, np.uint8)
    table[list(known)] = list(known.values())
    return table[values.astype(np.uint8, copy=False)]


def _channels_of(picture: Picture) -> NDArray[Any]:
    """(H, W, C) of a file of an image."""
    pixels = picture.pixels
    if picture.palette is not None:
        used = picture.palette[: int(pixels.max()) + 1]
        is_grey = bool((used == used[:, :1]).all())
        pixels = (picture.palette[:, 0] if is_grey else picture.palette)[pixels]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _indices_of(picture: Picture, path: Path) -> NDArray[Any]:
    """(H, W) of a file of a mask."""
    pixels = picture.pixels
    if picture.palette is not None and pixels.any() and not pixels.all():
        (low,), *others = picture.palette[:1], *picture.palette[1 : int(pixels.max()) + 1]
        if bool((low == _WHITE).all()) and any(not other.any() for other in others):
            raise UserError(
                f"{path}: a palette that begins with white, where 0 is the background; save it as "
                "grey"
            )
    if pixels.ndim == 3:
        if not bool((pixels == pixels[..., :1]).all()):
            colours = np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)
            raise UserError(
                f"{path}: {len(colours)} colours; expected a value for each class: grey, or a "
                "palette"
            )
        pixels = pixels[..., 0]
    is_flat = bool((pixels == pixels.flat[0]).all())
    if (
        is_flat
        and picture.alpha is not None
        and bool((picture.alpha != picture.alpha.flat[0]).any())
    ):
        raise UserError(f"{path}: all of it is in its alpha channel; save it as grey without alpha")
    return pixels


def _values_in(values: NDArray[Any], path: Path) -> set[int]:
    if values.dtype.kind == "f" and not bool(
        (np.isfinite(values) & (values == np.rint(values))).all()
    ):
        raise UserError(f"{path}: fractions or NaN; expected whole numbers, a value for each class")
    if values.dtype == np.uint8:
        return set(np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist())
    return {int(value) for value in np.unique(values)}


def _about(unknown: Sequence[int], found: set[int], task: ImageFolder) -> str:
    expected = ", ".join(f"{value} {name}" for name, value in task.classes.items())
    if len(task.classes) == 1:
        expected = "0 and 1, or 0 and 255"
        if found - {0, 1, task.ignore} == {_WHITE}:
            return "values 1 and 255; say ignore: 255 if that is what is not to count, else mend it"
        if len(found - {0}) > _MANY:
            return (
                f"soft edges, {len(found)} values from {min(found)} to {max(found)}; expected "
                f"{expected}: take 1 where it is above the middle"
            )
    else:
        expected = f"0 and {expected}"
    values = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
    ignored = "" if task.ignore else "; say ignore: VALUE for what is not to count"
    return f"unknown value{'s' * (len(unknown) > 1)} {values}; expected {expected}{ignored}"


def _described(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[0]} x {pixels.shape[1]} of {pixels.dtype}"

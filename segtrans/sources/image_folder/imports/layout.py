"""What a data set of another layout holds, whatever the layout."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from segtrans.config.refusals import parse_object, validate
from segtrans.data.walk import walk
from segtrans.errors import UserError
from segtrans.sources.image_folder.files import read_picture
from segtrans.sources.own_folder.names import PICTURES, kind_of, name_of
from segtrans.tasks.base import VOID

# Makes a mask (H, W) uint8 of this size: 0 background, values of classes, `VOID`.
Label = Callable[[tuple[int, int]], NDArray[np.uint8]]

_Model = TypeVar("_Model", bound="Content")


@dataclass(frozen=True)
class Picture:
    """A picture of another layout.

    Attributes:
        name: its path below the source, with slashes and without ending; no other has it.
        files: one, or one for each channel; they are copied as they are.
        label: makes its mask; None where it has none. Raises UserError.
        shows: whether it shows the target, where the layout says so without a mask.
        is_test: whether the source keeps it to test on.
        is_spare: whether it is left out where nothing says whether it shows the target.
        case: what a table may call it by, together with others; such as all slices of a volume.
        planes: makes (H, W, C) float32 of what has no file of its own; then `files` is empty.
    """

    name: str
    files: tuple[Path, ...] = ()
    label: Label | None = None
    shows: bool | None = None
    is_test: bool = False
    is_spare: bool = False
    case: str | None = None
    planes: Callable[[], NDArray[np.float32]] | None = None


@dataclass
class Layout:
    """What a source holds.

    Attributes:
        pictures: all of them.
        classes: values in masks by name.
        settings: further keys of dataset.yaml.
        faults: what is wrong, a line each.
    """

    pictures: list[Picture]
    classes: dict[str, int]
    settings: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Content(BaseModel):
    """A part of a file of another program: what is not asked for is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def read_json(path: Path, model: type[_Model]) -> _Model:
    """A JSON file of another program.

    Raises:
        UserError: it is missing, no JSON, or lacks what the model asks for.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    return validate(model, parse_object(text, origin=str(path)), origin=str(path))


def pictures_below(folder: Path) -> list[Path]:
    """Files of pictures, by their endings, in a fixed order.

    Raises:
        UserError: as `walk`.
    """
    return [path for path in walk(folder) if kind_of(path) in PICTURES]


def name_below(source: Path, path: Path) -> str:
    """The name of a picture by its place below the source."""
    return name_of(path.relative_to(source))


def is_inside(source: Path, path: Path) -> bool:
    """Whether a path that a file of the source gives leads to a file in the source."""
    real, root = os.path.realpath(path), os.path.realpath(source)
    return os.path.commonpath([real, root]) == root and Path(real).is_file()


def numbered(names: Iterable[str], *, origin: object) -> dict[str, int]:
    """Names of classes with the values 1, 2, 3... in their order.

    Raises:
        UserError: there is none, or more than a mask can hold.
    """
    found = {name: value for value, name in enumerate(dict.fromkeys(names), start=1)}
    if not 1 <= len(found) < VOID:
        raise UserError(f"{origin}: {len(found)} classes; expected 1 to {VOID - 1}")
    return found


def label_of_file(path: Path, values: dict[int, int] | None) -> Label:
    """A mask from a picture of labels; palettes by index.

    Args:
        path: of the picture.
        values: what each value becomes; None: all but 0 are the target.
    """

    def read(shape: tuple[int, int]) -> NDArray[np.uint8]:
        pixels = read_picture(path).pixels
        if pixels.ndim == 3 and bool((pixels == pixels[..., :1]).all()):
            pixels = pixels[..., 0]
        check_shape(path, pixels.shape, shape)
        return mapped(pixels, values, path)

    return read


def check_shape(origin: object, found: tuple[int, ...], shape: tuple[int, int]) -> None:
    """Refuse a label of another size than its picture's.

    Raises:
        UserError: says both.
    """
    if found != shape:
        turned = "; it may be turned" if found[::-1] == shape else ""
        sizes = [" x ".join(map(str, size)) for size in (found, shape)]
        raise UserError(f"{origin}: a label of {sizes[0]} for a picture of {sizes[1]}{turned}")


def mapped(
    labels: NDArray[Any], values: dict[int, int] | None, origin: object
) -> NDArray[np.uint8]:
    """Labels with the values of a mask.

    Raises:
        UserError: a value has no meaning.
    """
    if values is None:
        target: NDArray[np.uint8] = (labels != 0).astype(np.uint8)
        return target
    known = {0: 0} | values
    found = np.unique(labels)
    if unknown := [f"{value:g}" for value in found.tolist() if value not in known]:
        said = ", ".join(str(value) for value in sorted(known))
        raise UserError(f"{origin}: unknown label {', '.join(unknown[:5])}; expected {said}")
    table = np.array([known[value] for value in found.tolist()], np.uint8)
    mask: NDArray[np.uint8] = table[np.searchsorted(found, labels)]
    return mask

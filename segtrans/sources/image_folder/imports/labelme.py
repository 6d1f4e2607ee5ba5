"""labelme: a JSON file of shapes for each picture."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segtrans.errors import UserError
from segtrans.sources.image_folder.imports.layout import (
    Content,
    Layout,
    Picture,
    check_shape,
    is_inside,
    name_below,
    numbered,
    pictures_below,
    read_json,
)
from segtrans.sources.image_folder.imports.outlines import Mask, fill_circle, fill_polygon
from segtrans.tasks.base import VOID

_IGNORE, _BACKGROUND = "__ignore__", "_background_"  # labelme's own names
_NO_AREA = ("line", "linestrip", "point", "points")


class _Shape(Content):
    label: str
    points: list[tuple[float, float]]
    shape_type: str | None = "polygon"
    mask: str | None = None


class _File(Content):
    imagePath: str
    imageHeight: int
    imageWidth: int
    shapes: list[_Shape]


def read(source: Path) -> Layout:
    """All pictures of a folder, with the JSON files that are beside them or anywhere in it.

    A picture whose file has no shape is absent, unless a table says otherwise; one without a file
    is unlabelled. Polygons, rectangles, circles and masks are drawn, a later one over an earlier;
    `__ignore__` counts neither way.

    Raises:
        UserError: there is no such file, or one is damaged.
    """
    files = [path for path in sorted(source.rglob("*.json")) if not path.name.startswith(".")]
    found = {path: read_json(path, _File) for path in files}
    if not found:
        raise UserError(f"{source}: no JSON file of labelme")
    labels = sorted({shape.label for content in found.values() for shape in content.shapes})
    classes = numbered(
        (label for label in labels if label not in (_IGNORE, _BACKGROUND)), origin=source
    )
    layout = Layout([], classes)
    if _IGNORE in labels:
        layout.settings["ignore"] = VOID
    values = classes | {_IGNORE: VOID, _BACKGROUND: 0}
    pictures = {path.resolve(): path for path in pictures_below(source)}
    listed = set()
    for file, content in found.items():
        relative = PureWindowsPath(content.imagePath).as_posix()
        path = file.parent / relative
        if not is_inside(source, path):
            path = file.parent / relative.rpartition("/")[2]
        picture = pictures.get(path.resolve())
        if picture is None or picture in listed:
            what = "no such picture here" if picture is None else "has two files"
            layout.faults.append(f"{file}: imagePath = {content.imagePath}: {what}")
            continue
        listed.add(picture)
        layout.faults += [f"{file}: {shape.label}: {what}" for shape, what in _faults(content)]
        shapes = content.shapes
        label = partial(_label, file, content, values) if shapes else None
        name = name_below(source, picture)
        layout.pictures.append(Picture(name, (picture,), label, shows=None if shapes else False))
    others = [path for path in pictures.values() if path not in listed]
    layout.pictures += [Picture(name_below(source, path), (path,)) for path in others]
    return layout


def _faults(content: _File) -> list[tuple[_Shape, str]]:
    least = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}
    faults = []
    for shape in content.shapes:
        kind = shape.shape_type or "polygon"
        if kind not in least:
            why = "has no area" if kind in _NO_AREA else "is not read"
            faults.append((shape, f"a shape of type {kind} {why}; draw a polygon"))
        elif len(shape.points) < least[kind]:
            faults.append((shape, f"a {kind} of {len(shape.points)} points"))
    return faults


def _label(
    file: Path, content: _File, values: dict[str, int], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    check_shape(file, (content.imageHeight, content.imageWidth), shape)
    mask = np.zeros(shape, np.uint8)
    for one in content.shapes:
        try:
            mask[_drawn(one, shape)] = values[one.label]
        except (ValueError, OSError) as error:
            raise UserError(f"{file}: {one.label}: cannot be drawn ({error})") from error
    return mask


def _drawn(shape: _Shape, size: tuple[int, int]) -> Mask:
    if shape.shape_type == "circle":
        centre, edge = shape.points[:2]
        return fill_circle(size, centre, float(np.hypot(*np.subtract(edge, centre))))
    if shape.shape_type == "mask":
        return _pasted(shape, size)
    points: Sequence[tuple[float, float]] = shape.points
    if shape.shape_type == "rectangle":
        (left, top), (right, bottom) = points[:2]
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return fill_polygon(size, points)


def _pasted(shape: _Shape, size: tuple[int, int]) -> Mask:
    """The mask of a part of the picture: a PNG in base64, and the corners where it lies."""
    with Image.open(io.BytesIO(base64.b64decode(shape.mask or "")), formats=["PNG"]) as picture:
        part = np.asarray(picture) > 0
    (left, top), (right, bottom) = np.rint(shape.points[:2]).astype(int).tolist()
    expected = (bottom - top + 1, right - left + 1)
    if part.shape != expected or min(left, top) < 0 or bottom >= size[0] or right >= size[1]:
        raise ValueError(f"a mask of {part.shape} between {shape.points[:2]}")
    mask = np.zeros(size, bool)
    mask[top : bottom + 1, left : right + 1] = part
    return mask

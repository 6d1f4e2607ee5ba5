"""COCO: JSON files with images, categories, and annotations as polygons or run lengths."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

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
from segtrans.sources.image_folder.imports.outlines import fill_polygon, fill_runs, unpack_runs


class _Image(Content):
    id: int | str
    file_name: str
    height: int
    width: int


class _Category(Content):
    id: int
    name: str


class _Runs(Content):
    counts: list[int] | str


class _Annotation(Content):
    id: int | str | None = None
    image_id: int | str
    category_id: int
    segmentation: list[list[float]] | _Runs | None = None


class _DataSet(Content):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read(source: Path) -> Layout:
    """All pictures of a folder, by the JSON files anywhere in it that have images and annotations.

    A picture that is listed without annotations is absent, unless a table says otherwise; one that
    no file lists is unlabelled. Classes are the categories that occur; of two annotations over a
    pixel, the later counts.

    Raises:
        UserError: there is no such file, or one is damaged.
    """
    files = [path for path in sorted(source.rglob("*.json")) if not path.name.startswith(".")]
    contents = {path: content for path in files if (content := _read(path)) is not None}
    if not contents:
        raise UserError(f"{source}: no JSON file with images, annotations and categories")
    names = {one.id: one.name for content in contents.values() for one in content.categories}
    used = {one.category_id for content in contents.values() for one in content.annotations}
    classes = numbered((names[key] for key in sorted(names) if key in used), origin=source)
    layout = Layout([], classes)
    pictures = pictures_below(source)
    by_file_name: dict[str, list[Path]] = defaultdict(list)
    for path in pictures:
        by_file_name[path.name].append(path)
    listed: set[Path] = set()
    for file, content in contents.items():
        _add(layout, source, file, content, by_file_name, listed)
    others = [path for path in pictures if path not in listed]
    layout.pictures += [Picture(name_below(source, path), (path,)) for path in others]
    return layout


def _add(
    layout: Layout,
    source: Path,
    file: Path,
    content: _DataSet,
    by_file_name: dict[str, list[Path]],
    listed: set[Path],
) -> None:
    """Add the pictures of a file to a layout and to those that are listed."""
    values = {one.id: layout.classes.get(one.name, 0) for one in content.categories}
    of_image: dict[int | str, list[_Annotation]] = defaultdict(list)
    for one in content.annotations:
        of_image[one.image_id].append(one)
    for image in content.images:
        annotations = of_image.pop(image.id, [])
        path = _find(source, file, image.file_name, by_file_name)
        if path is None or path in listed:
            what = "no such picture" if path is None else "listed twice"
            layout.faults.append(f"{file}: images: {image.file_name}: {what}")
            continue
        listed.add(path)
        where = f"{file}: {image.file_name}"
        layout.faults += _faults(where, annotations, values)
        label = partial(_label, where, image, annotations, values) if annotations else None
        name = name_below(source, path)
        layout.pictures.append(Picture(name, (path,), label, shows=bool(annotations)))
    layout.faults += [f"{file}: annotations: no image has the id {key}" for key in of_image]


def _read(path: Path) -> _DataSet | None:
    """A file's content; None of a JSON file that is of something else."""
    try:
        head = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None
    return read_json(path, _DataSet) if '"annotations"' in head and '"images"' in head else None


def _find(source: Path, file: Path, name: str, by_file_name: dict[str, list[Path]]) -> Path | None:
    """The picture that a file lists: below the file, below the source, else by its name alone."""
    relative = PureWindowsPath(name).as_posix() if "\\" in name else name
    named = by_file_name.get(relative.rpartition("/")[2], [])
    for path in (file.parent / relative, source / relative):
        if is_inside(source, path):
            return next((one for one in named if one.resolve() == path.resolve()), None)
    return named[0] if len(named) == 1 else None


def _faults(where: str, annotations: Sequence[_Annotation], values: dict[int, int]) -> list[str]:
    faults = []
    for one in annotations:
        if not values.get(one.category_id):
            faults.append(f"{where}: annotation {one.id}: no category {one.category_id}")
        if not one.segmentation:
            faults.append(f"{where}: annotation {one.id}: no outline, perhaps a box alone")
    return faults


def _label(
    where: str,
    image: _Image,
    annotations: Sequence[_Annotation],
    values: dict[int, int],
    shape: tuple[int, int],
) -> NDArray[np.uint8]:
    check_shape(where, (image.height, image.width), shape)
    mask = np.zeros(shape, np.uint8)
    for one in annotations:
        drawn = one.segmentation or []
        try:
            if isinstance(drawn, _Runs):
                counts = drawn.counts
                runs = unpack_runs(counts) if isinstance(counts, str) else counts
                mask[fill_runs(shape, runs)] = values[one.category_id]
                continue
            for line in drawn:
                points = list(zip(line[::2], line[1::2], strict=True))
                mask[fill_polygon(shape, points)] = values[one.category_id]
        except ValueError as error:
            raise UserError(f"{where}: annotation {one.id}: {error}") from error
    return mask

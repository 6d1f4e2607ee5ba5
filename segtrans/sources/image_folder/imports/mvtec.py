"""MVTec AD and what has its folders: train/good, test/<defect>, ground_truth/<defect>."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.errors import UserError
from segtrans.sources.image_folder.imports.layout import (
    Label,
    Layout,
    Picture,
    label_of_file,
    name_below,
    pictures_below,
)

_GOOD = "good"
_TRAIN, _TEST, _MASKS = "train", "test", "ground_truth"


def read(source: Path) -> Layout:
    """All pictures of one category; test/good and train/good are absent, all else is present.

    A mask is ground_truth/<defect>/<stem>_mask.png or <stem>.png, or, as LOCO has it, all files in
    ground_truth/<defect>/<stem>/ together. Nothing is kept to test on: only test/ has masks.

    Raises:
        UserError: there are no such folders.
    """
    if not (source / _TEST).is_dir():
        below = sorted(path.parent.name for path in source.glob(f"*/{_TEST}") if path.is_dir())
        some = f"; give one of its categories: {', '.join(below[:9])}" if below else ""
        raise UserError(f"{source}: no folder {_TEST}/; expected {_TRAIN}/, {_TEST}/{some}")
    masks = _masks(source)
    layout = Layout([], {"defect": 1})
    used = set()
    for top in (_TRAIN, _TEST):
        for path in pictures_below(source / top) if (source / top).is_dir() else ():
            name = name_below(source, path)
            _, kind, *rest = name.split("/")
            if not rest or (top == _TRAIN and kind != _GOOD):
                layout.faults.append(f"{name}: expected {_TRAIN}/{_GOOD}/ or {_TEST}/<defect>/")
                continue
            key = "/".join((kind, *rest))
            used.add(key)
            label = _label(masks[key]) if key in masks else None
            layout.pictures.append(Picture(name, (path,), label, shows=kind != _GOOD))
    layout.faults += [
        f"{masks[key][0].relative_to(source)}: a mask without a picture in {_TEST}/"
        for key in sorted(masks.keys() - used)
    ]
    return layout


def _masks(source: Path) -> dict[str, list[Path]]:
    """Files of masks by the picture they are of, as defect/stem."""
    masks: dict[str, list[Path]] = {}
    stems = {name_below(source / _TEST, path) for path in pictures_below(source / _TEST)}
    for path in pictures_below(source / _MASKS) if (source / _MASKS).is_dir() else ():
        name = name_below(source / _MASKS, path)
        folder = name.rpartition("/")[0]
        key = folder if folder in stems else name.removesuffix("_mask")
        masks.setdefault(key, []).append(path)
    return masks


def _label(files: list[Path]) -> Label:
    labels = [label_of_file(path, None) for path in files]

    def read_all(shape: tuple[int, int]) -> NDArray[np.uint8]:
        together: NDArray[np.uint8] = np.maximum.reduce([label(shape) for label in labels])
        return together

    return read_all

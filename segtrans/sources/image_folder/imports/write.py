"""Write what another layout holds as a folder of present/, absent/ and masks/."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from skimage.io import imsave
from tqdm import tqdm

from segtrans.atomic import atomic_path
from segtrans.data.values import is_target
from segtrans.errors import UserError, UserErrors
from segtrans.sources.image_folder.files import read_picture
from segtrans.sources.image_folder.imports import coco, labelme, msd, mvtec, nnunet
from segtrans.sources.image_folder.imports.layout import Layout, Picture
from segtrans.sources.image_folder.imports.presence import read_presence
from segtrans.sources.image_folder.items import DEFINITION, survey
from segtrans.sources.own_folder.names import ABSENT, MASKS, PRESENT, TEST
from segtrans.tasks.base import VOID

FORMATS: dict[str, Callable[[Path], Layout]] = {
    "mvtec": mvtec.read,
    "nnunet": nnunet.read,
    "msd": msd.read,
    "coco": coco.read,
    "labelme": labelme.read,
}
_SHOWN = 5  # names in a line about many


@dataclass
class _Written:
    """What became of pictures: places of those written, and names of those that were not."""

    places: dict[str, bool] = field(default_factory=dict)  # and whether with a mask
    unknown: list[str] = field(default_factory=list)
    n_slices_left_out: int = 0
    n_spare: int = 0
    faults: list[str] = field(default_factory=list)


def import_folder(
    layout_name: str, source: Path, folder: Path, *, presence: Path | None = None
) -> list[str]:
    """Write a folder of pictures from a data set of another layout, whole or not at all.

    A picture is present when its label shows the target and absent when its label is empty; else
    as the table or the layout says. A slice of a volume of which nothing says it is left out.

    Args:
        layout_name: of `FORMATS`.
        source: folder of the data set.
        folder: to make; it must not be there, or be empty.
        presence: the table of `read_presence`.

    Returns:
        What was written, a line each.

    Raises:
        UserErrors: what is wrong, a line each; then nothing is written.
        UserError: the source is none of this layout, or the folder is not empty.
    """
    check_import(source, folder)
    layout = FORMATS[layout_name](source)
    faults = layout.faults + _same_names(layout)
    if faults:
        raise UserErrors(faults)
    said = {} if presence is None else read_presence(presence, layout.pictures)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        written = _Written()
        for picture in tqdm(layout.pictures, unit="picture", disable=None, leave=False):
            _write_picture(temporary, picture, said, layout, written)
        definition = _definition(layout)
        text = yaml.safe_dump(definition, sort_keys=False, allow_unicode=True)
        (temporary / DEFINITION).write_text(text, encoding="utf-8")
        _check(temporary, source, definition, written)
    return _summary(written)


def check_import(source: Path, folder: Path) -> None:
    """Refuse a source that is no folder, and a folder to make that holds something.

    Raises:
        UserError: says which.
    """
    if not source.is_dir():
        what = "is a file; unpack it if it is an archive" if source.exists() else "no such folder"
        raise UserError(f"{source}: {what}; expected the folder of a data set")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty; nothing is written over, give a new folder")


def _same_names(layout: Layout) -> list[str]:
    n_of = Counter(picture.name.casefold() for picture in layout.pictures)
    return [
        f"{picture.name}: another picture has this name but for ending and case; rename one"
        for picture in layout.pictures
        if n_of[picture.name.casefold()] > 1
    ]


def _write_picture(
    folder: Path, picture: Picture, said: Mapping[str, bool], layout: Layout, written: _Written
) -> None:
    try:
        planes = None if picture.planes is None else picture.planes()
        mask = _mask_of(picture, planes)
    except UserError as error:
        written.faults.append(str(error))
        return
    shows = said.get(picture.name, picture.shows)
    if mask is not None and (mask == VOID).any() and not _has_target(mask):
        mask = None  # what is left open may be the target
    if mask is not None:
        if picture.name in said and said[picture.name] != _has_target(mask):
            words = ("absent", "shows it") if _has_target(mask) else ("present", "is empty")
            written.faults.append(
                f"{picture.name}: the table says {words[0]}, but its label {words[1]}"
            )
            return
        if picture.shows and not _has_target(mask):
            written.faults.append(f"{picture.name}: an empty label, among those that show defects")
            return
        shows = _has_target(mask)
    if shows is None and picture.planes is not None:
        written.n_slices_left_out += 1
    elif shows is None and picture.is_spare:
        written.n_spare += 1
    elif shows is None:
        written.unknown.append(picture.name)
    else:
        _save(folder, picture, planes, mask if shows else None, layout, written, shows=shows)


def _mask_of(picture: Picture, planes: NDArray[np.float32] | None) -> NDArray[np.uint8] | None:
    if picture.label is None:
        return None
    pixels = read_picture(picture.files[0]).pixels if planes is None else planes
    height, width = pixels.shape[:2]
    return picture.label((height, width))


def _has_target(mask: NDArray[np.uint8]) -> bool:
    return bool(is_target(mask).any())


def _save(
    folder: Path,
    picture: Picture,
    planes: NDArray[np.float32] | None,
    mask: NDArray[np.uint8] | None,
    layout: Layout,
    written: _Written,
    *,
    shows: bool,
) -> None:
    top = folder / TEST if picture.is_test else folder
    place = top / (PRESENT if shows else ABSENT) / picture.name
    place.parent.mkdir(parents=True, exist_ok=True)
    n = len(picture.files) if planes is None else planes.shape[2]
    for channel in range(n):
        stem = f"{place.name}_{channel:04d}" if n > 1 else place.name
        if planes is None:
            file = picture.files[channel]
            shutil.copyfile(file, place.with_name(stem + file.suffix))
        else:
            imsave(place.with_name(f"{stem}.tif"), planes[..., channel], check_contrast=False)
    if mask is not None:
        # Of a single class and nothing else, white is as good as 1, and can be seen.
        is_white = len(layout.classes) == 1 and "ignore" not in layout.settings
        file = top / MASKS / f"{picture.name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        imsave(file, mask * 255 if is_white else mask, check_contrast=False)
    written.places[place.relative_to(folder).as_posix()] = mask is not None


def _definition(layout: Layout) -> dict[str, Any]:
    return {"classes": layout.classes, **layout.settings}


def _check(folder: Path, source: Path, definition: Mapping[str, Any], written: _Written) -> None:
    """Refuse what was not written, and what would not be found again as it was meant.

    Raises:
        UserErrors: a line each.
    """
    faults = list(written.faults)
    if written.unknown:
        some = ", ".join(written.unknown[:_SHOWN]) + (", ..." if written.unknown[_SHOWN:] else "")
        faults.append(
            f"{source}: {len(written.unknown)} pictures have no label, and nothing says whether "
            f"they show the target ({some}); name them in a table, --presence FILE, with the "
            "columns image and domain"
        )
    if not written.places and not faults:
        faults.append(f"{source}: has no pictures")
    if faults:
        raise UserErrors(faults)
    channels = definition.get("channels")
    found = survey(folder, n_channels=channels and len(channels), group=definition.get("group"))
    masked = {item.place: item.mask is not None for item in found.items}
    lost = written.places.keys() - masked.keys()
    wrong = lost or {place for place in masked if masked[place] != written.places.get(place)}
    if wrong:
        why = "a name that would be taken for a channel or a mask; rename it"
        raise UserErrors([f"{place}: {why}" for place in sorted(wrong)])


def _summary(written: _Written) -> list[str]:
    domains = Counter(place.removeprefix(f"{TEST}/").partition("/")[0] for place in written.places)
    n_masks = sum(written.places.values())
    n_test = sum(place.startswith(f"{TEST}/") for place in written.places)
    lines = [
        f"{domains[PRESENT]} present pictures, {n_masks} of them with a mask; {domains[ABSENT]} "
        f"absent; {n_test} of these in {TEST}/"
    ]
    if written.n_slices_left_out:
        lines.append(
            f"{written.n_slices_left_out} slices were left out: they have no label, and that their "
            "case shows the target says nothing of a slice"
        )
    if written.n_spare:
        lines.append(
            f"{written.n_spare} of the test pictures left out: no label and no table (--presence) "
            "says whether they show the target"
        )
    return lines

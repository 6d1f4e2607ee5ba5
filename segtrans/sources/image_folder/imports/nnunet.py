"""nnU-Net: dataset.json, imagesTr/<case>_0000, labelsTr/<case>; slices where it has volumes."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from segtrans.errors import UserError
from segtrans.sources.image_folder.imports import volumes
from segtrans.sources.image_folder.imports.layout import (
    Content,
    Layout,
    Picture,
    label_of_file,
    numbered,
    read_json,
)
from segtrans.tasks.base import VOID

_CHANNEL = re.compile(r"(.+)_\d{4}")
_IGNORE, _BACKGROUND = "ignore", "background"


class _DataSet(Content):
    file_ending: str = ".nii.gz"
    channel_names: dict[str, str] = Field(default={})
    labels: dict[str, int | list[int] | str]


def read(source: Path) -> Layout:
    """All cases of imagesTr, and those of imagesTs, to test on where labelsTs has labels.

    A case without a label is unlabelled; one of imagesTs is left out where nothing is said of it.
    Regions (a name for several values) become a class for
    each value. The value `ignore` counts neither way.

    Raises:
        UserError: dataset.json is missing or is none of nnU-Net's.
    """
    content = read_json(source / "dataset.json", _DataSet)
    classes, values = meanings(content.labels, origin=source / "dataset.json")
    ending = content.file_ending
    layout = Layout([], classes)
    if VOID in values.values():
        layout.settings["ignore"] = VOID
    is_volumes = ending.removesuffix(".gz") == ".nii"
    if is_volumes:
        layout.settings |= volumes.SETTINGS
    n_files = set()
    for part in ("Tr", "Ts"):
        labels, images = source / f"labels{part}", source / f"images{part}"
        cases, unnumbered = _cases(images, ending)
        layout.faults += [
            f"{path.relative_to(source)}: expected a name such as {path.name.removesuffix(ending)}"
            f"_0000{ending}, the first channel of a case"
            for path in unnumbered
        ]
        for case, files in cases.items():
            n_files.add(len(files))
            label = labels / f"{case}{ending}"
            has_label = label.is_file()
            name = f"images{part}/{case}"
            if is_volumes:
                volumes.add_slices(layout, name, files, label if has_label else None, values)
            else:
                of_label = label_of_file(label, values) if has_label else None
                is_test = part == "Ts"
                layout.pictures.append(
                    Picture(
                        name,
                        tuple(files),
                        of_label,
                        is_test=is_test and has_label,
                        is_spare=is_test and not has_label,
                    )
                )
        layout.faults += [
            f"{path.relative_to(source)}: a label without an image in images{part}/"
            for path in sorted(labels.glob(f"*{ending}"))
            if path.name.removesuffix(ending) not in cases and not path.name.startswith(".")
        ]
    names = [content.channel_names[key] for key in sorted(content.channel_names, key=int)]
    if n_files == {len(names)} and len(set(names)) == len(names):
        layout.settings["channels"] = names
    return layout


def meanings(
    labels: dict[str, int | list[int] | str], *, origin: Path
) -> tuple[dict[str, int], dict[int, int]]:
    """Classes by name, and what each value of a label becomes.

    Args:
        labels: names with their values, or, as nnU-Net's first version and the Decathlon have
            them, values with their names.
        origin: names the file in errors.

    Raises:
        UserError: a value is no whole number, has two names, or there is none but the background.
    """
    by_value: dict[int, str] = {}
    ignored = None
    for key, meaning in labels.items():
        for name, value in _pairs(key, meaning, origin):
            if name == _IGNORE:
                ignored = value
            elif value and by_value.setdefault(value, name) != name:
                raise UserError(f"{origin}: labels: {value} is {by_value[value]} and {name}")
    classes = numbered((by_value[value] for value in sorted(by_value)), origin=f"{origin}: labels")
    values = {value: classes[name] for value, name in by_value.items()}
    return classes, values if ignored is None else values | {ignored: VOID}


def _pairs(key: str, meaning: int | list[int] | str, origin: Path) -> Iterator[tuple[str, int]]:
    if isinstance(meaning, list):
        yield from ((f"label_{value}", value) for value in meaning)
    elif isinstance(meaning, int):
        yield key, meaning
    elif key.isdecimal():
        yield meaning, int(key)
    else:
        raise UserError(f"{origin}: labels.{key} = {meaning}: expected a whole number")


def _cases(folder: Path, ending: str) -> tuple[dict[str, list[Path]], list[Path]]:
    """Files of each case, in the order of their channels; and those without a channel."""
    cases: dict[str, list[Path]] = {}
    unnumbered = []
    for path in sorted(folder.glob(f"*{ending}")):
        if path.name.startswith("."):
            continue
        if match := _CHANNEL.fullmatch(path.name.removesuffix(ending)):
            cases.setdefault(match[1], []).append(path)
        else:
            unnumbered.append(path)
    return cases, unnumbered

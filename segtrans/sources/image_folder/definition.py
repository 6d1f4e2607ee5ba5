"""What the images of a folder are: as said, else as dataset.yaml says, else by the first image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segtrans.config.refusals import validate
from segtrans.errors import UserError
from segtrans.sources.image_folder.items import Item, survey
from segtrans.sources.image_folder.reading import read_any_image
from segtrans.sources.own_folder.definition import DEFINITION, base_of, read_definition
from segtrans.sources.own_folder.kind import PICTURES_KIND
from segtrans.tasks.image_folder import ImageFolder

_NAMES = {1: ("grey",), 3: ("red", "green", "blue")}
KIND = PICTURES_KIND


def complete_definition(folder: Path, given: Mapping[str, Any]) -> ImageFolder:
    """The task of a folder.

    Args:
        folder: of the data set.
        given: values of an entry of `data_sets`; they win over dataset.yaml, which may have all of
            them but `directory`; both win over the defaults. Channels that nobody names
            are those of the first image that can be read.

    Raises:
        UserError: a value is refused, or there is no such folder to take channels from.
    """
    base, written = base_of(folder, KIND), read_definition(folder)
    validate(ImageFolder, base | written, origin=str(folder / DEFINITION))
    content = base | written | dict(given)
    task = validate(ImageFolder, content, origin=f"data set {folder}")
    if "channels" in content:
        return task
    found = survey(folder, n_channels=None, group=None, pathologies=task.pathologies)
    return task.model_copy(update={"channels": tuple(first_channels(found.items))})


def first_channels(items: Sequence[Item]) -> list[str]:
    """Names of the channels of the first image that can be read; grey without any."""
    for item in items:
        try:
            image, _ = read_any_image(item.files, n_channels=None)
        except UserError:
            continue
        n = image.shape[2]
        return list(_NAMES.get(n, [f"channel_{k}" for k in range(n)]))
    return ["grey"]

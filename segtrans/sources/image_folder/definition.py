"""What the images of a folder are: as said, else as dataset.yaml says, else by the first image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segtrans.config.refusals import validate
from segtrans.config.yaml_files import read_yaml
from segtrans.errors import UserError
from segtrans.sources.image_folder.items import DEFINITION, Item, survey
from segtrans.sources.image_folder.reading import read_any_image
from segtrans.tasks.image_folder import ImageFolder

_NAMES = {1: ("grey",), 3: ("red", "green", "blue")}
_MAX_TITLE = 80


def complete_definition(folder: Path, given: Mapping[str, Any]) -> ImageFolder:
    """The task of a folder.

    Args:
        folder: of the data set.
        given: values of an entry of `data_sets`; they win over dataset.yaml, which may have all of
            them but `kind` and `directory`; both win over the defaults. Channels that nobody names
            are those of the first image that can be read.

    Raises:
        UserError: a value is refused, or there is no such folder to take channels from.
    """
    own = {"kind": "image_folder", "directory": str(folder)}
    base = {"title": folder.resolve().name[:_MAX_TITLE] or "pictures"} | own
    file = folder / DEFINITION
    written = _written(file) if file.is_file() else {}
    validate(ImageFolder, base | written, origin=str(file))
    content = base | written | dict(given)
    if "channels" not in content:
        content["channels"] = first_channels(survey(folder, n_channels=None, group=None).items)
    return validate(ImageFolder, content, origin=f"data set {folder}")


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


def _written(file: Path) -> dict[str, Any]:
    content = read_yaml(file)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected a YAML mapping such as channels: [red, green, blue]")
    for key in ("kind", "directory"):
        if key in content:
            raise UserError(f"{file}: {key}: the folder says it itself; leave it out")
    return content

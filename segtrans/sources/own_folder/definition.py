"""What dataset.yaml in a folder says of it."""

from pathlib import Path
from typing import Any

from segtrans.config.yaml_files import read_yaml
from segtrans.errors import UserError

DEFINITION = "dataset.yaml"
_MAX_TITLE = 80


def base_of(folder: Path, kind: str) -> dict[str, Any]:
    """What a task of a folder is called where nobody says it."""
    title = folder.resolve().name[:_MAX_TITLE] or "data"
    return {"title": title, "kind": kind, "directory": str(folder)}


def read_definition(folder: Path) -> dict[str, Any]:
    """The content of a folder's dataset.yaml; none where there is no such file.

    Raises:
        UserError: it is no mapping, or says where the folder lies.
    """
    file = folder / DEFINITION
    if not file.is_file():
        return {}
    content = read_yaml(file)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected a YAML mapping such as height: 128")
    if "directory" in content:
        raise UserError(f"{file}: directory: the folder says it itself; leave it out")
    return content

"""The files of the workflow: those of the repository, or those that an installed package brings."""

import shutil
from pathlib import Path

from segtrans.atomic import atomic_path
from segtrans.errors import UserError

_FILES = (
    *("Snakefile", "params.yaml", "dvc.yaml", "config", "profiles", "workflow"),
    *(".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore"),
)
_PACKAGE = Path(__file__).resolve().parents[1]


def project_folder() -> Path:
    """Where Snakefile, params.yaml, workflow/ and config/ lie."""
    installed = _PACKAGE / "project"
    return installed if installed.is_dir() else _PACKAGE.parent


def write_new_project(folder: Path) -> None:
    """Write a project of one's own: Snakefile, parameters, profiles, dvc.yaml; whole or not at all.

    Args:
        folder: to make; it must not be there, or be empty.

    Raises:
        UserError: the folder is not empty.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty; nothing is written over, give a new folder")
    with atomic_path(folder) as temporary:
        for name in _FILES:
            source, target = project_folder() / name, temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)
        stages = temporary / "dvc.yaml"
        # The package's sources are no part of such a project.
        text = stages.read_text(encoding="utf-8").replace("      - segtrans\n", "")
        stages.write_text(text, encoding="utf-8")

"""The files of the workflow: those of the repository, or those that an installed package brings."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from segtrans.atomic import atomic_path
from segtrans.errors import UserError

_FILES = (
    *("Snakefile", "params.yaml", "dvc.yaml", "config", "profiles", "workflow"),
    *(".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore"),
)
_IGNORED = Path(__file__).with_name("project.gitignore")  # the repository's own names more
_READ_ME = Path(__file__).with_name("project_readme.md")
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
    if not folder.is_dir():
        with atomic_path(folder) as temporary:
            _write(temporary)
        return
    if any(folder.iterdir()):
        raise UserError(f"{folder}: not empty; nothing is written over, give a new folder")
    # Filled, not replaced: a shell may stand in it, as in `segtrans init .`.
    with TemporaryDirectory(dir=folder) as temporary:
        _write(Path(temporary))
        for path in Path(temporary).iterdir():
            path.rename(folder / path.name)


def _write(folder: Path) -> None:
    for name in _FILES:
        source, target = project_folder() / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    shutil.copyfile(_IGNORED, folder / ".gitignore")
    shutil.copyfile(_READ_ME, folder / "README.md")
    stages = folder / "dvc.yaml"
    # The package's sources are no part of such a project.
    text = stages.read_text(encoding="utf-8").replace("      - segtrans\n", "")
    stages.write_text(text, encoding="utf-8")

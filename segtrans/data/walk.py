"""The one walk of a folder of the user's: what is found there is what is watched for changes."""

import os
import stat
import unicodedata
from pathlib import Path

from segtrans.errors import UserError

_CONTROL, _NO_TEXT = "Cc", "Cs"  # of Unicode: line breaks and the like, bytes that are no UTF-8


def walk(folder: Path) -> list[Path]:
    """All files below a folder, in a fixed order; hidden ones are passed over.

    Links are followed, to files and to folders; a folder that is reached twice is read once.

    Raises:
        UserError: there is no such folder, a folder cannot be read, a link leads nowhere, or a
            name is not UTF-8 or has a line break in it.
    """
    if not folder.is_dir():
        found = "is a file; unpack it if it is an archive" if folder.exists() else "no such folder"
        raise UserError(f"{_shown(folder)}: {found}; expected a folder of files")

    def refuse(error: OSError) -> None:
        place = _shown(Path(error.filename))
        raise UserError(f"{place}: cannot be read ({error.strerror})") from error

    files: list[Path] = []
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            _check_name(Path(place, name))
        paths = [Path(place, name) for name in sorted(names) if not name.startswith(".")]
        files += [path for path in paths if _is_file(path)]
    return files


def _is_file(path: Path) -> bool:
    """Whether it is a file that has an end, which a pipe or a device has not."""
    _check_name(path)
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
        if path.is_symlink():
            found = f"is a link to {_shown(path.readlink())}, which {found}"
        raise UserError(f"{path}: {found}; mend or remove it") from error


def _check_name(path: Path) -> None:
    if any(unicodedata.category(character) in (_CONTROL, _NO_TEXT) for character in path.name):
        raise UserError(
            f"{_shown(path)}: a name that is not UTF-8, or has a line break in it; rename it"
        )


def _shown(path: Path) -> str:
    """A path in which every byte that is no text is written as its number."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if unicodedata.category(c) != _CONTROL else f"\\x{ord(c):02x}" for c in text)

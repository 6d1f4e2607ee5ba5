"""The one walk of a folder of the user's: what is found there is what is watched for changes."""

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from segtrans.errors import UserError

_CONTROL, _NO_TEXT = "Cc", "Cs"  # of Unicode: line breaks and the like, bytes that are no UTF-8


@dataclass(frozen=True)
class Walk:
    """What is found below a folder: files in a fixed order, what is hidden, and what is wrong."""

    files: list[Path]
    hidden: list[Path]
    faults: list[str]


def walk(folder: Path) -> list[Path]:
    """All files below a folder, in a fixed order; hidden ones are passed over.

    Links are followed, to files and to folders; a folder that is reached twice is read once.

    Raises:
        UserError: there is no such folder, a folder cannot be read, a link leads nowhere, or a
            name is not UTF-8 or has a line break in it.
    """
    found = walk_all(folder)
    if found.faults:
        raise UserError(found.faults[0])
    return found.files


def walk_all(folder: Path) -> Walk:
    """As `walk`, but with what is hidden, and all that is wrong instead of the first of it.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        found = "is a file; unpack it if it is an archive" if folder.exists() else "no such folder"
        raise UserError(f"{_shown(folder)}: {found}; expected a folder of files")
    files: list[Path] = []
    hidden: list[Path] = []
    faults: list[str] = []

    def note(error: OSError) -> None:
        faults.append(f"{_shown(Path(error.filename))}: cannot be read ({error.strerror})")

    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=note):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        hidden += [Path(place, name) for name in (*folders, *names) if name.startswith(".")]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            faults += _faults_of_name(Path(place, name))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(place, name)
            wrong = _faults_of_name(path) or _faults_of_link(path)
            faults += wrong
            if not wrong and path.is_file():  # a pipe or a device has no end
                files.append(path)
    return Walk(files, hidden, faults)


def _faults_of_name(path: Path) -> list[str]:
    if any(unicodedata.category(character) in (_CONTROL, _NO_TEXT) for character in path.name):
        return [f"{_shown(path)}: a name that is not UTF-8, or has a line break in it; rename it"]
    return []


def _faults_of_link(path: Path) -> list[str]:
    try:
        path.stat()
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
        if path.is_symlink():
            found = f"is a link to {_shown(path.readlink())}, which {found}"
        return [f"{path}: {found}; mend or remove it"]
    return []


def _shown(path: Path) -> str:
    """A path in which every byte that is no text is written as its number."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if unicodedata.category(c) != _CONTROL else f"\\x{ord(c):02x}" for c in text)

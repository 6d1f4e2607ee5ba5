"""Where a verb may write: checked before it begins, not after its work is done."""

import os
from pathlib import Path

from segtrans.errors import UserError


def file_to_write(path: Path | None) -> Path | None:
    """Check that a file can be written: for an option, which it is returned to unchanged.

    Raises:
        UserError: it has no name, is a folder, or is no plain file, which a rename would replace;
            or its folder can neither be written to nor made.
    """
    if path is None:
        return None
    if not path.name:
        raise UserError(f"{path}: a folder; give the name of the file to write in it")
    _check_folder(path.parent, of=path)
    if path.is_dir():
        raise UserError(f"{path}: a folder; give the name of the file to write in it")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: a device or pipe, not a file; choose another place")
    return path


def folder_to_write(path: Path) -> Path:
    """The same of a folder, which may be there or be made.

    Raises:
        UserError: it is a file, or can neither be written to nor made.
    """
    _check_folder(path, of=path)
    return path


def _check_folder(folder: Path, *, of: Path) -> None:
    for place in (folder, *folder.absolute().parents):
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            if place.is_symlink():
                raise UserError(
                    f"{of}: {place} is a link to nothing; choose another place"
                ) from None
            continue  # it is made, if what is above it allows that
        except OSError as error:
            raise UserError(
                f"{of}: cannot be written ({error.strerror}); choose another place"
            ) from error
        if not place.is_dir():
            raise UserError(f"{of}: {place} is a file, not a folder; choose another place")
        if not os.access(place, os.W_OK | os.X_OK):
            raise UserError(f"{of}: no permission to write in {place}; choose another place")
        return

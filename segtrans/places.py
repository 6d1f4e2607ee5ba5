"""Where something can be written: asked before the work begins, not after it is done."""

import os
import shutil
import tempfile
from pathlib import Path

from segtrans.atomic import temporary_path
from segtrans.errors import UserError


def check_file(path: Path) -> None:
    """Refuse a file that cannot be written.

    Raises:
        UserError: it has no name, is a folder, or is no plain file, which a rename would replace;
            its name is too long; or its folder can neither be written to nor made.
    """
    if not path.name:
        raise UserError(f"{path}: a folder; give the name of the file to write in it")
    _check_folder(path.parent, of=path)
    if path.is_dir():
        raise UserError(f"{path}: a folder; give the name of the file to write in it")
    try:
        temporary_path(path, os.getpid()).lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # its name is longer than that of the file
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); choose another name"
        ) from error
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: a device or pipe, not a file; choose another place")


def check_folder(path: Path) -> None:
    """Refuse a folder that cannot be written to; it may be there or be made.

    Raises:
        UserError: it is a file, or can neither be written to nor made.
    """
    _check_folder(path, of=path)


def check_space(place: Path, n_bytes: int) -> None:
    """Refuse a place on a disk with less room than is needed at least.

    Raises:
        UserError: says how much is needed and how much there is, in GB.
    """
    folder = next(path for path in (place, *place.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise UserError(
            f"{place}: needs at least {n_bytes / 1e9:.3g} GB, {folder} has {free / 1e9:.3g} GB "
            "free; free space there or choose another place"
        )


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
        _check_takes_files(place, of=of)
        return


def _check_takes_files(folder: Path, *, of: Path) -> None:
    """By writing one that has no name: its rights alone do not tell, nor to whom they apply."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{of}: nothing can be written in {folder} ({error.strerror}); choose another place"
        ) from error

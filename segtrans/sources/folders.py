"""Folders of the user's own data."""

from pathlib import Path

from segtrans.errors import UserError


def check_directory(key: str, folder: str | None, *, holds: str) -> None:
    """Refuse a folder that is none; null is no folder of the user's own.

    Args:
        key: the parameter, for the message.
        folder: its value.
        holds: what is expected in it.

    Raises:
        UserError: it is a file, or not there.
    """
    if folder is not None and not Path(folder).is_dir():
        problem = "a file" if Path(folder).exists() else "not found"
        raise UserError(f"{key} = {folder}: {problem}; expected a folder of {holds}")

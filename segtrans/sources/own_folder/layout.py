"""Folders that say what lies in them: present/, absent/, masks/, and the same below test/."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePath

from segtrans.sources.own_folder.names import TEST, channel_of, role_of, unmasked

_EXPECTED = "present/, absent/ and masks/, or a table dataset.csv"


def role_and_rest(relative: PurePath) -> tuple[bool, str | None, str, PurePath]:
    """Where a file belongs by its path below a data set.

    Returns:
        Whether it is below test/; what its folder holds, None where the name does not say; the
        folder's name; the path below that.
    """
    parts = relative.parts
    is_test = len(parts) > 1 and role_of(parts[0]) == TEST
    parts = parts[1:] if is_test else parts
    role = role_of(parts[0]) if len(parts) > 1 else None
    return is_test, None if role == TEST else role, parts[0], PurePath(*parts[1:])


def names_spoken_of(mask: str) -> Iterator[str]:
    """Names of what a mask may be of, the likelier first."""
    yield mask
    if (bare := unmasked(mask)) is not None:
        yield bare


def masks_beside(names: Collection[str]) -> list[str]:
    """Those of names that are masks of others among them, told by their ending."""
    stems = {channel[0] for name in names if (channel := channel_of(name))}
    return [
        name
        for name in names
        if (bare := unmasked(name)) is not None and (bare in names or bare in stems)
    ]


def no_folders(folder: Path, others: Mapping[str, str]) -> str:
    """What to say of a folder without present/ and absent/.

    Args:
        folder: of the data set.
        others: layouts of others that can be imported, by a folder that tells them.
    """
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    other = next((kind for name, kind in others.items() if name in found), None)
    hint = f"; `segtrans import {other}` makes such a folder of this one" if other else ""
    some = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    return f"{folder}: holds {some or 'nothing'}; expected {_EXPECTED}{hint}"

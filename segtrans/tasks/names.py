"""Names of pathologies: of columns, and of folders of the user's own."""

import re

_MOST = 7  # bits of a mask below `VOID`
_NAME = re.compile(r"\w([\w -]{0,38}\w)?")  # of a folder on every system, and of a column
# Columns of dataset.csv and of what is written of an image, and what folders' names begin with.
_TAKEN = frozenset({"image", "domain", "mask", "group", "fold", "name", "row", "column"})
_BEGINNINGS = ("no_", "mask_")


def check_names(names: list[str]) -> None:
    """Refuse names that pathologies cannot have.

    Raises:
        ValueError: names one, and what is allowed.
    """
    if not 2 <= len(names) <= _MOST:
        raise ValueError(f"classes: {len(names)} pathologies; expected 2 to {_MOST}")
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"classes = {name}: names folders and columns; expected up to "
                "40 letters, digits, _, - and spaces within"
            )
        if name.casefold() in _TAKEN or name.casefold().startswith(_BEGINNINGS):
            raise ValueError(f"classes = {name}: has a meaning of its own; rename")
    if len({name.casefold() for name in names}) < len(names):
        raise ValueError(f"classes = {', '.join(names)}: differ in the case of letters alone")

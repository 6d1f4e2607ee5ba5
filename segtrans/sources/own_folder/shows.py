"""What a row of a table says of several pathologies."""

from collections.abc import Mapping, Sequence

from segtrans.errors import UserError
from segtrans.sources.own_folder.names import ABSENT
from segtrans.tasks.base import VOID

_SAID = {"1": 1, "0": 0, "": VOID}


def by_row(values: Mapping[str, str], domain: str, pathologies: Sequence[str]) -> tuple[int, ...]:
    """Whether an image or scan shows each pathology, by its row: 1, 0, or `VOID`.

    Args:
        values: of the row by column; one for each pathology, 1, 0 or nothing.
        domain: absent images show none.
        pathologies: their names.

    Raises:
        UserError: a value is none of these.
    """
    shows = []
    for name in pathologies:
        if (value := values[name]) not in _SAID:
            raise UserError(f"{name} = {value}: expected 1, 0, or nothing where it is not known")
        if domain == ABSENT and value == "1":
            raise UserError(f"{name} = 1, and its domain is absent, which shows none")
        shows.append(0 if domain == ABSENT else _SAID[value])
    return tuple(shows)

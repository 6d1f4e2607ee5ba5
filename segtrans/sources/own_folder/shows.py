"""What folders and tables say of several pathologies: which are shown, whose mask is which.

By folders: what is below a folder that is called as a pathology shows it, what is below `no_<name>`
does not; of all others nothing is said. Below masks/ the first folder may say whose masks it has.
"""

from collections.abc import Mapping, Sequence

from segtrans.errors import UserError
from segtrans.sources.own_folder.names import ABSENT
from segtrans.tasks.base import VOID

NOT = "no_"
MASK_COLUMN = "mask_"
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


def by_folders(
    name: str, domain: str, pathologies: Sequence[str], *, images: str
) -> tuple[int, ...]:
    """Whether an image or scan shows each pathology: 1, 0, or `VOID`.

    Args:
        name: below present/ or absent/, with slashes.
        domain: absent images show none.
        pathologies: their names.
        images: what these are, in the plural, for messages.

    Raises:
        UserError: its folders contradict each other, or an absent image is in one of them.
    """
    found = [(of, said_of(of, pathologies)) for of in name.split("/")[:-1]]
    said = {folder: of for folder, of in found if of is not None}
    if domain == ABSENT:
        if said:
            raise UserError(
                f"in {next(iter(said))}/, and absent {images} show none of "
                f"{', '.join(pathologies)}; put what lacks one of them and may show another into "
                f"present/{NOT}NAME/"
            )
        return (0,) * len(pathologies)
    shows = dict(said.values())
    if len(shows) < len(set(said.values())):
        raise UserError(f"in {'/ and in '.join(said)}/, which contradict each other; keep one")
    return tuple(shows.get(k, VOID) for k in range(len(pathologies)))


def bare_name(name: str, pathologies: Sequence[str]) -> str:
    """A name below present/ or absent/ without the folders that say what is shown."""
    *folders, own = name.split("/")
    return "/".join([*(of for of in folders if not said_of(of, pathologies)), own])


def whose_mask(name: str, pathologies: Sequence[str]) -> tuple[int | None, str]:
    """Which pathology a mask is of by its folder below masks/, and its name below that.

    None: a mask of all, with a value for each.
    """
    folder, _, below = name.partition("/")
    said = said_of(folder, pathologies) if below else None
    return (said[0], below) if said and said[1] else (None, name)


def said_of(folder: str, pathologies: Sequence[str]) -> tuple[int, int] | None:
    """The pathology that a folder speaks of, and whether it is shown, 1 or 0."""
    called = folder.casefold()
    for k, name in enumerate(pathologies):
        if called == name.casefold():
            return k, 1
        if called == f"{NOT}{name}".casefold():
            return k, 0
    return None

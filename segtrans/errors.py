"""The one exception for what a user can cause and mend."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

NOTE = "segtrans: note: "  # begins what a job prints and `segtrans fit` passes on
_MOST_ALIKE = 10  # lines that differ in names and numbers alone; more are said once
_NAMED = 5  # of them, the line's own name included
_PLACED = re.compile(r"(.+?(?:: row \d+)?): (.+)", re.DOTALL)  # what is named first, and its fault
_OWN = re.compile(r"\S*[/\d]\S*|\S+\.\w+")  # paths, file names, numbers


class UserError(Exception):
    """Something a user can mend; its text is the one line the user sees.

    The line says what was wrong, where (file, key, case), what was expected and what to do.
    """


class UserErrors(UserError):
    """Several things a user can mend, found together: a line each, in `lines`."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = tuple(lines)


def said_once(lines: Sequence[str]) -> list[str]:
    """Lines in their order, those of a fault that many files share as one line.

    More than ten are one: the first of them as it is, how many more there are, and some of their
    names. They are alike if they differ in nothing but names and numbers.
    """
    alike: dict[str, dict[str, str]] = defaultdict(dict)
    for line in lines:
        place, fault = _parts(line)
        alike[fault].setdefault(place, line)
    said = []
    for line in lines:
        place, fault = _parts(line)
        places = list(alike[fault])
        if len(places) <= _MOST_ALIKE:
            said.append(line)
        elif line == alike[fault][places[0]]:
            names = ", ".join(places[1:_NAMED])
            said.append(f"{line} (and {len(places) - 1:,} more like it: {names}, ...)")
    return said


def _parts(line: str) -> tuple[str, str]:
    """What a line names first, and its fault without names and numbers."""
    found = _PLACED.fullmatch(line)
    if found is None:
        return line, line
    place, fault = found.groups()
    name = re.escape(PurePath(place).stem)
    return place, _OWN.sub("#", re.sub(rf"(?<!\w){name}(?!\w)", "#", fault))


def one_line(error: Exception) -> str:
    """What a library said, short enough to stand in a line of ours."""
    return " ".join(str(error).split())[:160] or type(error).__name__

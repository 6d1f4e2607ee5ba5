"""The one exception for what a user can cause and mend."""

from collections.abc import Sequence

NOTE = "segtrans: note: "  # begins what a job prints and `segtrans fit` passes on


class UserError(Exception):
    """Something a user can mend; its text is the one line the user sees.

    The line says what was wrong, where (file, key, case), what was expected and what to do.
    """


class UserErrors(UserError):
    """Several things a user can mend, found together: a line each, in `lines`."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = tuple(lines)


def one_line(error: Exception) -> str:
    """What a library said, short enough to stand in a line of ours."""
    return " ".join(str(error).split())[:160] or type(error).__name__

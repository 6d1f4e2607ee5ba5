"""The command line: one command per rule.

Heavy imports stand inside the commands, so that --help is instant.
"""

import errno
import io
import os
import re
import sys
from typing import Annotated

import typer

from segtrans import __version__
from segtrans.cli import brats, imports, mnist, own, project, runs
from segtrans.errors import UserError, UserErrors, said_once

app = typer.Typer(
    help="Semi-supervised segmentation by translation between presence and absence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

for part in (project, mnist, brats, imports, own, runs):
    app.add_typer(part.commands)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
# What else a disk or a path can refuse; any other OSError is a bug of ours: it has a traceback.
_PLACE = (
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.ENOTEMPTY, errno.EBUSY, errno.EXDEV, errno.EIO, errno.ESTALE, errno.ENXIO),
)
_PARTIAL = re.compile(r"\.\d+\.partial\.")  # of `segtrans.atomic`


def main() -> None:
    """Run the command line; a user's mistake is one line, and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a log without UTF-8, or a file name that is none, stops no command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except UserErrors as error:
        _fail(*said_once(error.lines))
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in (*_ROOM, *_RIGHTS, *_PLACE):
            raise
        place = f"{_PARTIAL.sub('', os.fsdecode(error.filename))}: " if error.filename else ""
        _fail(f"{place}{error.strerror}; {_way_out(error.errno)}; nothing was left half-written")


def _way_out(number: int) -> str:
    if number in _ROOM:
        return "free space there, or choose another place"
    if number in _RIGHTS:
        return "change its permissions, or choose another place"
    return "choose another place"


def _fail(*messages: str) -> None:
    for message in messages:
        print(f"segtrans: error: {' '.join(message.splitlines())}", file=sys.stderr)
    raise SystemExit(1)

"""The command line: one verb per rule.

Heavy imports stand inside the verbs, so that --help is instant.
"""

import errno
import sys

import typer

from segtrans.cli import brats, mnist, runs
from segtrans.errors import UserError

app = typer.Typer(
    help="Semi-supervised segmentation by translation between presence and absence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for part in (mnist, brats, runs):
    app.add_typer(part.verbs)

# What a disk or a path can refuse; any other OSError is a bug of ours and shows its traceback.
_OF_THE_DISK = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 1."""
    try:
        app()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror}; nothing was left half-written")


def _fail(message: str) -> None:
    print(f"segtrans: error: {message}", file=sys.stderr)
    raise SystemExit(1)

"""Reading the scores of single images that `segtrans evaluate` wrote."""

from collections.abc import Iterable

import pandas as pd

from segtrans.config.runs import Run
from segtrans.errors import UserError


def read_per_image(run: Run, columns: Iterable[str], *, fold: str) -> pd.DataFrame:
    """The rows of a run's `per_image.csv` of one fold.

    Args:
        run: evaluated.
        columns: those that are needed.
        fold: "valid" or "test".

    Raises:
        UserError: the file is missing or damaged, or lacks a column.
    """
    file = run.folder / "per_image.csv"
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot read it ({error}); evaluate the run again") from error
    if missing := {"fold", "domain", *columns} - set(table.columns):
        raise UserError(f"{file}: lacks {', '.join(sorted(missing))}; evaluate the run again")
    return table[table["fold"] == fold]

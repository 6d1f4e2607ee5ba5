"""The data set that a run was trained on."""

from segtrans.config.runs import Run
from segtrans.data.store import Store
from segtrans.errors import UserError


def check_data(run: Run, store: Store) -> None:
    """Check that a run was trained on this data set.

    Raises:
        UserError: it was trained on another one.
    """
    expected, found = run.record.data.sha256, store.sha256()
    if found != expected:
        raise UserError(
            f"{store.path}: not the data of {run.folder}: its SHA-256 is {found:.12}..., the run "
            f"was trained on {expected:.12}...; give that file, or train again on this one"
        )

"""What a data set says of several pathologies, for its report."""

from collections.abc import Iterator, Sequence

import pandas as pd

from segtrans.data.pathologies import count_known, read_knowledge
from segtrans.data.store import FOLDS, Store
from segtrans.tasks.base import VOID


def with_pathologies(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A table with columns of what is known of each pathology, in place of `shows` and `is_masked`.

    Args:
        table: a row an image or scan; `shows` holds 1, 0 or `VOID` for each pathology.
        names: of the pathologies; none of one target.
    """
    told = table.drop(columns=["shows", "is_masked"])
    for k, name in enumerate(names):
        shows = [of[k] for of in table["shows"]]
        told[f"shows_{name}"] = pd.array([None if of == VOID else of for of in shows], "Int64")
        told[f"has_mask_{name}"] = [of[k] for of in table["is_masked"]]
    return told


def without_masks(store: Store) -> str:
    """What present images lack that have no use but in training."""
    of_each = " of each pathology that may be there" if store.header.pathologies else ""
    return f"without a mask{of_each}"


def table_of_pathologies(store: Store) -> Iterator[str]:
    """What is known of the stored images of P, by pathology, as lines of Markdown."""
    names = ("Fold", "Pathology", "Shown", "Not shown", "Not known", "With a mask")
    rows = [
        dict(zip(names, (fold, *of), strict=True))
        for fold in FOLDS
        if (known := read_knowledge(store, fold)) is not None
        for of in count_known(store.header.pathologies, known)
    ]
    if rows:
        yield from (pd.DataFrame(rows).to_markdown(index=False), "")


def not_scored(store: Store, image_name: str) -> Iterator[str]:
    """Pathologies that a fold cannot score, a sentence each."""
    for fold in ("valid", "test"):
        if (known := read_knowledge(store, fold)) is not None:
            for name, n_shown, *_ in count_known(store.header.pathologies, known):
                if not n_shown:
                    what = f"{image_name} that shows {name}"
                    yield f"Fold {fold} has no {what}: its scores say nothing."

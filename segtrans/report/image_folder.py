"""What became of each picture of a folder: counts, what was left out and why, and samples."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segtrans.atomic import atomic_path, write_text
from segtrans.data.store import FOLDS, Store
from segtrans.report.pathologies import (
    not_scored,
    table_of_pathologies,
    with_pathologies,
    without_masks,
)
from segtrans.report.samples import draw_samples

_N_NAMED = 10


def write_report(
    pictures: Sequence[dict[str, Any]], shortcuts: Sequence[str], data_file: Path, folder: Path
) -> None:
    """Write pictures.csv, report.md and samples.png into a folder.

    Args:
        pictures: rows of `segtrans.sources.image_folder.prepared.Prepared`.
        shortcuts: what a training may suffer from, and what tells present from absent images
            without the target, as lines.
        data_file: the store that was made of them.
        folder: of the report.

    Raises:
        UserError: the store cannot be read.
    """
    store, table = Store(data_file), pd.DataFrame(pictures)
    table["fate"] = [_fate(picture, without_masks(store)) for picture in pictures]
    table = with_pathologies(table, store.header.pathologies)
    with atomic_path(folder / "pictures.csv") as temporary:
        shown = table.drop(columns=["is_whole", "is_used"])
        shown.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    write_text(folder / "report.md", _text(table, shortcuts, store))
    draw_samples(store, folder / "samples.png")


def _fate(picture: dict[str, Any], without_masks: str) -> str:
    if not picture["is_used"]:
        return f"left out: a present picture {without_masks}, whose group does not train"
    if not picture["n_samples"]:
        return "left out: too little of it is target"
    return "whole" if picture["is_whole"] else "in parts"


def _text(table: pd.DataFrame, shortcuts: Sequence[str], store: Store) -> str:
    definition = store.header.parameters["definition"]
    counts = pd.DataFrame(
        [
            {
                "Fold": fold,
                "Groups": rows["group"].nunique(),
                "Present, with a mask": int((rows["has_mask"] & rows["kept"]).sum()),
                "Present, without": int(
                    ((rows["domain"] == "present") & ~rows["has_mask"] & rows["kept"]).sum()
                ),
                "Absent": int(((rows["domain"] == "absent") & rows["kept"]).sum()),
                "Left out": int((~rows["kept"]).sum()),
                "Stored of P": store.n(fold, "present"),
                "Stored of A": store.n(fold, "absent"),
            }
            for fold, rows in (
                (fold, table[table["fold"] == fold].assign(kept=lambda t: t["n_samples"] > 0))
                for fold in FOLDS
            )
        ]
    )
    sizes = Counter(zip(table["height"], table["width"], strict=True))
    named = ", ".join(f"{h} x {w} ({n})" for (h, w), n in sizes.most_common(_N_NAMED))
    return "\n".join(
        [
            f"# {store.header.parameters['title']}",
            "",
            f"Source: {store.header.source}",
            "",
            f"Networks see {definition['height']} x {definition['width']} pixels "
            f"(`size: {definition['size']}`), channels {', '.join(store.header.channels)}. "
            f"Pictures are {named}{' and others' if len(sizes) > _N_NAMED else ''}.",
            "",
            counts.to_markdown(index=False),
            "",
            *table_of_pathologies(store),
            *(line for note in _notes(table) for line in (f"- {note}", "")),
            *(line for note in not_scored(store, "picture") for line in (f"- {note}", "")),
            "```",
            *shortcuts,
            "```",
            "",
            "`pictures.csv` has a line per picture, `samples.png` shows some of the training fold.",
            "",
        ]
    )


def _notes(table: pd.DataFrame) -> Iterator[str]:
    for fate, rows in table[table["n_samples"] == 0].groupby("fate"):
        names = ", ".join(rows["picture"].head(_N_NAMED))
        more = f" and {len(rows) - _N_NAMED} more" if len(rows) > _N_NAMED else ""
        yield f"{len(rows)} {fate}: {names}{more}."

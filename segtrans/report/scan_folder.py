"""What became of each scan of a folder: counts, what was left out and why, and samples."""

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
_FATES = {
    "n_present": "P",
    "n_absent": "A",
    "n_small_target": "neither: little target",
    "n_unlisted": "neither: nobody knows",
    "n_small_content": "little but background",
}


def write_report(
    cases: Sequence[dict[str, Any]], said: Sequence[str], data_file: Path, folder: Path
) -> None:
    """Write cases.csv, report.md and samples.png into a folder.

    Args:
        cases: rows of `segtrans.sources.scan_folder.prepared.Prepared`.
        said: what should be known of the slices, and what tells P from A without the target.
        data_file: the store that was made of them.
        folder: of the report.

    Raises:
        UserError: the store cannot be read.
    """
    store = Store(data_file)
    table = with_pathologies(pd.DataFrame(cases), store.header.pathologies)
    with atomic_path(folder / "cases.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    write_text(folder / "report.md", _text(table, said, store))
    draw_samples(store, folder / "samples.png")


def _text(table: pd.DataFrame, said: Sequence[str], store: Store) -> str:
    definition = store.header.parameters["definition"]
    image = "half-slice" if definition["halves"] else "slice"
    counts = pd.DataFrame([_row(fold, table[table["fold"] == fold]) for fold in FOLDS])
    spacing = " x ".join(f"{mm:g}" for mm in store.header.parameters["spacing_mm"])
    return "\n".join(
        [
            f"# {store.header.parameters['title']}",
            "",
            f"Source: {store.header.source}",
            "",
            f"Networks see {definition['axis']} {image}s of {definition['height']} x "
            f"{definition['width']} pixels, channels {', '.join(store.header.channels)}, after "
            f"resampling to {spacing} mm (columns, rows, slices).",
            "",
            f"Numbers of {image}s in what is stored:",
            "",
            counts.to_markdown(index=False),
            "",
            *table_of_pathologies(store),
            *(
                line
                for note in (*_notes(table, without_masks(store)), *not_scored(store, image))
                for line in (f"- {note}", "")
            ),
            "```",
            *said,
            "```",
            "",
            "`cases.csv` has a line per scan, `samples.png` shows some of the training fold.",
            "",
        ]
    )


def _row(fold: str, rows: pd.DataFrame) -> dict[str, Any]:
    used = rows[rows["is_used"]]
    is_present = used["domain"] == "present"
    return {
        "Fold": fold,
        "Patients": rows["group"].nunique(),
        "Scans with a mask": int(used["has_mask"].sum()),
        "Present, without": int((is_present & ~used["has_mask"]).sum()),
        "Absent": int((~is_present).sum()),
        "P with a mask": int(used.loc[used["has_mask"], "n_present"].sum()),
        **{title: int(used[column].sum()) for column, title in _FATES.items()},
    }


def _notes(table: pd.DataFrame, without_masks: str) -> Iterator[str]:
    left_out = table[~table["is_used"]]["place"].tolist()
    if left_out:
        yield (
            f"{len(left_out)} left out: present scans {without_masks}, whose patients do not "
            f"train: {_named(left_out)}."
        )
    has_none = table["is_used"] & (table["n_present"] + table["n_absent"] == 0)
    if nothing := table[has_none]["place"].tolist():
        yield f"{len(nothing)} without an image in P or A: {_named(nothing)}."


def _named(places: Sequence[str]) -> str:
    more = f" and {len(places) - _N_NAMED} more" if len(places) > _N_NAMED else ""
    return ", ".join(places[:_N_NAMED]) + more

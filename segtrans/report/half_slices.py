"""What became of each patient's half-slices: counts, reasons, intensities, and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segtrans.atomic import atomic_path, write_text
from segtrans.data.store import FOLDS, Store
from segtrans.figures.style import LESION_COLOUR, PAGE_WIDTH_IN, SEQUENCE_TITLES, saved_figure
from segtrans.report.pathologies import table_of_pathologies

_FATES = {
    "present": "P",
    "absent": "A",
    "small_lesion": "neither: lesion too small",
    "small_brain": "dropped: too little brain",
    "without_brain": "dropped: no brain",
}
_COLOURS = ("#D55E00", "#0072B2", "#CC79A7", "#b5b5b5", "#e3e3e3")
_Z_LIMITS = (-2.5, 3.5)


def write_report(patients: Sequence[dict[str, Any]], data_file: Path, folder: Path) -> None:
    """Write patients.csv, report.md and half_slices.png into a folder.

    Args:
        patients: as `segtrans.sources.brats.merge.merge_parts` returns them.
        data_file: the store that it wrote.
        folder: of the report.

    Raises:
        UserError: the store cannot be read.
    """
    store, table = Store(data_file), _table(patients)
    with atomic_path(folder / "patients.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    write_text(folder / "report.md", _text(table, store))
    with saved_figure(folder / "half_slices.png", width_in=PAGE_WIDTH_IN, height_in=4.4) as figure:
        _draw(figure, table, store)


def _table(patients: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row per patient, fold by fold."""
    rows = [
        {
            "case_id": patient["case_id"],
            "grade": patient["grade"],
            "fold": patient["fold"],
            **{f"n_{fate}": patient["n"][fate] for fate in _FATES},
            "lesion_voxels": patient["lesion_voxels"],
            **{name: n for name, n in patient.items() if name.startswith("voxels_of_")},
            **{f"mean_{name}": mean for name, mean in patient["mean"].items()},
            **{f"sd_{name}": sd for name, sd in patient["sd"].items()},
            "sha256": patient["sha256"],
        }
        for patient in patients
    ]
    table = pd.DataFrame(rows)
    order = table["fold"].map(FOLDS.index)
    return table.assign(order=order).sort_values(["order", "case_id"]).drop(columns="order")


def _text(table: pd.DataFrame, store: Store) -> str:
    parameters = store.header.parameters
    counts = pd.DataFrame(
        [
            {
                "Fold": fold,
                "Patients": len(rows),
                **{
                    f"{grade}": int((rows["grade"] == grade).sum())
                    for grade in sorted(table["grade"].dropna().unique())
                },
                **{title: int(rows[f"n_{fate}"].sum()) for fate, title in _FATES.items()},
            }
            for fold, rows in ((fold, table[table["fold"] == fold]) for fold in FOLDS)
        ]
    )
    intensities = pd.DataFrame(
        [
            {
                "Sequence": name,
                "mean of patients' means": f"{table[f'mean_{name}'].mean():.1f}",
                "lowest": f"{table[f'mean_{name}'].min():.1f}",
                "highest": f"{table[f'mean_{name}'].max():.1f}",
                "mean of patients' sd": f"{table[f'sd_{name}'].mean():.1f}",
            }
            for name in store.header.channels
        ]
    )
    nothing = table[(table["n_present"] == 0) & (table["n_absent"] == 0)]["case_id"].tolist()
    return "\n".join(
        [
            "# Half-slices",
            "",
            f"Source: {store.header.source}",
            "",
            f"A half-slice is kept with at least {parameters['min_brain_fraction']:.0%} brain "
            "pixels. It belongs to P with lesion pixels in at least "
            f"{parameters['min_lesion_fraction']:.0%} of its brain, to A without any, and to "
            "neither in between (paper, section 4.2).",
            "",
            counts.to_markdown(index=False),
            "",
            *table_of_pathologies(store),
            "Intensities of the brain, in the scans' own units, "
            f"normalisation `{parameters['normalisation']}`:",
            "",
            intensities.to_markdown(index=False, disable_numparse=True),
            "",
            f"Patients without a half-slice in P or A: {', '.join(nothing) or 'none'}.",
            "",
            "`patients.csv` has a line per patient, `half_slices.png` the picture.",
            "",
        ]
    )


def _draw(figure: Figure, table: pd.DataFrame, store: Store) -> None:
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.1])[:, 0]
    _draw_counts(top.subplots(), table)
    channels = store.header.channels
    for i, axes in enumerate(np.ravel(bottom.subplots(1, 2 * len(channels)))):
        domain = "present" if i < len(channels) else "absent"
        _draw_half_slice(axes, store, domain, i % len(channels))


def _draw_counts(axes: Axes, table: pd.DataFrame) -> None:
    """A bar for each patient, folds beside one another."""
    bottom = np.zeros(len(table))
    for (fate, title), colour in zip(list(_FATES.items())[:4], _COLOURS, strict=False):
        values = table[f"n_{fate}"].to_numpy()
        axes.bar(range(len(table)), values, bottom=bottom, width=0.9, color=colour, label=title)
        bottom += values
    folds = table["fold"].tolist()
    middles = {}
    for fold in FOLDS:
        places = [i for i, name in enumerate(folds) if name == fold]
        if places[0]:
            axes.axvline(places[0] - 0.5, color="black", linewidth=0.6)
        middles[f"{fold}\n({len(places)})"] = (places[0] + places[-1]) / 2
    axes.set_xlim(-0.5, len(table) - 0.5)
    # Centred and on two lines: a fold of two patients is narrow.
    axes.set_xticks(list(middles.values()), list(middles), fontsize="small")
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("patients")
    axes.set_ylabel("half-slices with brain")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _draw_half_slice(axes: Axes, store: Store, domain: str, channel: int) -> None:
    """The training half-slice of a domain with the largest lesion, or the middle one of A."""
    masks = store.masks("train") if domain == "present" else None
    n = store.n("train", domain)
    index = n // 2 if masks is None else int(np.argmax(np.count_nonzero(masks, axis=(1, 2))))
    image = store.images("train", domain, np.array([index]))[0, channel]
    shown = np.where(image == 0, _Z_LIMITS[0], image).astype(np.float32)  # background in black
    axes.imshow(shown, cmap="gray", vmin=_Z_LIMITS[0], vmax=_Z_LIMITS[1])
    if masks is not None:
        axes.contour(masks[index] > 0, levels=[0.5], colors=LESION_COLOUR, linewidths=0.7)
    axes.set_axis_off()
    name = store.header.channels[channel]
    axes.set_title(f"{'P' if domain == 'present' else 'A'}, {SEQUENCE_TITLES.get(name, name)}")

"""Gather the scores of runs into one table, beside the paper's numbers (Table 1)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from segtrans.atomic import atomic_path, write_json, write_text
from segtrans.config.catalogue import method_name, method_title
from segtrans.config.run_record import FIGURES, OF_PATHOLOGY, Metrics
from segtrans.config.runs import Run, read_metrics, read_runs
from segtrans.report.caption import are_of_the_paper, caption, have_patients, only_preset
from segtrans.score.reconstruction import MARK, is_no_better_than_constant
from segtrans.score.translates import does_translate

_PATIENT_COLUMNS = ("Dice, 3D per patient", "HD95, mm")
_PAPER_COLUMN = "Paper"
_MISSING = "–"


def write_table(
    run_folders: Iterable[Path], *, output_csv: Path, output_md: Path, output_json: Path
) -> None:
    """Write one row per task, method and variant: mean and deviation over the initial seeds.

    The CSV has every score of `metrics.json` that task and method define, of both weights and
    folds, as <score>_<fold>_<weights>_mean and _sd, at full precision; whether patients are made
    up (`phantoms`), how many seeds reconstruct no better than a constant, and how many translate.
    The Markdown file has the scores of the test fold, the paper's number beside the headline of its
    tasks, and a caption that says what they are.
    The JSON file has the means of both Dice of the test fold alone, as {task: {method: {score}}},
    for tools that compare versions.

    Args:
        run_folders: evaluated runs of one preset.
        output_csv: file to write.
        output_md: file to write.
        output_json: file to write.

    Raises:
        UserError: a run is not evaluated, a file is damaged, runs stand there twice or are of
            different presets.
    """
    runs = read_runs(run_folders)
    preset = only_preset(runs)
    rows = score_rows(runs)
    with atomic_path(output_csv) as temporary:
        pd.DataFrame([{"preset": preset, **row} for row in rows]).to_csv(
            temporary, index=False, lineterminator="\n"
        )
    shown = shown_table(runs)
    alignment = ["left", "left", *["right"] * (shown.shape[1] - 2)]
    text = shown.to_markdown(index=False, disable_numparse=True, colalign=alignment)
    points = "\n".join(f"- {point}" for point in caption(runs))
    write_text(output_md, f"{text}\n\n{points}\n")
    write_json(output_json, _headlines(rows))


def score_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Scores of evaluated runs in their order, a row for each task, method and variant.

    Raises:
        UserError: a run is not evaluated, or its metrics are damaged.
    """
    return [
        _row([(run, read_metrics(run)) for run in group])
        for _, group in groupby(runs, key=lambda run: (run.config.task, run.method_name))
    ]


def shown_table(runs: Sequence[Run]) -> pd.DataFrame:
    """What a reader sees of `score_rows`, all of it text; the headline is Markdown's bold.

    Scores of patients have columns where a task has patients, the paper's number where a task is
    the paper's.
    """
    titles = {run.config.task: run.task_title for run in runs}
    shown = pd.DataFrame([_shown(row, titles[row["task"]]) for row in score_rows(runs)])
    unused = [] if have_patients(runs) else list(_PATIENT_COLUMNS)
    unused += [] if are_of_the_paper(runs) else [_PAPER_COLUMN]
    return shown.drop(columns=unused).fillna(_MISSING)


def _headlines(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    headlines: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        of_task = headlines.setdefault(row["task"], {})
        of_task[method_name(row["method"], row["variant"])] = {
            f"{score}_test": row[f"{score}_test_best_mean"]
            for score in ("dice_soft_pooled", "dice_hard_pooled")
        }
    return headlines


def _row(scored: Sequence[tuple[Run, Metrics]]) -> dict[str, Any]:
    first, _ = scored[0]
    row: dict[str, Any] = {
        "task": first.config.task,
        "method": first.config.method,
        "variant": first.variant,
        "n_seeds": len(scored),
        "init_seeds": " ".join(str(run.config.init_seed) for run, _ in scored),
        "phantoms": first.has_phantoms,
        "n_flat_reconstructions": sum(is_no_better_than_constant(run) for run, _ in scored),
        "n_translating": sum(does_translate(run) for run, _ in scored),
    }
    for which in ("best", "last"):
        for fold in ("test", "valid"):
            for score in (*FIGURES, *_of_pathologies(getattr(scored[0][1], which)[fold])):
                values = [getattr(metrics, which)[fold][score] for _, metrics in scored]
                if None not in values:
                    mean, sd = mean_and_sd(values)
                    row[f"{score}_{fold}_{which}_mean"] = mean
                    row[f"{score}_{fold}_{which}_sd"] = sd
    paper_mean, paper_sd = first.paper_dice or (math.nan, math.nan)
    return row | {"dice_paper_mean": paper_mean, "dice_paper_sd": paper_sd}


def _of_pathologies(scores: Mapping[str, Any]) -> list[str]:
    """Names of the scores of each pathology, if there are any."""
    return [score for score in scores if score.startswith(OF_PATHOLOGY)]


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); of one value the latter is NaN."""
    series = pd.Series(values, dtype="float64")
    return float(series.mean()), float(series.std(ddof=1))


def _shown(row: dict[str, Any], task_title: str) -> dict[str, str]:
    def score(name: str, which: str = "best", digits: int = 2) -> str:
        key = f"{name}_test_{which}"
        return _mean_sd(row.get(f"{key}_mean", math.nan), row.get(f"{key}_sd", math.nan), digits)

    return {
        "Task": task_title,
        "Method": method_title(row["method"], row["variant"])
        + (f" {MARK}" if row["n_flat_reconstructions"] else ""),
        "Seeds": str(row["n_seeds"]),
        "Dice": score("dice_soft_pooled"),
        _PAPER_COLUMN: _mean_sd(row["dice_paper_mean"], row["dice_paper_sd"], 2),
        "Dice, last iteration": score("dice_soft_pooled", "last"),
        "Dice, thresholded": score("dice_hard_pooled"),
        "Dice, thresholded, per image": score("dice_hard_image_mean"),
        _PATIENT_COLUMNS[0]: score("dice_hard_patient_3d"),
        _PATIENT_COLUMNS[1]: score("hd95_mm_patient", digits=1),
        "False positives, pixels": score("false_positive_pixels_A_image_mean", digits=1),
        "Targets found": score("lesions_found_fraction"),
        "False detections, per image": score("lesions_false_image_mean"),
    } | {
        f"Dice, {name.removeprefix(OF_PATHOLOGY[0])}": score(name)
        for name in _of_pathologies({key.removesuffix("_test_best_mean"): 0 for key in row})
        if name.startswith(OF_PATHOLOGY[0]) and f"{name}_test_best_mean" in row
    }


def _mean_sd(mean: float, sd: float, digits: int) -> str:
    if math.isnan(mean):
        return _MISSING
    return f"{mean:.{digits}f} ({_MISSING if math.isnan(sd) else f'{sd:.{digits}f}'})"

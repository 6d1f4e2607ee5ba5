"""Gather the scores of runs into one table, beside the paper's numbers (Table 1)."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from segtrans.atomic import atomic_path, write_json, write_text
from segtrans.config.blocks import NetworksParams
from segtrans.config.catalogue import row_name, row_title
from segtrans.config.run_record import FIGURES, Metrics
from segtrans.config.runs import Run, read_metrics, read_runs
from segtrans.errors import UserError
from segtrans.report.task_values import differing_values
from segtrans.score.reconstruction import MARK, flat_point, is_no_better_than_constant
from segtrans.score.translates import does_translate, translation_points

PAPER_SCALE = "paper"
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
    The JSON file has the means of both Dice of the test fold alone, as {task: {row: {score}}},
    for tools that compare versions.

    Args:
        run_folders: evaluated runs of one scale.
        output_csv: file to write.
        output_md: file to write.
        output_json: file to write.

    Raises:
        UserError: a run is not evaluated, a file is damaged, runs stand there twice or are of
            different scales.
    """
    runs = read_runs(run_folders)
    scale = only_scale(runs)
    rows = score_rows(runs)
    with atomic_path(output_csv) as temporary:
        pd.DataFrame([{"scale": scale, **row} for row in rows]).to_csv(
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
        for _, group in groupby(runs, key=lambda run: (run.config.task, run.row))
    ]


def shown_table(runs: Sequence[Run]) -> pd.DataFrame:
    """What a reader sees of `score_rows`, all of it text; the headline is Markdown's bold.

    Scores of patients have columns where a task has patients, the paper's number where a task is
    the paper's.
    """
    titles = {run.config.task: run.task_title for run in runs}
    shown = pd.DataFrame([_shown(row, titles[row["task"]]) for row in score_rows(runs)])
    unused = [] if _have_patients(runs) else list(_PATIENT_COLUMNS)
    unused += [] if are_of_the_paper(runs) else [_PAPER_COLUMN]
    return shown.drop(columns=unused)


def caption(runs: Sequence[Run]) -> list[str]:
    """What the numbers are: scores, scale, seeds, labels, data; points of a Markdown list."""
    scale = only_scale(runs)
    thresholds = sorted({read_metrics(run).threshold for run in runs})
    return [
        f"Scale `{scale}`, test fold: mean (standard deviation) over initial seeds.",
        "Dice: soft, pooled over all pixels of the P images, with the weights of the best "
        "validation Dice. Last iteration: the same with the last weights. Thresholded at "
        f"{_joined(thresholds)}: pooled over all pixels, and the mean over images. False "
        "positives: segmented pixels per A image.",
        "Empty masks: both empty is Dice 1, one empty is 0.",
        "Lesions: connected parts of the masks of P images. Found: the share of which a pixel is "
        "segmented. False: parts of the segmentation that touch none, mean over P and A images.",
        *_patients_point(runs),
        *_phantoms_point(runs),
        *_unlearnt_point(runs),
        *filter(None, [flat_point(runs)]),
        *translation_points(runs),
        *[_task_point([run for run in runs if run.config.task == task]) for task in _tasks(runs)],
        *differing_values(runs),
        f"Data: {_joined(_unique(run.record.data.source for run in runs))}.",
        *filter(None, [paper_point(runs)]),
    ]


def paper_point(runs: Sequence[Run]) -> str | None:
    """What the paper's numbers are to those of a scale; None where no task is the paper's."""
    if not are_of_the_paper(runs):
        return None
    if only_scale(runs) == PAPER_SCALE:
        return "Paper: its Table 1."
    return (
        "Paper: its Table 1, at full scale. This is a reduced scale: the numbers here are no "
        "reproduction of the paper's, which stand beside them for orientation only."
    )


def are_of_the_paper(runs: Sequence[Run]) -> bool:
    """Whether the task of any run is one of Table 1, so that its number may stand beside."""
    return any(run.config.own_task is None for run in runs)


def _headlines(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    headlines: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        of_task = headlines.setdefault(row["task"], {})
        of_task[row_name(row["method"], row["variant"])] = {
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
            for score in FIGURES:
                values = [getattr(metrics, which)[fold][score] for _, metrics in scored]
                if None not in values:
                    mean, sd = mean_and_sd(values)
                    row[f"{score}_{fold}_{which}_mean"] = mean
                    row[f"{score}_{fold}_{which}_sd"] = sd
    paper_mean, paper_sd = first.paper_dice or (math.nan, math.nan)
    return row | {"dice_paper_mean": paper_mean, "dice_paper_sd": paper_sd}


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
        "Method": row_title(row["method"], row["variant"])
        + (f" {MARK}" if row["n_flat_reconstructions"] else ""),
        "Seeds": str(row["n_seeds"]),
        "Dice": f"**{score('dice_soft_pooled')}**",
        _PAPER_COLUMN: _mean_sd(row["dice_paper_mean"], row["dice_paper_sd"], 2),
        "Dice, last iteration": score("dice_soft_pooled", "last"),
        "Dice, thresholded": score("dice_hard_pooled"),
        "Dice, thresholded, per image": score("dice_hard_image_mean"),
        _PATIENT_COLUMNS[0]: score("dice_hard_patient_3d"),
        _PATIENT_COLUMNS[1]: score("hd95_mm_patient", digits=1),
        "False positives, pixels": score("false_positive_pixels_A_image_mean", digits=1),
        "Lesions found": score("lesions_found_fraction"),
        "False lesions, per image": score("lesions_false_image_mean"),
    }


def _mean_sd(mean: float, sd: float, digits: int) -> str:
    if math.isnan(mean):
        return _MISSING
    return f"{mean:.{digits}f} ({_MISSING if math.isnan(sd) else f'{sd:.{digits}f}'})"


def _task_point(runs: Sequence[Run]) -> str:
    """Scale and labels of the runs of one task; values that differ between runs are listed."""
    title = runs[0].task_title

    def each(values: Iterable[object]) -> str:
        return _joined(_unique(values))

    cells = [run.config for run in runs]
    counts = [run.record.data.n_train_images for run in runs]
    n_present, n_absent = (
        each(f"{getattr(n, domain):,}" for n in counts) for domain in ("present", "absent")
    )
    labelled = [run.record.labelled for run in runs]
    return (
        f"{title}: seeds {each(config.init_seed for config in cells)}; "
        f"{each(f'{config.training.iterations:,}' for config in cells)} iterations, batches of "
        f"{each(config.training.batch_size for config in cells)} P and as many A images; "
        f"{each(_width(config.networks) for config in cells)}; "
        f"{n_present} P and {n_absent} A images to train on, of which "
        f"{each(n.n_images for n in labelled)} P images are labelled, {_labelled(runs)}."
    )


def _width(networks: NetworksParams) -> str:
    share = f"{networks.width:g} of the paper's channels per layer"
    least = networks.min_channels
    return share if least == 1 else f"{share}, in encoder and decoders at least {least}"


def _patients_point(runs: Sequence[Run]) -> list[str]:
    if not _have_patients(runs):
        return []
    with_patients = (run.config.definition for run in runs if run.config.definition.has_patients)
    images = " and ".join(dict.fromkeys(f"{task.image_name}s" for task in with_patients))
    return [
        f"3D per patient: {images} of P and A put back into volumes, thresholded, mean over "
        f"patients; {images} of neither domain are left out of segmentation and reference. HD95: "
        "95th percentile of the surface distance; both empty is 0 mm, one empty is the diagonal of "
        "the volume."
    ]


def _phantoms_point(runs: Sequence[Run]) -> list[str]:
    if not any(run.has_phantoms for run in runs):
        return []
    return [
        "Phantoms are made-up patients: no result on tumours, and nothing that the paper's numbers "
        "could be compared with."
    ]


def _unlearnt_point(runs: Sequence[Run]) -> list[str]:
    """Runs that are scored with the weights they began with: a mean over them says little."""
    names = [
        f"{run.title}, seed {run.config.init_seed} ({run.task_title})"
        for run in runs
        if run.record.best_iteration == 0
    ]
    if not names:
        return []
    return [
        "Not learnt, so scored with the weights it began with, whose validation Dice it never "
        f"passed: {'; '.join(names)}. Its learning curve shows how; another seed or a lower "
        "learning rate may do better."
    ]


def _have_patients(runs: Sequence[Run]) -> bool:
    return any(run.config.definition.has_patients for run in runs)


def _labelled(runs: Sequence[Run]) -> str:
    if all(run.config.definition.has_own_labels for run in runs):
        return "those with a mask"
    n_units = _joined(_unique(run.record.labelled.n_units for run in runs))
    unit = _joined(_unique(run.record.labelled.unit for run in runs)).replace("_", "-")
    digits = _unique(d for run in runs for d in run.config.labels.digits or ())
    of_classes = f" of class{'' if len(digits) == 1 else 'es'} {_joined(digits)}" if digits else ""
    drawn = ", another draw for each seed" if runs[0].config.labels.per_seed else ""
    return f"those of {n_units} {unit}{'' if n_units == '1' else 's'}{of_classes}{drawn}"


def only_scale(runs: Sequence[Run]) -> str:
    """The scale that all runs share.

    Raises:
        UserError: they are of different scales.
    """
    scales = _unique(run.record.scale for run in runs)
    if len(scales) > 1:
        raise UserError(f"runs of different scales, {_joined(scales)}: make a table of each")
    return str(scales[0])


def _tasks(runs: Sequence[Run]) -> list[object]:
    return _unique(run.config.task for run in runs)


def _unique(values: Iterable[object]) -> list[object]:
    return list(dict.fromkeys(values))


def _joined(values: Iterable[object]) -> str:
    return ", ".join(str(value).rstrip(".") for value in values)

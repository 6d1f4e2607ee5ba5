"""Score a finished run on the validation and test folds: metrics.json and per_image.csv."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from segtrans.atomic import atomic_path, write_json
from segtrans.config.refusals import validate
from segtrans.config.run_record import (
    PATIENT_FIGURES,
    RECONSTRUCTION_FIGURES,
    TRANSLATION_FIGURES,
    Metrics,
)
from segtrans.config.runs import Run, read_run
from segtrans.data.feed.folds import iterate_fold
from segtrans.data.store import DOMAINS, Store
from segtrans.errors import UserError
from segtrans.methods.asked_again import inference
from segtrans.methods.inference import (
    device_of,
    reconstruction_errors,
    segmented_maps,
    target_probability,
    tells_apart,
)
from segtrans.methods.weights import WEIGHTS, load_method
from segtrans.score import lesions
from segtrans.score.lesions import LesionCounts
from segtrans.score.metrics import NOT_DEFINED, ImageSums, image_sums, split_scores
from segtrans.score.pathologies import joined, pathology_scores, sums_of_each
from segtrans.score.patients import COLUMNS, packed, score_patients
from segtrans.score.reconstruction import reconstruction_scores
from segtrans.score.run_data import check_data
from segtrans.score.translation import TranslationTally

SCORED_FOLDS = ("valid", "test")
_WHICH: tuple[Literal["best", "last"], ...] = ("best", "last")


@dataclass(frozen=True)
class FoldSums:
    """What a method makes of one fold.

    Attributes:
        present: its P images against their masks.
        absent: its A images, which hold no lesion.
        patients: a row for each patient, of `segtrans.score.patients.COLUMNS`; None for tasks
            without patients.
        lesions: found, missed and false ones of each image, by domain.
        groups: a row for each patient, or for each group of images, of
            `segtrans.score.lesions.COLUMNS`; None where the data have neither.
        reconstruction: (n, 2), errors of `reconstruction_errors` of all images; None for methods
            that reconstruct nothing.
        translation: what translating its images does; None for methods that do not.
        pathologies: its P images against the masks of each pathology, by name; none where there is
            one target, or the method does not tell them apart.
    """

    present: ImageSums
    absent: ImageSums
    patients: pd.DataFrame | None
    lesions: dict[str, LesionCounts]
    groups: pd.DataFrame | None
    reconstruction: NDArray[np.float64] | None
    translation: TranslationTally | None
    pathologies: dict[str, ImageSums]


def score_run(run_folder: Path, data_file: Path, *, threshold: float) -> None:
    """Write `metrics.json`, `per_image.csv` and `per_patient.csv` into the run folder.

    `metrics.json` has the scores of `split_scores`, `patient_means`, `reconstruction_scores`,
    `lesion_scores` and `TranslationTally.scores` under best / last (weights) and valid / test
    (fold), the threshold, and what they belong to: run configuration, data and weights.
    `per_image.csv` has one line per image, `per_patient.csv` one per patient (none for tasks
    without), of the best weights. None holds a time: the same run gives the same bytes.

    Args:
        run_folder: written by training.
        data_file: the data set that the run was trained on.
        threshold: probability above which a pixel counts as segmented.

    Raises:
        UserError: a file is missing or damaged, or the data are not those of the run.
    """
    run = read_run(run_folder)
    store = Store(data_file)
    check_data(run, store)
    sums: dict[str, dict[str, FoldSums]] = {}
    for which in _WHICH:
        if which == "last" and run.record.best_iteration == run.config.training.iterations:
            sums[which] = sums["best"]  # the very same weights
            continue
        method = load_method(run, which=which)
        try:
            sums[which] = score_method(
                method,
                store,
                threshold=threshold,
                has_patients=run.config.definition.has_patients,
                neighbours=run.config.neighbours,
            )
        except ValueError as error:
            weights = run_folder / WEIGHTS[which]
            raise UserError(f"{weights}: {error}; train the run again") from error
    content: dict[str, Any] = {
        **{which: _scores_of_folds(sums[which]) for which in _WHICH},
        "threshold": threshold,
        "config_identity": run.config.identity,
        "data_sha256": run.record.data.sha256,
        "weights_sha256": run.record.weights_sha256,
        "notes": _notes(run, sums["best"]),
    }
    metrics = validate(Metrics, content, origin="metrics.json")
    write_json(run_folder / "metrics.json", metrics.model_dump(mode="json"))
    tables = {"per_image": per_image(store, sums["best"]), "per_patient": per_patient(sums["best"])}
    for name, table in tables.items():
        with atomic_path(run_folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def score_method(
    method: nn.Module,
    store: Store,
    *,
    threshold: float,
    has_patients: bool,
    neighbours: int = 0,
) -> dict[str, FoldSums]:
    """Segment every image of the validation and test folds.

    Args:
        method: has `segment`; in evaluation mode.
        store: the data.
        threshold: probability above which a pixel counts as segmented.
        has_patients: whether images are slices of patients, who are scored too.
        neighbours: slices on either side of each image that the method sees with it.

    Raises:
        ValueError: a probability is not in [0, 1] (or not a number), or a reconstruction is none.
    """
    with inference(method):
        return {
            fold: _score_fold(
                method, store, fold, threshold, has_patients=has_patients, neighbours=neighbours
            )
            for fold in SCORED_FOLDS
        }


def patient_means(patients: pd.DataFrame | None) -> dict[str, float | int | None]:
    """Means over the patients of a fold, and how many the empty rules decided.

    Args:
        patients: rows of `score_patients`; None for tasks without patients: all is None.
    """
    counts = ("n_patients", "n_patients_both_empty", "n_patients_missed", "n_patients_invented")
    if patients is None:
        return dict.fromkeys((*PATIENT_FIGURES, *counts))
    has_lesion, has_prediction = patients["lesion_voxels"] > 0, patients["predicted_voxels"] > 0
    return {
        "dice_hard_patient_3d": float(patients["dice_hard_3d"].mean()),
        "hd95_mm_patient": float(patients["hd95_mm"].mean()),
        "n_patients": len(patients),
        "n_patients_both_empty": int((~has_lesion & ~has_prediction).sum()),
        "n_patients_missed": int((has_lesion & ~has_prediction).sum()),
        "n_patients_invented": int((~has_lesion & has_prediction).sum()),
    }


def per_patient(sums: Mapping[str, FoldSums]) -> pd.DataFrame:
    """The rows of all folds' patients; none for tasks without patients."""
    tables = [of_fold.patients for of_fold in sums.values() if of_fold.patients is not None]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def per_image(store: Store, sums: Mapping[str, FoldSums]) -> pd.DataFrame:
    """One row per image: fold, domain, index in the fold, provenance, Dice, sums, lesions.

    The sums are those of `ImageSums`, from which the pooled scores follow. Dice and overlap are
    given for P images only; provenance (digit, source index) where the data have it.
    """
    return pd.concat(
        [
            _domain_rows(store, fold, domain, fold_sums, of_fold.lesions[domain])
            for fold, of_fold in sums.items()
            for domain, fold_sums in (("present", of_fold.present), ("absent", of_fold.absent))
        ],
        ignore_index=True,
    )


def _notes(run: Run, sums: Mapping[str, FoldSums]) -> dict[str, str]:
    """Why scores are null, and thresholds that were chosen for the best weights."""
    notes = {} if run.config.definition.has_patients else dict(NOT_DEFINED)
    if any(of_fold.reconstruction is None for of_fold in sums.values()):
        notes |= dict.fromkeys(RECONSTRUCTION_FIGURES, "null: the method reconstructs nothing")
    if (translation := sums["valid"].translation) is None:
        notes |= dict.fromkeys(TRANSLATION_FIGURES, "null: the method does not translate")
    else:
        notes |= {
            f"dice_{name}": f"of pixels of {threshold}, chosen on the validation fold"
            for name, threshold in translation.thresholds().items()
        }
    if any(of_fold.groups is None for of_fold in sums.values()):
        notes |= lesions.NO_GROUPS
    return notes


def _scores_of_folds(sums: Mapping[str, FoldSums]) -> dict[str, dict[str, float | int | None]]:
    return {
        fold: {
            **split_scores(of.present, of.absent),
            **patient_means(of.patients),
            **reconstruction_scores(of.reconstruction),
            **lesions.lesion_scores(of.lesions["present"], of.lesions["absent"], of.groups),
            **_translation_scores(sums, fold),
            **pathology_scores(of.pathologies),
        }
        for fold, of in sums.items()
    }


def _translation_scores(sums: Mapping[str, FoldSums], fold: str) -> dict[str, float | None]:
    """Of a fold, at the thresholds that are best on the validation fold."""
    valid, of_fold = (sums[name].translation for name in ("valid", fold))
    if valid is None or of_fold is None:
        return dict.fromkeys(TRANSLATION_FIGURES)
    return of_fold.scores(valid.thresholds())


def _score_fold(
    method: nn.Module,
    store: Store,
    fold: str,
    threshold: float,
    *,
    has_patients: bool,
    neighbours: int,
) -> FoldSums:
    sums: dict[str, ImageSums] = {}
    segmented: dict[str, NDArray[np.uint8]] = {}
    found: dict[str, LesionCounts] = {}
    errors: list[NDArray[np.float64]] = []
    translation = TranslationTally.of(method, store.image_shape[0])
    of_each: list[list[ImageSums]] = []
    for domain in DOMAINS:
        blocks, counts, maps = [], [], []
        for x, mask in iterate_fold(store, fold, domain, neighbours=neighbours):
            x = x.to(device_of(method), non_blocking=True)
            y_seg = segmented_maps(method, x)
            probability = target_probability(method, y_seg).cpu().numpy()
            truth = None if mask is None else mask.numpy()
            if truth is not None and tells_apart(method):
                of_each.append(sums_of_each(y_seg.cpu().numpy(), truth, threshold=threshold))
            blocks.append(image_sums(probability, truth, threshold=threshold))
            if (of_block := reconstruction_errors(method, x, domain)) is not None:
                errors.append(of_block)
            if translation is not None:
                translation.add(domain, x, mask)
            is_segmented = probability > threshold
            counts.append(lesions.count_in_images(is_segmented, truth))
            if has_patients:
                maps.append(packed(is_segmented))
        sums[domain] = ImageSums.joined(blocks)
        found[domain] = LesionCounts.joined(counts)
        if has_patients:
            segmented[domain] = np.concatenate(maps)
    patients = score_patients(store, fold, segmented) if has_patients else None
    reconstruction = np.concatenate(errors) if errors else None
    groups = _groups(store, fold, found) if patients is None else patients
    return FoldSums(
        sums["present"],
        sums["absent"],
        patients,
        found,
        groups,
        reconstruction,
        translation,
        dict(zip(store.header.pathologies, joined(of_each), strict=True)) if of_each else {},
    )


def _groups(store: Store, fold: str, found: Mapping[str, LesionCounts]) -> pd.DataFrame | None:
    noted = {domain: store.provenance(fold, domain) for domain in DOMAINS}
    if not all("group" in names for names in noted.values()):
        return None
    return lesions.sum_over_groups([(noted[domain]["group"], found[domain]) for domain in DOMAINS])


def _domain_rows(
    store: Store, fold: str, domain: str, sums: ImageSums, found: LesionCounts
) -> pd.DataFrame:
    n = len(sums.lesion_pixels)
    columns: dict[str, object] = {"fold": fold, "domain": domain, "index": range(n)}
    for name, values in store.provenance(fold, domain).items():
        # Pandas' own types have a missing value, for rows of A images; NumPy's would become floats.
        columns[name] = pd.array(values)
    if domain == "present":
        columns |= {"dice_hard": sums.dice_hard(), "dice_soft": sums.dice_soft()}
        columns |= {"soft_overlap": sums.soft_overlap}
    columns |= {"soft_size": sums.soft_size, "lesion_pixels": sums.lesion_pixels}
    columns |= {"predicted_pixels": sums.predicted_pixels, **vars(found)}
    return pd.DataFrame(columns)

"""Scores of whole patients: slices, or halves of them, put back into volumes.

Only images of P and A are in a data set. Voxels of the others (too little brain, or too small
a lesion for either domain) are left out, of prediction and reference alike.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from segtrans.data.patients import volume_facts
from segtrans.data.store import DOMAINS, Store
from segtrans.data.values import is_target
from segtrans.score import lesions
from segtrans.score.metrics import dice
from segtrans.tasks.base import VOID
from segtrans.tasks.sides import WHOLE

COLUMNS = (
    *("fold", "case_id", "n_half_slices_P", "n_half_slices_A"),
    *("lesion_voxels", "predicted_voxels", "dice_hard_3d", "hd95_mm", *lesions.COLUMNS),
)

_OF_WHOLE = {f"n_half_slices_{domain}": f"n_slices_{domain}" for domain in "PA"}

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """Where slices and half-slices lie in a patient's volume.

    Attributes:
        shape: (X, Y, Z) of the volume.
        spacing_mm: of its voxels.
        mirror_right: whether right half-slices are stored mirrored.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    mirror_right: bool

    @classmethod
    def of(cls, store: Store) -> "Grid":
        """That of a data set of patients.

        Raises:
            UserError: its parameters do not say it.
        """
        facts = volume_facts(store)
        return cls(facts.volume_shape, facts.spacing_mm, facts.mirror_right)

    @property
    def diagonal_mm(self) -> float:
        """Length of the volume's diagonal: no two voxels are further apart."""
        sides = zip(self.shape, self.spacing_mm, strict=True)
        return math.sqrt(sum((n * mm) ** 2 for n, mm in sides))

    def volume(self, slices: Mask, side: NDArray[Any], slice_index: NDArray[Any]) -> Mask:
        """Put slices or half-slices (n, H, W) back: (Z, Y, X), where nothing was put False."""
        x, y, z = self.shape
        width = x // 2
        volume = np.zeros((z, y, x), bool)
        if (is_whole := side == WHOLE).any():
            volume[slice_index[is_whole]] = slices[is_whole]
        if (is_left := side == "left").any():
            volume[slice_index[is_left], :, width:] = slices[is_left]
        if (is_right := side == "right").any():
            right = slices[is_right]
            right = right[..., ::-1] if self.mirror_right else right
            volume[slice_index[is_right], :, :width] = right
        return volume


def packed(maps: Mask) -> NDArray[np.uint8]:
    """Maps (N, H, W), eight pixels of a row to a byte: a fold's of all patients are many."""
    return np.packbits(maps, axis=-1)


def score_patients(
    store: Store, fold: str, predicted: dict[str, NDArray[np.uint8]]
) -> pd.DataFrame:
    """One row per patient of a fold, with COLUMNS; of whole slices `n_slices_P` and `n_slices_A`.

    `dice_hard_3d` follows the rule of `segtrans.score.metrics.dice`. `hd95_mm` is the 95th
    percentile of the distances between the surfaces of segmentation and reference, the larger of
    both directions, as MONAI has it: 0 when both are empty, the volume's diagonal when one is, so
    that a missed lesion never scores better than a found one. Lesions are counted in 3D; one that
    goes through an image of neither domain is counted as two. Pixels that are `VOID` count neither
    way.

    Args:
        store: of a task with patients.
        fold: of the store.
        predicted: whether each pixel is segmented, (N, H, W) as `packed`, by domain.
    """
    grid = Grid.of(store)
    places = {domain: store.provenance(fold, domain) for domain in DOMAINS}
    case_ids = np.unique(np.concatenate([places[domain]["case_id"] for domain in DOMAINS]))
    rows = []
    for case_id in case_ids.tolist():
        chosen = {domain: places[domain]["case_id"] == case_id for domain in DOMAINS}
        side, slice_index = (
            np.concatenate([places[domain][name][chosen[domain]] for domain in DOMAINS])
            for name in ("side", "slice_index")
        )
        maps = np.concatenate([predicted[domain][chosen[domain]] for domain in DOMAINS])
        segmented = np.unpackbits(maps, axis=-1, count=store.image_shape[-1]).astype(bool)
        truth = np.zeros_like(segmented)
        n_present = int(chosen["present"].sum())
        of_case = store.masks(fold, np.flatnonzero(chosen["present"]))
        truth[:n_present] = is_target(of_case)
        segmented[:n_present] &= of_case != VOID
        rows.append(
            {
                "fold": fold,
                "case_id": case_id,
                "n_half_slices_P": n_present,
                "n_half_slices_A": len(segmented) - n_present,
                **volume_scores(
                    grid.volume(segmented, side, slice_index),
                    grid.volume(truth, side, slice_index),
                    grid,
                ),
            }
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    is_whole = store.image_shape[2] == grid.shape[0]
    return table.rename(columns=_OF_WHOLE) if is_whole else table


def volume_scores(segmented: Mask, truth: Mask, grid: Grid) -> dict[str, float | int]:
    """Voxel counts, Dice, HD95 and lesions of one volume (Z, Y, X); see `score_patients`."""
    n_segmented, n_truth = int(segmented.sum()), int(truth.sum())
    overlap = int((segmented & truth).sum())
    return {
        "lesion_voxels": n_truth,
        "predicted_voxels": n_segmented,
        "dice_hard_3d": float(dice(np.array(overlap), np.array(n_segmented), np.array(n_truth))),
        "hd95_mm": _hd95(segmented, truth, grid),
        **dict(zip(lesions.COLUMNS, lesions.count_lesions(segmented, truth), strict=True)),
    }


def _hd95(segmented: Mask, truth: Mask, grid: Grid) -> float:
    either = segmented | truth
    if not either.any():
        return 0.0
    if not (segmented.any() and truth.any()):
        return grid.diagonal_mm
    # The import takes half a second, and evaluations without patients need none.
    from segtrans.score.surface_distance import hd95_mm

    return hd95_mm(segmented, truth, grid.spacing_mm[::-1])

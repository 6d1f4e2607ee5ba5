"""Which training images are labelled: those with a mask, of chosen digits, of patients, or any."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.config.blocks import LabelsParams
from segtrans.errors import UserError

# Keeps the draws of this module apart from those of other modules.
_LABELLED_STREAM = 1002

Provenance = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Labelled:
    """What is labelled.

    Attributes:
        unit: digit, volume, half_slice or image.
        ids: of the labelled units, ascending: index of a digit in its source, case id of a
            volume, "case id, side, slice index" of a half-slice, name of an image.
        is_labelled: (N,), whether each presence image of the training fold is.
    """

    unit: str
    ids: list[int] | list[str]
    is_labelled: NDArray[np.bool_]


def choose_labelled(
    provenance: Provenance, labels: LabelsParams, *, data_seed: int, init_seed: int
) -> Labelled:
    """Choose by what the task labels; data that say which images have a mask leave no choice.

    Args:
        provenance: of the presence images of the training fold.
        labels: digits or unit, the fraction, and whether initial seeds differ.
        data_seed: of the choice, not negative.
        init_seed: of the run, not negative; 0 chooses what all share when seeds do not differ.

    Raises:
        UserError: the data do not say where images come from, or the fraction cannot be met.
    """
    if "has_mask" in provenance:
        unit, name = ("volume", "case_id") if "case_id" in provenance else ("image", "name")
        _check_has(provenance, name)
        has_mask = provenance["has_mask"] > 0
        return Labelled(unit, np.unique(provenance[name][has_mask]).tolist(), has_mask)
    rng = np.random.default_rng((data_seed, _LABELLED_STREAM, init_seed if labels.per_seed else 0))
    if labels.unit is None:
        _check_has(provenance, "digit", "source_index")
        ids = choose_digits(
            provenance["digit"],
            provenance["source_index"],
            fraction=labels.fraction,
            digits=labels.digits or (),
            rng=rng,
        )
        return Labelled("digit", ids.tolist(), np.isin(provenance["source_index"], ids))
    _check_has(provenance, "case_id", "side")
    if labels.unit == "volume":
        volumes = choose_volumes(provenance["case_id"], fraction=labels.fraction, rng=rng)
        return Labelled("volume", volumes, np.isin(provenance["case_id"], volumes))
    if "slice_index" not in provenance:
        raise UserError(
            f"labels.unit = {labels.unit}: the data set has no train/present/slice_index, its "
            "images are no slices; set it to volume"
        )
    return _choose_half_slices(provenance, fraction=labels.fraction, rng=rng)


def choose_digits(
    digit: NDArray[np.uint8],
    source_index: NDArray[np.int64],
    *,
    fraction: float,
    digits: tuple[int, ...],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose the labelled digits of the training fold (section 4.1: 1 %, nines only).

    An image is labelled when its digit is chosen, on whatever clutter it is drawn.

    Args:
        digit: (N,), class of the digit on each training image.
        source_index: (N,), index of that digit in its source.
        fraction: labelled share of ALL distinct training digits, in (0, 1].
        digits: classes to choose from.
        rng: draws the choice; a smaller fraction is the first part of a larger one.

    Returns:
        Source indices of the labelled digits, ascending.

    Raises:
        UserError: the fraction gives no digit, or more than there are of these classes.
    """
    sources, first = np.unique(source_index, return_index=True)
    allowed = sources[np.isin(digit[first], digits)]
    n_labelled = round(fraction * len(sources))
    if n_labelled < 1:
        raise UserError(
            f"labels.fraction = {fraction}: gives no label among {len(sources)} training digits; "
            f"at least {1 / len(sources):g} gives one"
        )
    if n_labelled > len(allowed):
        counts = ", ".join(f"{np.sum(digit[first] == d)} of class {d}" for d in digits)
        raise UserError(
            f"labels.fraction = {fraction}: asks for {n_labelled} labelled digits, the training "
            f"fold has {counts}; at most {len(allowed) / len(sources):g} fits"
        )
    return np.sort(rng.permutation(allowed)[:n_labelled])


def choose_volumes(
    case_id: NDArray[np.str_], *, fraction: float, rng: np.random.Generator
) -> list[str]:
    """Choose whole patients, in drawn order, until they hold the fraction (the authors' code).

    Args:
        case_id: (N,), patient of each presence half-slice of the training fold.
        fraction: share of these N half-slices to label, in (0, 1]; at least one patient is.
        rng: draws the order.

    Returns:
        Case ids, ascending.
    """
    ids, counts = np.unique(case_id, return_counts=True)
    order = rng.permutation(len(ids))
    n_wanted = max(1, round(fraction * len(case_id)))
    n_chosen = 1 + int(np.searchsorted(np.cumsum(counts[order]), n_wanted))
    return sorted(ids[order[:n_chosen]].tolist())


def _choose_half_slices(
    provenance: Provenance, *, fraction: float, rng: np.random.Generator
) -> Labelled:
    n = len(provenance["case_id"])
    n_labelled = round(fraction * n)
    if n_labelled < 1:
        raise UserError(
            f"labels.fraction = {fraction}: gives no label among {n} half-slices; at least "
            f"{1 / n:g} gives one"
        )
    chosen = np.sort(rng.permutation(n)[:n_labelled])
    columns = (provenance[name][chosen].tolist() for name in ("case_id", "side", "slice_index"))
    ids = sorted(f"{case}, {side}, {index}" for case, side, index in zip(*columns, strict=True))
    return Labelled("half_slice", ids, np.isin(np.arange(n), chosen))


def _check_has(provenance: Provenance, *names: str) -> None:
    for name in names:
        if name not in provenance:
            raise UserError(
                f"the data set has no train/present/{name}, which says what can be labelled; "
                "docs/add-a-data-set.md has the layout"
            )

"""What a data set of patients must say: whose slices they are, and where in whose volume."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from segtrans.config.refusals import validate
from segtrans.data.store import DOMAINS, FOLDS, Store
from segtrans.errors import UserError
from segtrans.tasks.sides import SIDES, WHOLE

_PLACE = ("case_id", "side", "slice_index")
_LAYOUT = "docs/add-a-data-set.md has the layout"

_Count = Annotated[int, Field(ge=1)]
_Length = Annotated[float, Field(gt=0.0)]


class VolumeFacts(BaseModel):
    """The volumes that slices or half-slices are of, among the parameters of a data set.

    Attributes:
        volume_shape: (X, Y, Z) in voxels: columns, rows and number of slices; half-slices have half
            of X.
        spacing_mm: of its voxels.
        mirror_right: whether right half-slices are stored mirrored.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)
    volume_shape: tuple[_Count, _Count, _Count]
    spacing_mm: tuple[_Length, _Length, _Length]
    mirror_right: bool


def volume_facts(store: Store) -> VolumeFacts:
    """Those of a data set of patients.

    Raises:
        UserError: a parameter is missing or no size; all are named.
    """
    try:
        return validate(VolumeFacts, store.header.parameters, origin=f"{store.path}, parameters")
    except UserError as error:
        raise UserError(f"{error}; tasks of patients need them to be scored; {_LAYOUT}") from None


def check_patients(store: Store) -> None:
    """Check, before a training, all that the scores of patients will need after it.

    Raises:
        UserError: one that names the file, and what is missing or has no place in a volume.
    """
    x, y, z = volume_facts(store).volume_shape
    _, height, width = store.image_shape
    if (x, y) not in ((2 * width, height), (width, height)):
        raise UserError(
            f"{store.path}, parameters: volume_shape = {[x, y, z]}: half-slices are {height} rows "
            f"of {width}, which are of {2 * width} x {height} voxels, or whole slices of {width} x "
            f"{height}; {_LAYOUT}"
        )
    sides = (WHOLE,) if x == width else SIDES
    fold_of: dict[str, str] = {}
    for fold in FOLDS:
        places = [_places(store, fold, domain, sides, n_slices=z) for domain in DOMAINS]
        rows, counts = np.unique(np.concatenate(places), return_counts=True)
        if (counts > 1).any():
            case_id, side, index = rows[counts > 1][0].tolist()
            image = "slice" if side == WHOLE else "half-slice"
            raise UserError(
                f"{store.path}: /{fold} has the {side} {image} {index} of case {case_id} "
                "twice; expected each once, in one domain"
            )
        for case_id in np.unique(rows["case_id"]).tolist():
            if (other := fold_of.setdefault(case_id, fold)) != fold:
                raise UserError(
                    f"{store.path}: case {case_id} is in {other} and in {fold}; expected all its "
                    f"{'slices' if x == width else 'half-slices'} in one fold"
                )


def _places(
    store: Store, fold: str, domain: str, sides: Sequence[str], *, n_slices: int
) -> NDArray[Any]:
    """Case, side and slice of each image of a domain, (N,), as one record each."""
    place, provenance = f"{store.path}: /{fold}/{domain}", store.provenance(fold, domain)
    if missing := [name for name in _PLACE if name not in provenance]:
        raise UserError(f"{place}: has no {', '.join(missing)}; expected one value each; {_LAYOUT}")
    _check_place(place, provenance, sides, n_slices)
    columns = [provenance[name] for name in _PLACE]
    types = [(name, column.dtype) for name, column in zip(_PLACE, columns, strict=True)]
    rows = np.empty(len(columns[0]), dtype=types)
    for name, column in zip(_PLACE, columns, strict=True):
        rows[name] = column
    return rows


def _check_place(
    place: str, provenance: Mapping[str, NDArray[Any]], sides: Sequence[str], n_slices: int
) -> None:
    side, index = provenance["side"], provenance["slice_index"]
    if unknown := sorted(set(side.tolist()) - set(sides)):
        raise UserError(f"{place}/side: holds {unknown[0]!r}; expected {' or '.join(sides)}")
    if index.dtype.kind not in "iu" or not ((index >= 0) & (index < n_slices)).all():
        raise UserError(
            f"{place}/slice_index: expected whole numbers, 0 to {n_slices - 1}, by the volume_shape"
        )

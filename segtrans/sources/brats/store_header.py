"""What data sets of half-slices and of half-volumes say of their patients."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from segtrans.data.store import StoreHeader
from segtrans.errors import UserError
from segtrans.sources.brats.parts import Patient
from segtrans.sources.brats.split_file import SplitFile
from segtrans.sources.scans.case_names import SEQUENCES
from segtrans.sources.scans.cases import PHANTOM
from segtrans.sources.scans.masks import describe_labels


def check_alike(patients: Sequence[Patient]) -> None:
    """Refuse volumes that differ in shape or spacing, or cannot be cut into two halves."""
    first = patients[0]
    for patient in patients:
        for key in ("shape", "spacing_mm"):
            if patient[key] != first[key]:
                raise UserError(
                    f"{patient['case_id']}: {key.removesuffix('_mm')} is {patient[key]}, that of "
                    f"{first['case_id']} is {first[key]}; expected one for all: resample the scans"
                )
        if patient["shape"][0] % 2:
            raise UserError(
                f"{patient['case_id']}: {patient['shape'][0]} columns from right to left; expected "
                "an even number: crop or pad the scans"
            )


def header_of(
    patients: Sequence[Patient],
    split: SplitFile,
    *,
    task: str,
    facts: Mapping[str, Any],
    labels: dict[int, str],
    pathologies: tuple[str, ...] = (),
) -> StoreHeader:
    """The header of a data set of these patients, which are alike.

    Args:
        patients: of all folds.
        split: which of them is in which fold.
        task: its name.
        facts: what else the data follow from, added to the parameters.
        labels: what each value of a mask is.
        pathologies: of each bit of a mask; none where there is a single target.
    """
    conventions = describe_labels({patient["case_id"]: patient["labels"] for patient in patients})
    everything = "".join(patient["sha256"] for patient in patients)
    return StoreHeader(
        task=task,
        channels=SEQUENCES,
        parameters={
            **split.drawn.model_dump(exclude_unset=True),
            **facts,
            "volume_shape": patients[0]["shape"],
            "spacing_mm": patients[0]["spacing_mm"],
            "phantoms": any(patient["case_id"].startswith(PHANTOM) for patient in patients),
        },
        source=f"{split.source.rstrip('.')}; {conventions}.",
        source_sha256=hashlib.sha256(everything.encode()).hexdigest(),
        data_seed=split.drawn.data_seed,
        labels=labels,
        pathologies=pathologies,
    )

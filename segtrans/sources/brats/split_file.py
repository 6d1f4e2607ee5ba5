"""The split file: which case is in which fold. Written by `split`, or by hand; read here alone."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from segtrans.block import Block, Seed
from segtrans.config.refusals import validate
from segtrans.data.store import FOLDS
from segtrans.errors import UserError
from segtrans.sources.scans.cases import CaseFiles

_VERSION = 1


class Drawn(Block):
    """What a split was drawn with; only the seed is needed of one that was written by hand."""

    data_seed: Seed
    valid_fraction: float | None = None
    test_fraction: float | None = None
    rotation: int | None = None


class SplitFile(Block):
    """The content of a split file.

    Attributes:
        version: of this layout.
        source: one sentence on the cases.
        drawn: what the folds were drawn with.
        grades: grade by case id, for who reads the file.
        patients: patient by case id, where a patient has several cases; for who reads the file.
        folds: fold by case id.
    """

    version: Literal[1] = 1
    source: str
    drawn: Drawn
    grades: dict[str, str | None] = Field(default_factory=dict)
    patients: dict[str, str] = Field(default_factory=dict)
    folds: dict[str, Literal["train", "valid", "test"]]


def read_split(file: Path) -> SplitFile:
    """Read a split file.

    Raises:
        UserError: the file is missing or damaged, names a case twice, or has an empty fold.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{file}: no split file ({reason:.200}); write one with `segtrans split`"
        ) from error
    version = content.get("version", _VERSION) if isinstance(content, dict) else _VERSION
    if version != _VERSION:
        raise UserError(
            f"{file}: version = {json.dumps(version)}: this segtrans reads {_VERSION}; write it "
            "anew with `segtrans split`, or take the segtrans that wrote it"
        )
    split = validate(SplitFile, content, origin=str(file))
    for fold in FOLDS:
        if fold not in split.folds.values():
            raise UserError(f"{file}: folds: no case is in {fold}; expected some in each fold")
    return split


def check_patients(split: Path, folds: Mapping[str, str], cases: Iterable[CaseFiles]) -> None:
    """Refuse a split with a patient in two folds.

    Args:
        split: the file, for the error.
        folds: fold by case id.
        cases: those of the split.

    Raises:
        UserError: one that names the patient and both cases.
    """
    first: dict[str, CaseFiles] = {}
    for case in cases:
        other = first.setdefault(case.patient, case)
        if folds[other.case_id] != folds[case.case_id]:
            raise UserError(
                f"{split}: patient {case.patient} is in two folds: {other.case_id} in "
                f"{folds[other.case_id]}, {case.case_id} in {folds[case.case_id]}; put all cases "
                "of a patient in one fold, or split again"
            )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, whose reader would take the last of two equal keys."""
    content = dict(pairs)
    for key in content:
        if sum(key == other for other, _ in pairs) > 1:
            raise ValueError(f"{key} occurs twice")
    return content

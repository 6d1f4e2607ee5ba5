"""The files of a prediction on one case: their names, and what lies in each."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.predict.made import Made, Volumes
from segtrans.predict.several import names_of_each
from segtrans.sources.scans.case_names import SEQUENCES
from segtrans.sources.scans.geometry import Geometry
from segtrans.sources.scans.volumes import Case

Key = tuple[str, str, str]  # kind of file, pathology and sequence; "" where there is one for all

OVERVIEW: Key = ("overview", "", "")
_KINDS = ("mask", "probability", "translation", "without", "residual")
_WORDS = {"mask": "seg"}  # what BraTS calls it
_OF_SEQUENCES = ("translation", "without", "residual")  # a file for each


def file_names(case_id: str, pathologies: tuple[str, ...]) -> dict[Key, str]:
    """All that a prediction may write, by what it is; a baseline writes no translation."""
    keys = [
        (kind, name, sequence)
        for kind in _KINDS
        for name in names_of_each(kind, pathologies)
        for sequence in (SEQUENCES if kind in _OF_SEQUENCES else ("",))
        if name or kind != "without"
    ]
    names = {
        key: "_".join([case_id, _WORDS.get(key[0], key[0]), *filter(None, key[1:])]) + ".nii.gz"
        for key in keys
    }
    return names | {OVERVIEW: f"{case_id}_overview.png"}


def volumes_of(
    case: Case, made: Made, masks: Mapping[str, NDArray[np.uint8]]
) -> Iterator[tuple[Key, Geometry, NDArray[Any]]]:
    """Each volume to be written, and where it lies."""
    for name in masks:
        yield ("mask", name, ""), case.geometry, masks[name]
        yield ("probability", name, ""), case.geometry, made.probabilities[name]
    for kind, name, volumes in _of_sequences(made):
        for sequence, volume in volumes.items():
            yield (kind, name, sequence), case.geometries[sequence], volume


def _of_sequences(made: Made) -> Iterator[tuple[str, str, Volumes]]:
    yield "translation", "", made.translation
    for name, residual in made.residuals.items():
        yield "residual", name, residual
        if name:
            yield "without", name, made.without(name)

"""Samples of a data set of the user's own."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.data.images import read_images
from segtrans.data.store import Store
from segtrans.data.values import is_target
from segtrans.figures.examples import Examples
from segtrans.figures.image_rows import Block, Row, rows_figure

_N_SAMPLES = 8


def draw_samples(store: Store, output: Path) -> None:
    """Draw images to train on: labelled P with their masks, unlabelled P, and A.

    Args:
        store: of the user's own data, which says which images have a mask.
        output: PNG to write.
    """
    has_mask = store.provenance("train", "present")["has_mask"] > 0
    labelled, unlabelled = (_some(np.flatnonzero(of)) for of in (has_mask, ~has_mask))
    absent = _some(np.arange(store.n("train", "absent")))
    n = min(len(labelled), len(absent))  # of columns
    x_P = read_images(store, "train", "present", labelled[:n])
    y = is_target(store.masks("train", labelled[:n])).astype(np.float32)
    examples = Examples(
        x_P, y, read_images(store, "train", "absent", absent[:n]), store.header.channels
    )
    rows = [*examples.rows("presence,\nlabelled", x_P), Row("mask", y)]
    if len(unlabelled) >= n:
        x = read_images(store, "train", "present", unlabelled[:n])
        rows += examples.rows("presence,\nunlabelled", x)
    rows += examples.rows("absence", examples.x_A)
    rows_figure([Block(f"{store.header.parameters['title']}: training images", rows)], output)


def _some(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most eight, evenly drawn: neighbours are often of one scan or scene."""
    places = np.linspace(0, len(indices) - 1, min(_N_SAMPLES, len(indices)))
    return indices[places.round().astype(np.int64)]

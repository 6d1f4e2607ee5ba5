"""From a folder of pictures to a data set: read once, in parallel, in bounded memory.

The result is the same, byte for byte, for any number of processes.
"""

import hashlib
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from segtrans.data.store import DOMAINS, StoreHeader, write_store
from segtrans.data.store_writer import StoreWriter
from segtrans.errors import UserErrors
from segtrans.places import check_space
from segtrans.processors import n_processors
from segtrans.sources.image_folder.faults import faults_together
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.items import share_out
from segtrans.sources.image_folder.parts import Sample, samples_of, shows_of
from segtrans.sources.image_folder.prepared import Prepared, faults_of_folds, read_in_fold
from segtrans.sources.intensity import RANGES
from segtrans.sources.own_folder.columns import Columns, known_of, labels_of
from segtrans.sources.own_folder.folds import is_used
from segtrans.sources.own_folder.names import PRESENT
from segtrans.sources.own_folder.parallel import in_parallel
from segtrans.tasks.image_folder import ImageFolder

# Columns of provenance.
_NOTES = {"name": "S", "group": "S", "row": "int32", "column": "int32"}


def write_image_folder(
    output: Path,
    folder: Path,
    task: ImageFolder,
    name: str,
    *,
    data_seed: int,
    n_processes: int | None = None,
) -> list[Prepared]:
    """Write the data set of a folder of pictures.

    Images are of the files' own 8 or 16 bits where that is exact, else float16. `has_mask` of P
    says which are labelled; the mask of others is `VOID` all over. Of several pathologies there are
    the columns of `segtrans.data.pathologies`, too. `name` and `group` say whose
    image it is, `row` and `column` where in that a part begins, in pixels; -1 of whole images.

    Args:
        output: the HDF5 file; it appears whole or not at all.
        folder: of the pictures.
        task: what they are.
        name: of the task.
        data_seed: of the split, and of where crops lie.
        n_processes: that read; None: one for each processor.

    Returns:
        What became of each picture, in the order of their places.

    Raises:
        UserErrors: what is wrong with pictures, and what folds lack, a line each.
        UserError: the disk is too small for a byte a value.
    """
    items, folds = share_out(folder, task, data_seed=data_seed)
    jobs = [(item, folds[item.group]) for item in items]
    n_used = sum(is_used(item, fold) for item, fold in jobs)
    check_space(output, n_used * len(task.channels) * task.height * task.width)
    place = next(path for path in output.absolute().parents if path.is_dir())
    with TemporaryDirectory(dir=place, prefix=".", suffix=".partial.pictures") as scratch:
        columns = Columns(Path(scratch), task, _NOTES, of_present=known_of(task))
        prepared: list[Prepared] = []
        faults: list[str] = []
        read = partial(_prepare, task=task, data_seed=data_seed)
        for found in in_parallel(read, jobs, n_processes or n_processors()):
            picture, samples = found
            prepared.append(picture)
            faults += picture.facts.faults
            if not faults:
                _append(columns, picture, samples, task)
        faults += faults_together([picture.facts for picture in prepared], task)
        faults += faults_of_folds(prepared, task)
        if faults:
            raise UserErrors(faults)
        header = _header(prepared, folder, task, name, data_seed)
        with write_store(output, header) as writer:
            _write(columns, writer)
    return prepared


def _append(
    columns: Columns, picture: Prepared, samples: Sequence[Sample], task: ImageFolder
) -> None:
    item = picture.item
    for sample in samples:
        mask = None if sample.mask is None else sample.mask[None]
        note: tuple[Any, ...] = (item.name, item.group, *sample.place)
        if item.domain == PRESENT:
            note += (*shows_of(sample, picture.facts, task), *item.is_masked)
        columns.append(picture.fold, item.domain, sample.image[None], mask, [note])


def _write(columns: Columns, writer: StoreWriter) -> None:
    """Whole numbers as they are where all pictures have one such type, else float16."""
    types = columns.types
    dtype = types.pop() if len(types) == 1 else np.dtype(np.float16)
    columns.write(writer, dtype, 1 / RANGES.get(dtype, 1.0))


def _prepare(
    job: tuple[Item, str], *, task: ImageFolder, data_seed: int
) -> tuple[Prepared, list[Sample]]:
    """A picture, with what is wrong with it, and what is stored of it in its fold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files with odd metadata, whose pixels are read
        picture, image, mask = read_in_fold(*job, task, data_seed=data_seed)
    if image is None or not picture.places:
        return picture, []
    return picture, samples_of(image, mask, picture.places, task)


def _header(
    prepared: Sequence[Prepared], folder: Path, task: ImageFolder, name: str, data_seed: int
) -> StoreHeader:
    facts = [
        (picture.item.place, picture.fold, picture.facts.digest, picture.mask_digest)
        + ((picture.facts.shows, picture.item.is_masked) if task.pathologies else ())
        for picture in prepared
    ]
    n_present, n_absent = (
        sum(picture.item.domain == domain for picture in prepared) for domain in DOMAINS
    )
    n_masks = sum(picture.is_labelled for picture in prepared)
    return StoreHeader(
        task=name,
        channels=task.channels,
        parameters={
            "definition": task.model_dump(mode="json"),
            "title": task.title,
            "type": prepared[0].facts.dtype,  # that of all pictures
        },
        source=f"{n_present} present pictures, {n_masks} of them with masks, and {n_absent} absent "
        f"ones, of {folder.name}.",
        source_sha256=hashlib.sha256(repr(facts).encode()).hexdigest(),
        data_seed=data_seed,
        labels=labels_of(task),
        has_void=True,
        pathologies=task.pathologies,
    )

"""From a folder of pictures to a data set: read once, in parallel, in bounded memory.

The result is the same, byte for byte, for any number of processes.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from segtrans.data.store import DOMAINS, FOLDS, StoreHeader, write_store
from segtrans.data.store_writer import StoreWriter
from segtrans.errors import UserError, UserErrors
from segtrans.places import check_space
from segtrans.processors import n_processors
from segtrans.sources.image_folder.facts import Facts, examine
from segtrans.sources.image_folder.faults import faults_together
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.items import find_items
from segtrans.sources.image_folder.parts import WHOLE, Sample, samples_of, shows_of
from segtrans.sources.intensity import RANGES
from segtrans.sources.own_folder.columns import Columns, known_of, labels_of
from segtrans.sources.own_folder.folds import draw_folds, is_used
from segtrans.sources.own_folder.names import PRESENT
from segtrans.sources.own_folder.parallel import in_parallel
from segtrans.tasks.image_folder import ImageFolder

# Columns of provenance.
_NOTES = {"name": "S", "group": "S", "row": "int32", "column": "int32"}


@dataclass(frozen=True)
class Prepared:
    """What became of a picture.

    Attributes:
        facts: of its pixels.
        fold: that it is in.
        mask_digest: of its mask; empty without one.
        n_samples: stored of it; 0 where it has no use or shows too little of the target.
        is_whole: whether it is stored whole.
    """

    facts: Facts
    fold: str
    mask_digest: str
    n_samples: int
    is_whole: bool

    @property
    def item(self) -> Item:
        """What it is."""
        return self.facts.item

    @property
    def is_labelled(self) -> bool:
        """Whether it shows the target, and a mask says where."""
        return self.item.domain == PRESENT and bool(self.item.mask_files)

    def row(self) -> dict[str, Any]:
        """What a report says of it, as plain types."""
        height, width, _ = self.facts.shape or (0, 0, 0)
        return {
            "picture": self.item.place,
            "domain": self.item.domain,
            "fold": self.fold,
            "group": self.item.group,
            "height": height,
            "width": width,
            "type": self.facts.dtype,
            "has_mask": self.is_labelled,
            "target": self.facts.target_fraction if self.is_labelled else None,
            "n_samples": self.n_samples,
            "is_whole": self.is_whole,
            "is_used": is_used(self.item, self.fold),
            "digest": self.facts.digest,
            "shows": self.facts.shows,
            "is_masked": self.item.is_masked,
        }


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
        UserErrors: what is wrong with pictures, a line each.
        UserError: a fold would be empty, or the disk is too small for a byte a value.
    """
    items, _ = find_items(folder, task)
    folds = draw_folds(items, task, data_seed=data_seed)
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
        if faults:
            raise UserErrors(faults)
        _check_kept(prepared)
        _check_taught(prepared, task)
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
    item, fold = job
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files with odd metadata, whose pixels are read
        examined = examine(item, task)
    facts, image, mask = examined.facts, examined.image, examined.mask
    samples = []
    if image is not None and not facts.faults and is_used(item, fold):
        shown = mask if item.domain == PRESENT else None
        try:
            samples = samples_of(item, image, shown, task, data_seed=data_seed)
        except UserError as error:
            facts = replace(facts, faults=(f"{item.files[0]}: {error}",))
    picture = Prepared(
        facts=facts,
        fold=fold,
        mask_digest="" if mask is None else hashlib.sha256(mask.tobytes()).hexdigest(),
        n_samples=len(samples),
        is_whole=any(sample.place == WHOLE for sample in samples),
    )
    return picture, samples


def _check_kept(prepared: Sequence[Prepared]) -> None:
    for fold in FOLDS:
        for domain in DOMAINS:
            of = [p for p in prepared if (p.fold, p.item.domain) == (fold, domain)]
            kept = [p for p in of if p.n_samples and (domain == "absent" or p.is_labelled)]
            if not kept:
                raise UserError(
                    f"fold {fold}: of {len(of)} {domain} pictures none is left whose mask shows "
                    "enough of the target; lower min_target_fraction, or give more masks"
                )


def _check_taught(prepared: Sequence[Prepared], task: ImageFolder) -> None:
    """Refuse data with a pathology that no mask to train on shows."""
    for k, name in enumerate(task.pathologies):
        masked = [p for p in prepared if p.is_labelled and p.item.is_masked[k] and p.n_samples]
        if not any(p.fold == "train" and p.facts.shows[k] == 1 for p in masked):
            n = sum(p.facts.shows[k] == 1 for p in masked)
            raise UserError(
                f"fold train: no mask shows {name}, of which {n} pictures have one; give more, or "
                "lower valid_fraction and test_fraction"
            )


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

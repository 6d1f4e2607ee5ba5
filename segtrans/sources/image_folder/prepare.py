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
from numpy.typing import NDArray
from tqdm import tqdm

from segtrans.data.store import DOMAINS, FOLDS, StoreHeader, write_store
from segtrans.data.store_writer import StoreWriter
from segtrans.data.values import BINARY
from segtrans.errors import UserError, UserErrors
from segtrans.places import check_space
from segtrans.processors import n_processors
from segtrans.sources.image_folder.facts import Facts, examine
from segtrans.sources.image_folder.faults import faults_together
from segtrans.sources.image_folder.intensities import RANGES
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.items import find_items
from segtrans.sources.image_folder.parts import WHOLE, Sample, samples_of
from segtrans.sources.image_folder.spool import Spool
from segtrans.sources.own_folder.folds import draw_folds, is_used
from segtrans.sources.own_folder.names import PRESENT
from segtrans.sources.own_folder.parallel import in_parallel
from segtrans.tasks.base import VOID
from segtrans.tasks.image_folder import ImageFolder


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

    def row(self) -> dict[str, Any]:
        """What a report says of it, as plain types."""
        has_mask = self.item.domain == PRESENT and self.item.mask is not None
        height, width, _ = self.facts.shape or (0, 0, 0)
        return {
            "picture": self.item.place,
            "domain": self.item.domain,
            "fold": self.fold,
            "group": self.item.group,
            "height": height,
            "width": width,
            "type": self.facts.dtype,
            "has_mask": has_mask,
            "target": self.facts.target_fraction if has_mask else None,
            "n_samples": self.n_samples,
            "is_whole": self.is_whole,
            "is_used": is_used(self.item, self.fold),
            "digest": self.facts.digest,
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
    says which are labelled; the mask of others is `VOID` all over. `name` and `group` say whose
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
        columns = _Columns(Path(scratch), task)
        prepared: list[Prepared] = []
        faults: list[str] = []
        read = partial(_prepare, task=task, data_seed=data_seed)
        for found in in_parallel(read, jobs, n_processes or n_processors()):
            picture, samples = found
            prepared.append(picture)
            faults += picture.facts.faults
            if not faults:
                columns.append(picture, samples)
        faults += faults_together([picture.facts for picture in prepared], task)
        if faults:
            raise UserErrors(faults)
        _check_kept(prepared)
        header = _header(prepared, folder, task, name, data_seed)
        with write_store(output, header) as writer:
            columns.write(writer)
    return prepared


class _Columns:
    """Images, masks and provenance by fold and domain."""

    def __init__(self, scratch: Path, task: ImageFolder) -> None:
        size, keys = (task.height, task.width), [(f, d) for f in FOLDS for d in DOMAINS]
        n = len(task.channels)
        self._images = {key: Spool(scratch / "_".join((*key, "image")), (n, *size)) for key in keys}
        self._masks = {fold: Spool(scratch / f"{fold}_mask", size) for fold in FOLDS}
        self._notes: dict[tuple[str, str], list[tuple[Any, ...]]] = {key: [] for key in keys}
        self._void = np.full((1, *size), VOID, np.uint8)

    def append(self, picture: Prepared, samples: Sequence[Sample]) -> None:
        item = picture.item
        key = picture.fold, item.domain
        for sample in samples:
            self._images[key].append(sample.image[None])
            if item.domain == PRESENT:
                mask = self._void if sample.mask is None else sample.mask[None]
                self._masks[picture.fold].append(mask)
            has_mask = sample.mask is not None
            self._notes[key].append((item.name, item.group, *sample.place, has_mask))

    def write(self, writer: StoreWriter) -> None:
        types = {found for spool in self._images.values() for found in spool.types}
        dtype: np.dtype[Any] = types.pop() if len(types) == 1 else np.dtype(np.float16)
        scale = 1 / RANGES.get(dtype, 1.0)
        for key, images in self._images.items():
            dataset = writer.add(*key, "image", shape=images.shape, dtype=dtype, scale=scale)
            for block in tqdm(images.blocks(dtype), " ".join(key), disable=None):
                dataset.append(block)
            if key[1] == PRESENT:
                masks = self._masks[key[0]]
                dataset = writer.add(*key, "mask", shape=masks.shape, dtype=np.uint8)
                for block in masks.blocks(np.uint8):
                    dataset.append(block)
            self._write_notes(writer, key)

    def _write_notes(self, writer: StoreWriter, key: tuple[str, str]) -> None:
        names, groups, rows, columns, has_mask = zip(*self._notes[key], strict=True)
        notes: dict[str, NDArray[Any]] = {
            "name": np.char.encode(names, "utf-8"),
            "group": np.char.encode(groups, "utf-8"),
            "row": np.array(rows, np.int32),
            "column": np.array(columns, np.int32),
        }
        if key[1] == PRESENT:
            notes["has_mask"] = np.array(has_mask, np.uint8)
        for name, values in notes.items():
            writer.add(*key, name, shape=values.shape, dtype=values.dtype).append(values)


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
            kept = [p for p in of if p.n_samples and (domain == "absent" or p.item.mask)]
            if not kept:
                raise UserError(
                    f"fold {fold}: of {len(of)} {domain} pictures none is left whose mask shows "
                    "enough of the target; lower min_target_fraction, or give more masks"
                )


def _header(
    prepared: Sequence[Prepared], folder: Path, task: ImageFolder, name: str, data_seed: int
) -> StoreHeader:
    facts = [
        (picture.item.place, picture.fold, picture.facts.digest, picture.mask_digest)
        for picture in prepared
    ]
    n_present, n_absent = (
        sum(picture.item.domain == domain for picture in prepared) for domain in DOMAINS
    )
    n_masks = sum(p.item.domain == PRESENT and p.item.mask is not None for p in prepared)
    labels = {0: "background"} | {value: key for key, value in task.classes.items()}
    return StoreHeader(
        task=name,
        channels=task.channels,
        parameters={"definition": task.model_dump(mode="json"), "title": task.title},
        source=f"{n_present} present pictures, {n_masks} of them with masks, and {n_absent} absent "
        f"ones, of {folder.name}.",
        source_sha256=hashlib.sha256(repr(facts).encode()).hexdigest(),
        data_seed=data_seed,
        labels=labels if len(task.classes) > 1 else BINARY | {1: next(iter(task.classes))},
        has_void=True,
    )

"""From a folder of pictures to a data set: read once, in parallel, in bounded memory.

The result is the same, byte for byte, for any number of processes.
"""

import hashlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
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
from segtrans.data.values import BINARY, is_target
from segtrans.digests import file_sha256
from segtrans.errors import UserError, UserErrors
from segtrans.sources.image_folder.folds import draw_folds, is_used
from segtrans.sources.image_folder.intensities import RANGES
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.items import find_items
from segtrans.sources.image_folder.parts import WHOLE, Sample, samples_of
from segtrans.sources.image_folder.reading import read_image, read_mask
from segtrans.sources.image_folder.spool import Spool
from segtrans.tasks.base import VOID
from segtrans.tasks.image_folder import ImageFolder

_ITEMS_AT_ONCE = 8  # that a process is given
_WAITING = 4  # of these for each process, so that memory is bounded


@dataclass(frozen=True)
class Prepared:
    """What became of a picture.

    Attributes:
        item: what it is, with its fold.
        shape: (H, W) of its file.
        dtype: of its file.
        sha256: of its files, in turn, and its mask's.
        target: share of its mask that shows the target; None without one.
        n_samples: stored of it; 0 where it has no use or shows too little of the target.
        is_whole: whether it is stored whole.
    """

    item: Item
    shape: tuple[int, int]
    dtype: str
    sha256: tuple[str, ...]
    target: float | None
    n_samples: int
    is_whole: bool

    @property
    def fold(self) -> str:
        """That it is in."""
        return str(self.item.fold)

    def facts(self) -> dict[str, Any]:
        """What a report says of it, as plain types."""
        has_mask = self.item.domain == "present" and self.item.mask is not None
        return {
            "picture": self.item.place,
            "domain": self.item.domain,
            "fold": self.fold,
            "group": self.item.group,
            "height": self.shape[0],
            "width": self.shape[1],
            "type": self.dtype,
            "has_mask": has_mask,
            "target": self.target if has_mask else None,
            "n_samples": self.n_samples,
            "is_whole": self.is_whole,
            "is_used": is_used(self.item, self.fold),
            "sha256": self.sha256[0],
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
        UserError: a fold would be empty.
    """
    items, _ = find_items(folder, task)
    folds = draw_folds(items, task, data_seed=data_seed)
    items = [replace(item, fold=folds[item.group]) for item in items]
    place = next(path for path in output.absolute().parents if path.is_dir())
    with TemporaryDirectory(dir=place, prefix=".", suffix=".partial.pictures") as scratch:
        columns = _Columns(Path(scratch), task)
        prepared = []
        faults: list[str] = []
        read = partial(_prepare, task=task, data_seed=data_seed)
        for found in _in_parallel(read, items, n_processes or _n_processors()):
            if isinstance(found, str):
                faults.append(found)
                continue
            picture, samples = found
            prepared.append(picture)
            if not faults:
                columns.append(picture, samples)
        faults += _same_pictures(prepared)
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
            if item.domain == "present":
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
            if key[1] == "present":
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
        if key[1] == "present":
            notes["has_mask"] = np.array(has_mask, np.uint8)
        for name, values in notes.items():
            writer.add(*key, name, shape=values.shape, dtype=values.dtype).append(values)


def _prepare(
    item: Item, *, task: ImageFolder, data_seed: int
) -> tuple[Prepared, list[Sample]] | str:
    """A picture and what is stored of it, or what is wrong with it."""
    try:
        image, mask = read_image(item.files, task.channels), None
        if item.mask is not None:
            mask = read_mask(item.mask, task)
        samples = []
        if is_used(item, str(item.fold)):
            shown = mask if item.domain == "present" else None
            samples = samples_of(item, image, shown, task, data_seed=data_seed)
    except UserError as error:
        return str(error)
    picture = Prepared(
        item=item,
        shape=image.shape[:2],
        dtype=str(image.dtype),
        sha256=tuple(file_sha256(p) for p in (*item.files, *([item.mask] if item.mask else []))),
        target=None if mask is None else float(is_target(mask).mean()),
        n_samples=len(samples),
        is_whole=any(sample.place == WHOLE for sample in samples),
    )
    return picture, samples


def _in_parallel(read: Any, items: Sequence[Item], n_processes: int) -> Iterator[Any]:
    """`read` of each item, in order; no more is read ahead than a few items for each process."""
    bar = tqdm(total=len(items), unit="picture", disable=None)
    if n_processes == 1:
        for item in items:
            yield read(item)
            bar.update()
        return
    blocks = [items[n : n + _ITEMS_AT_ONCE] for n in range(0, len(items), _ITEMS_AT_ONCE)]
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        waiting: deque[Future[list[Any]]] = deque()
        for block in [*blocks, *[None] * (n_processes * _WAITING)]:
            if block is not None:
                waiting.append(pool.submit(_each, read, block))
            if waiting and (block is None or len(waiting) >= n_processes * _WAITING):
                for result in waiting.popleft().result():
                    yield result
                    bar.update()


def _each(read: Any, items: Sequence[Item]) -> list[Any]:
    return [read(item) for item in items]


def _n_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _same_pictures(prepared: Sequence[Prepared]) -> Iterator[str]:
    """Pictures that are there twice, to the byte, where that makes training or scores untrue."""
    first: dict[tuple[str, ...], Prepared] = {}
    for picture in prepared:
        of_files = picture.sha256[: len(picture.item.files)]
        other = first.setdefault(of_files, picture)
        places = f"{other.item.place} and {picture.item.place} are the same picture"
        if other.item.domain != picture.item.domain:
            yield f"{places}, present and absent; keep one"
        elif other.fold != picture.fold:
            yield f"{places}, in folds {other.fold} and {picture.fold}; keep one, or group them"


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
    facts = [(picture.item.place, picture.fold, picture.sha256) for picture in prepared]
    n_present, n_absent = (
        sum(picture.item.domain == domain for picture in prepared) for domain in DOMAINS
    )
    n_masks = sum(p.item.domain == "present" and p.item.mask is not None for p in prepared)
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

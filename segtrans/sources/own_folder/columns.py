"""What becomes of a folder's images in a data set: images, masks and provenance of each domain."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from tqdm import tqdm

from segtrans.data.beside import NEITHER
from segtrans.data.pathologies import bit_labels
from segtrans.data.store import DOMAINS, FOLDS
from segtrans.data.store_writer import StoreWriter
from segtrans.data.values import BINARY
from segtrans.sources.own_folder.names import PRESENT
from segtrans.sources.own_folder.spool import Spool
from segtrans.tasks.base import VOID
from segtrans.tasks.own_folder import OwnFolder

_TEXT = "S"  # of any length, as bytes


class Columns:
    """Images that wait on the disk until all are read, by fold and domain.

    Args:
        scratch: folder where they wait.
        task: has their size, and the number of channels.
        notes: type of each column of provenance by name, `S` for text; `has_mask` comes by itself.
        of_present: of columns that only P images have, behind those.
        has_neighbours: whether images of neither domain are wanted too, as neighbours of others.
    """

    def __init__(
        self,
        scratch: Path,
        task: OwnFolder,
        notes: Mapping[str, DTypeLike],
        *,
        of_present: Mapping[str, DTypeLike] | None = None,
        has_neighbours: bool = False,
    ) -> None:
        self._size, self._types = (task.height, task.width), notes
        self._of_present = of_present or {}
        shape = (len(task.channels), *self._size)
        domains = (*DOMAINS, NEITHER) if has_neighbours else DOMAINS
        keys = [(fold, domain) for fold in FOLDS for domain in domains]
        self._is_kept: dict[tuple[str, str], NDArray[np.bool_]] = {}
        self._images = {key: Spool(scratch / "_".join((*key, "image")), shape) for key in keys}
        self._masks = {fold: Spool(scratch / f"{fold}_mask", self._size) for fold in FOLDS}
        self._notes: dict[tuple[str, str], list[Sequence[Any]]] = {key: [] for key in keys}
        self._has_mask: dict[str, list[bool]] = {fold: [] for fold in FOLDS}

    @property
    def types(self) -> set[np.dtype[Any]]:
        """Types that images have."""
        return {found for spool in self._images.values() for found in spool.types}

    def append(
        self,
        fold: str,
        domain: str,
        images: NDArray[Any],
        mask: NDArray[np.uint8] | None,
        notes: Iterable[Sequence[Any]],
    ) -> None:
        """Add images (n, C, H, W) of one type, their masks (n, H, W) if they are P, and notes."""
        n = len(images)
        self._images[fold, domain].append(images)
        self._notes[fold, domain] += notes
        if domain == PRESENT:
            void = np.full((n, *self._size), VOID, np.uint8)
            self._masks[fold].append(void if mask is None else mask)
            self._has_mask[fold] += [mask is not None] * n

    def keep(self, fold: str, domain: str, is_kept: NDArray[np.bool_]) -> None:
        """Of the images (n,) of a domain write these alone; the others are of neither domain."""
        self._is_kept[fold, domain] = is_kept

    def write(self, writer: StoreWriter, dtype: DTypeLike, scale: float) -> None:
        """Write all; `scale` is the intensity of one stored unit."""
        for fold, domain in self._images:
            key, parts = (fold, domain), self._parts(fold, domain)
            n = sum(int(is_chosen.sum()) for _, is_chosen in parts)
            if domain == NEITHER and n == 0:
                continue
            shape = (n, *self._images[key].shape[1:])
            dataset = writer.add(*key, "image", shape=shape, dtype=dtype, scale=scale)
            for place, is_chosen in parts:
                start = 0
                for block in tqdm(self._images[place].blocks(dtype), " ".join(key), disable=None):
                    dataset.append(block[is_chosen[start : start + len(block)]])
                    start += len(block)
            rows = [row for place, chosen in parts for row in compress(self._notes[place], chosen)]
            types = {**self._types, **(self._of_present if domain == PRESENT else {})}
            notes = {
                name: _column(values, kind)
                for (name, kind), values in zip(types.items(), zip(*rows, strict=True), strict=True)
            }
            if domain == PRESENT:
                masks = self._masks[fold]
                dataset = writer.add(*key, "mask", shape=masks.shape, dtype=np.uint8)
                for block in masks.blocks(np.uint8):
                    dataset.append(block)
                notes["has_mask"] = np.array(self._has_mask[fold], np.uint8)
            for name, values in notes.items():
                writer.add(*key, name, shape=values.shape, dtype=values.dtype).append(values)

    def _parts(self, fold: str, domain: str) -> list[tuple[tuple[str, str], NDArray[np.bool_]]]:
        """Where the images of a domain wait, and which of those there."""
        key = (fold, domain)
        every = np.ones(len(self._images[key]), np.bool_)
        parts = [(key, self._is_kept.get(key, every))]
        if domain == NEITHER:
            parts += [(of, ~kept) for of, kept in self._is_kept.items() if of[0] == fold]
        return parts


def known_of(task: OwnFolder) -> dict[str, str]:
    """Columns of what is known of several pathologies: `segtrans.data.pathologies` has them."""
    kinds = ("shows", "has_mask")
    return {f"{kind}_{name}": "uint8" for kind in kinds for name in task.pathologies}


def labels_of(task: OwnFolder) -> dict[int, str]:
    """What each value of a mask means."""
    if task.pathologies:
        return bit_labels(task.pathologies)
    named = {value: name for name, value in task.classes.items()}
    return (BINARY if len(named) == 1 else {0: "background"}) | named


def _column(values: Sequence[Any], kind: DTypeLike) -> NDArray[Any]:
    return np.char.encode(values, "utf-8") if kind == _TEXT else np.array(values, kind)

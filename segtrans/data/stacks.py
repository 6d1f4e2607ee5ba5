"""Slices with their neighbours, from a store that holds every slice once. Imports no torch.

A stack is a slice and r slices on either side of it, in the order of the axis, as channels: C of
the first slice, then C of the next. Where a volume ends, its last slice is repeated. Neighbours are
the true ones, also those that are of neither domain: if these were left out, a repeated slice would
tell that the target is near.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.data.beside import NEITHER
from segtrans.data.images import read_stored
from segtrans.data.store import DOMAINS, Store
from segtrans.errors import UserError

Indices = NDArray[np.int64]


class Stacks:
    """The stacks of one domain of a fold; with r = 0 they are its images.

    Args:
        store: the data set.
        fold: of it.
        domain: of the middle slices.
        neighbours: r.

    Attributes:
        parts: domains that slices of these stacks are in; all their images, one domain after the
            other, are a pool in which a slice has a place.
        n_pool: images of the pool.

    Raises:
        UserError: the data set holds fewer neighbours.
    """

    def __init__(self, store: Store, fold: str, domain: str, neighbours: int) -> None:
        self._store, self._fold, self._domain = store, fold, domain
        held = int(store.header.parameters.get("neighbours", 0))
        if neighbours > held:
            raise UserError(
                f"{store.path}: holds {held} neighbours of each image, networks.neighbours = "
                f"{neighbours} needs as many; make it again with neighbours: {neighbours}"
            )
        self.parts: tuple[str, ...] = (domain,)
        if neighbours:
            has_others = store.has_neither(fold)
            self.parts = (*DOMAINS, NEITHER) if has_others else DOMAINS
        sizes = [store.n(fold, part) for part in self.parts]
        self._starts = np.cumsum([0, *sizes])
        self.n_pool = int(self._starts[-1])
        self._table = self._find(neighbours) if neighbours else None

    def places(self, indices: Indices) -> Indices:
        """Places in the pool of all slices of some stacks, (n, 2r + 1)."""
        return indices[:, None] if self._table is None else self._table[indices]

    def read_pool(self, places: Indices) -> NDArray[Any]:
        """Images (n, C, H, W) of the pool as stored, all of their values finite.

        Raises:
            UserError: as `segtrans.data.images.read_stored`.
        """
        if len(self.parts) == 1:
            return read_stored(self._store, self._fold, self._domain, places)
        none = read_stored(self._store, self._fold, self._domain, places[:0])
        images = np.empty((len(places), *none.shape[1:]), none.dtype)
        of_part = np.searchsorted(self._starts, places, side="right") - 1
        for number in np.unique(of_part).tolist():
            chosen = np.flatnonzero(of_part == number)
            at = places[chosen] - self._starts[number]
            images[chosen] = read_stored(self._store, self._fold, self.parts[number], at)
        return images

    def read(self, indices: Indices) -> NDArray[np.float32]:
        """Stacks (n, (2r + 1) C, H, W) float32 as networks see them: clipped to [-1, 1]."""
        places, at = np.unique(self.places(indices), return_inverse=True)
        stored = self.read_pool(places).astype(np.float32)
        images = stored * np.float32(self._store.scale(self._fold, self._domain))
        stacks: NDArray[np.float32] = images.clip(-1, 1)[at.reshape(len(indices), -1)]
        return stacks.reshape(len(indices), -1, *images.shape[2:])

    def _find(self, neighbours: int) -> Indices:
        """The place of every slice of every stack, (N, 2r + 1)."""
        scales = {self._store.scale(self._fold, part) for part in self.parts}
        if len(scales) > 1:
            raise UserError(f"{self._store.path}: /{self._fold}: the domains differ in scale")
        slices = {part: self._slices(part) for part in self.parts}
        rows = (row for part in self.parts for row in slices[part])
        place_of = {row: place for place, row in enumerate(rows)}
        own = slices[self._domain]
        table = np.empty((len(own), 2 * neighbours + 1), np.int64)
        for line, (case_id, side, index) in zip(table, own, strict=True):
            line[neighbours] = place_of[case_id, side, index]
            for step in (-1, 1):
                place = line[neighbours]
                for distance in range(1, neighbours + 1):
                    place = place_of.get((case_id, side, index + step * distance), place)
                    line[neighbours + step * distance] = place
        return table

    def _slices(self, part: str) -> list[tuple[str, str, int]]:
        """Case, side and place along the axis of each image of a domain."""
        noted = self._store.provenance(self._fold, part)
        columns = (noted[name].tolist() for name in ("case_id", "side", "slice_index"))
        return list(zip(*columns, strict=True))

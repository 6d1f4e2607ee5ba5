"""Writes the datasets of a data set's file, and lets nothing in that may not stand there."""

from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike

from segtrans.data.chunks import ChunkWriter, chunk_shape
from segtrans.data.values import check_count, check_images, check_name, check_scale


class StoreWriter:
    """Writes the datasets of one file; `write_store` gives one."""

    def __init__(self, file: Any, path: Path, check_masks: partial[None]) -> None:
        self._file, self._path, self._check_masks = file, path, check_masks
        self._datasets: list[ChunkWriter] = []

    def add(
        self,
        fold: str,
        domain: str,
        name: str,
        *,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        scale: float | None = None,
    ) -> ChunkWriter:
        """Create `/<fold>/<domain>/<name>` of (N, ...) samples, to be filled by `append`.

        Args:
            fold: of FOLDS.
            domain: of DOMAINS.
            name: image, mask, or the name of a provenance.
            shape: all N samples together.
            dtype: stored type.
            scale: intensity of one stored unit; for `image`.

        Raises:
            UserError: the name is a column of scores, there is no sample, or `image` has no scale
                above 0; from `append`: a mask has a value without a meaning, or an image one that
                is no number.
        """
        place = f"{self._path}: /{fold}/{domain}/{name}"
        check_name(name, place=place)
        check_count(shape[0], place=place)
        check = None
        if name == "image":
            check_scale(scale, place=place)
            check = partial(check_images, place=place)
        elif name == "mask":
            check = partial(self._check_masks, place=place)
        dataset = self._file.create_dataset(
            f"{fold}/{domain}/{name}",
            shape=shape,
            dtype=dtype,
            chunks=chunk_shape(shape, dtype),
            compression="gzip",
            track_times=False,
        )
        if scale is not None:
            dataset.attrs["scale"] = scale
        self._datasets.append(ChunkWriter(dataset, check))
        return self._datasets[-1]

    def finish(self) -> None:
        """Write what is left; raises ValueError when a dataset did not get all of its samples."""
        for dataset in self._datasets:
            dataset.finish()

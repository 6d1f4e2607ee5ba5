"""One scan as networks see it: slices of one axis, spacing and size; and back to where it lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.data.values import is_target
from segtrans.errors import UserError
from segtrans.sources.scan_folder.item import ScanFiles
from segtrans.sources.scan_folder.labels import classes_of
from segtrans.sources.scan_folder.levels import Levels, content_of, levels_of, stored_scale
from segtrans.sources.scan_folder.plane import (
    Resampling,
    Window,
    to_slices,
    to_volume,
    windows_of,
)
from segtrans.sources.scan_folder.reading import read_headers, read_volume, read_volumes
from segtrans.sources.scans.geometry import Geometry, check_same_place
from segtrans.tasks.scan_folder import ScanFolder

__all__ = ["Scan", "read_headers", "read_scan", "stored_scale"]


@dataclass(frozen=True)
class Scan:
    """A scan in memory, and its slices, in order along the axis of the LPS orientation.

    Attributes:
        files: where it comes from.
        task: that it was read for.
        volumes: (X, Y, Z) in LPS orientation by channel, as stored.
        geometry: where they lie.
        own_content: (X, Y, Z), what is not background.
        levels: of each channel.
        images: (n, C, H, W) float16 by side, one of `task.sides`: z-scores or intensities;
            `stored_scale` makes what networks see of them. Right halves are mirrored.
        content: (n, H, W) by side, what is not background.
        resampling: between the scan's own slices and those.
        windows: of each side.
        notes: what was guessed or chosen, a sentence each.
    """

    files: ScanFiles
    task: ScanFolder
    volumes: dict[str, NDArray[Any]]
    geometry: Geometry
    own_content: NDArray[np.bool_]
    levels: dict[str, Levels]
    images: dict[str, NDArray[np.float16]]
    content: dict[str, NDArray[np.bool_]]
    resampling: Resampling
    windows: dict[str, Window]
    notes: tuple[str, ...]

    @property
    def n_slices(self) -> int:
        """Number of slices, at the spacing of the images."""
        return self.resampling.shape[0]

    @property
    def slice_numbers(self) -> NDArray[np.int64]:
        """(n,), the scan's own slice nearest to each, from 1 in the order of its first file."""
        index = self.resampling.own_index()
        is_backwards = self.geometry.counts_backwards(self.task.lps_axes[2])
        return self.resampling.own[0] - index if is_backwards else index + 1

    def masks(self, path: Path, k: int | None = None) -> dict[str, NDArray[np.uint8]]:
        """A mask of the scan, each pixel that of the nearest voxel.

        Args:
            path: NIfTI of the scan's place, its voxels in any order.
            k: the one of several pathologies that it is of; None: of all classes.

        Returns:
            (n, H, W) by side: 0 background, the values of the task's classes, or bits of several
            pathologies, `VOID` where it does not count.

        Raises:
            UserError: it cannot be read, lies elsewhere, has other values, or shows the target
                where images have no room for it.
        """
        volume = read_volume(path)
        first = next(iter(self.files.channels.values()))
        check_same_place(self.geometry, volume.geometry, of=first, path=path)
        classes = classes_of(volume.voxels, path, self.task, k)
        slices = to_slices(classes, self.task.lps_axes)
        resampled = self.resampling.forth(slices, order=0)
        cut = {side: window.cut(resampled, fill=0) for side, window in self.windows.items()}
        self._check_whole(resampled, path)
        return cut

    def _check_whole(self, mask: NDArray[np.uint8], path: Path) -> None:
        """Refuse a mask (n, rows, columns) whose target lies beyond the images."""
        seen = np.zeros(mask.shape, np.bool_)
        for side, window in self.windows.items():
            window.paste(np.ones_like(self.content[side]), seen)
        shows = is_target(mask)
        if lost := int(np.count_nonzero(shows & ~seen)):
            raise UserError(
                f"{path}: {lost / np.count_nonzero(shows):.0%} of the target lies in background "
                "that is cut off; mend the mask, or make height and width larger"
            )

    def put_back(self, values: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """What was made of the images in the scan's own voxels; 0 in the background.

        Linear where the scan was resampled, and only between what is not background.

        Args:
            values: (n, H, W) by side.

        Returns:
            (X, Y, Z) in LPS orientation, for `geometry.save`.
        """
        placed, weights = (np.zeros(self.resampling.shape, np.float32) for _ in range(2))
        for side, window in self.windows.items():
            is_content = self.content[side].astype(np.float32)
            window.paste(values[side] * is_content, placed)
            window.paste(is_content, weights)
        own, weight = (self.resampling.back(volume) for volume in (placed, weights))
        if not self.resampling.is_exact:
            own = np.divide(own, weight, out=np.zeros_like(own), where=weight > 0)
        is_own = to_slices(self.own_content, self.task.lps_axes)
        return to_volume(own * is_own, self.task.lps_axes)


def read_scan(
    files: ScanFiles, task: ScanFolder, *, spacing_mm: tuple[float, float, float]
) -> Scan:
    """Read a scan, resample it and cut it into images.

    Args:
        files: of the task's channels.
        task: what images are.
        spacing_mm: of columns, rows and slices.

    Raises:
        UserError: names the file or the case: it cannot be read, channels lie at several places,
            there is nothing but background, or more of it than images have room for.
    """
    read = read_volumes(files)
    volumes = {name: volume.voxels for name, volume in read.items()}
    geometry = next(iter(read.values())).geometry
    own_content, notes = content_of(volumes, task)
    levels = levels_of(volumes, own_content, task.intensity, case_id=files.case_id)
    axes = task.lps_axes
    own_mm = [geometry.spacing_mm[axis] for axis in axes]
    content = to_slices(own_content, axes)
    resampling = Resampling.between(content.shape, own_mm[::-1], spacing_mm[::-1])
    if not resampling.is_exact:
        content = resampling.forth(content.astype(np.float32), order=1) >= np.float32(0.5)
    windows = windows_of(content, task, case_id=files.case_id)
    shape = (resampling.shape[0], len(volumes), task.height, task.width)
    images = {side: np.empty(shape, np.float16) for side in windows}
    for channel, (name, volume) in enumerate(volumes.items()):
        level = levels[name]
        stored = resampling.forth(to_slices(level.apply(volume, own_content), axes), order=1)
        if not resampling.is_exact:
            stored[~content] = level.outside
        for side, window in windows.items():
            images[side][:, channel] = window.cut(stored, fill=level.outside)
    of_sides = {side: window.cut(content, fill=False) for side, window in windows.items()}
    said = {note: None for volume in read.values() for note in volume.notes} | dict.fromkeys(notes)
    return Scan(
        files, task, volumes, geometry, own_content, levels, images, of_sides, resampling, windows,
        tuple(said),
    )  # fmt: skip

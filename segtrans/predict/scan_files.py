"""What a run makes of a scan, and what is written of it, in the scan's own voxels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from segtrans.data.beside import beside
from segtrans.predict.overview import Drawn, overview_figure
from segtrans.predict.picture_stream import BATCH_SIZE, Networks
from segtrans.predict.written import Record
from segtrans.sources.scan_folder.plane import to_slices
from segtrans.sources.scan_folder.scan import Scan, stored_scale

KINDS = ("mask", "probability", "translation", "residual", "overview")

_BY_SIDE_AND_CORNER = 3  # neighbours in a volume, as lesions are scored

Volumes = dict[str, NDArray[np.float32]]


class ScanRecord(Record):
    """One scan, by what it is called.

    Attributes:
        max_probability: of the target, over all voxels.
        volume_ml: what is segmented.
        volumes_ml: of each class, where there are several.
        n_components: connected parts of it.
    """

    max_probability: float
    volume_ml: float
    volumes_ml: dict[str, float]
    n_components: int

    columns: ClassVar[tuple[str, ...]] = ("case", "max_probability", "volume_ml", "n_components")

    def row(self) -> dict[str, str]:
        """As `Record.row`."""
        of_classes = {f"volume_ml_{name}": f"{ml:.4f}" for name, ml in self.volumes_ml.items()}
        return {
            "case": self.image,
            "max_probability": f"{self.max_probability:.6f}",
            "volume_ml": f"{self.volume_ml:.4f}",
            **of_classes,
            "n_components": str(self.n_components),
        }


@dataclass(frozen=True)
class ScanPrediction:
    """What a run makes of a scan; all (X, Y, Z) in LPS orientation.

    Attributes:
        scan: as it was read.
        probability: float32, of the target, whatever its class, in [0, 1]; 0 in the background.
        mask: uint8, 0 and the values of the task's classes.
        translation: float32 by channel, the scan without the target, in its own units; the
            background is the scan's. Empty where it is not made.
        residual: likewise, what was taken out; 0 in the background.
    """

    scan: Scan
    probability: NDArray[np.float32]
    mask: NDArray[np.uint8]
    translation: Volumes
    residual: Volumes

    def record(self, sources: tuple[str, ...]) -> ScanRecord:
        """What the table says of it.

        Args:
            sources: SHA-256 of the scan's files.
        """
        task = self.scan.task
        ml = float(np.prod(self.scan.geometry.spacing_mm)) / 1000
        volumes = {}
        if task.n_classes > 1:
            volumes = {
                name: int(np.count_nonzero(self.mask == k)) * ml for name, k in task.classes.items()
            }
        _, n_components = label(self.mask > 0, return_num=True, connectivity=_BY_SIDE_AND_CORNER)
        return ScanRecord(
            image=self.scan.files.case_id,
            sources=sources,
            files={},
            max_probability=float(self.probability.max()),
            volume_ml=int(np.count_nonzero(self.mask)) * ml,
            volumes_ml=volumes,
            n_components=int(n_components),
        )


def predict_scan(
    scan: Scan, networks: Networks, *, threshold: float, neighbours: int = 0
) -> ScanPrediction:
    """Run a method on all slices of a scan that are not background alone.

    Args:
        scan: as it was read for the run's task.
        networks: of the run.
        threshold: probability above which a voxel is segmented.
        neighbours: slices on either side of each that the networks see with it.
    """
    maps = {side: _maps(scan, side, networks, neighbours) for side in scan.images}
    classes = {side: of_side[0] for side, of_side in maps.items()}
    n_maps = next(iter(classes.values())).shape[1]
    of_target = {
        side: found[:, 0] if n_maps == 1 else 1 - found[:, 0] for side, found in classes.items()
    }
    probability = scan.put_back(of_target)
    mask = (probability > threshold).astype(np.uint8)
    if n_maps > 1:
        mask *= _likeliest_class(scan, classes, n_maps)
    translation: Volumes = {}
    residual: Volumes = {}
    if networks.with_translation:
        for channel, (name, volume) in enumerate(scan.volumes.items()):
            without, taken = (
                {side: of_side[k][:, channel] for side, of_side in maps.items()} for k in (1, 2)
            )
            values = _own_values(scan, name, without, is_difference=False)
            translation[name] = np.where(scan.own_content, values, volume.astype(np.float32))
            residual[name] = _own_values(scan, name, taken, is_difference=True)
    return ScanPrediction(scan, probability, mask, translation, residual)


def names_of(case_id: str, channels: tuple[str, ...], kind: str) -> list[str]:
    """The files of one kind, as paths below the output: one, or one for each channel."""
    if kind == "overview":
        return [f"{kind}/{case_id}.png"]
    if kind in ("mask", "probability") or len(channels) == 1:
        return [f"{kind}/{case_id}.nii.gz"]
    return [f"{kind}/{case_id}_{channel}.nii.gz" for channel in channels]


def encoded(
    kind: str, predicted: ScanPrediction, *, title: str, doubts: tuple[str, ...]
) -> Iterator[tuple[str, bytes]]:
    """Path below the output and content of each file of one kind.

    Args:
        kind: one of `KINDS`.
        predicted: with what the kind needs.
        title: of the overview.
        doubts: written below it.
    """
    scan = predicted.scan
    names = names_of(scan.files.case_id, tuple(scan.volumes), kind)
    if kind == "overview":
        yield names[0], _overview(predicted, title, doubts)
    elif kind in ("mask", "probability"):
        volume = getattr(predicted, kind)
        yield names[0], scan.geometry.encoded(volume, dtype=volume.dtype)
    else:
        for name, volume in zip(names, getattr(predicted, kind).values(), strict=True):
            yield name, scan.geometry.encoded(volume, dtype=np.float32)


def _maps(scan: Scan, side: str, networks: Networks, neighbours: int) -> list[NDArray[np.float32]]:
    """Each (n, ., h, w): probabilities, and translations and residuals where they are made."""
    slices = np.flatnonzero(scan.content[side].any(axis=(1, 2)))
    if not len(slices):  # of a side of background alone, one says how many maps there are
        slices = np.zeros(1, np.int64)
    scale = np.float32(stored_scale(scan.task.intensity))
    found: list[NDArray[np.float32]] = []
    for start in range(0, len(slices), BATCH_SIZE):
        chosen = slices[start : start + BATCH_SIZE]
        seen = scan.images[side][beside(chosen, scan.n_slices, neighbours).ravel()]
        x = (seen.astype(np.float32) * scale).clip(-1, 1)
        maps = networks(x.reshape(len(chosen), -1, *x.shape[2:]))  # neighbours as channels
        found = found or [np.zeros((scan.n_slices, *of.shape[1:]), np.float32) for of in maps]
        for volume, of in zip(found, maps, strict=True):
            volume[chosen] = of
    return found


def _likeliest_class(
    scan: Scan, classes: dict[str, NDArray[np.float32]], n_maps: int
) -> NDArray[np.uint8]:
    best, largest = np.ones(scan.own_content.shape, np.uint8), None
    for k in range(1, n_maps):
        of_class = scan.put_back({side: found[:, k] for side, found in classes.items()})
        if largest is None:
            largest = of_class
            continue
        is_likelier = of_class > largest
        best[is_likelier] = k
        largest = np.maximum(of_class, largest)
    return best


def _own_values(
    scan: Scan, channel: str, maps: dict[str, NDArray[np.float32]], *, is_difference: bool
) -> NDArray[np.float32]:
    """Images of one channel (n, h, w) by side, in [-1, 1], in the units and voxels of the scan."""
    scale, levels = np.float32(1 / stored_scale(scan.task.intensity)), scan.levels[channel]
    return scan.put_back(
        {
            side: levels.undo(values * scale, is_difference=is_difference)
            for side, values in maps.items()
        }
    )


def _overview(predicted: ScanPrediction, title: str, doubts: tuple[str, ...]) -> bytes:
    scan = predicted.scan
    columns, rows, slices = scan.task.lps_axes

    def drawn(volume: NDArray[Any]) -> NDArray[Any]:
        return to_slices(volume, scan.task.lps_axes).transpose(2, 1, 0)

    def all_drawn(volumes: dict[str, Any]) -> dict[str, Any]:
        return {name: drawn(volume) for name, volume in volumes.items()}

    n = scan.own_content.shape[slices]
    numbers = np.arange(n, 0, -1) if scan.geometry.counts_backwards(slices) else np.arange(1, n + 1)
    spacing = scan.geometry.spacing_mm
    shown = Drawn(
        all_drawn(scan.volumes),
        drawn(scan.own_content),
        all_drawn(predicted.translation),
        all_drawn(predicted.residual),
        drawn(predicted.mask),
        numbers=numbers,
        aspect=spacing[rows] / spacing[columns],
    )
    with TemporaryDirectory() as folder:
        file = Path(folder, "overview.png")
        overview_figure(shown, file, title=title, notes=doubts)
        return file.read_bytes()

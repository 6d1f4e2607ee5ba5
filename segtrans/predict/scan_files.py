"""What a run makes of a scan, and what is written of it, in the scan's own voxels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from skimage.measure import label

from segtrans.data.beside import beside
from segtrans.predict.made import Made, largest_of
from segtrans.predict.overview import Drawn, overview_figure
from segtrans.predict.picture_stream import BATCH_SIZE, Networks
from segtrans.predict.several import columns_of_each, names_of_each, place_of
from segtrans.predict.written import Record
from segtrans.sources.scan_folder.plane import to_slices
from segtrans.sources.scan_folder.scan import Scan, stored_scale

KINDS = ("mask", "probability", "translation", "without", "residual", "overview")

_BY_SIDE_AND_CORNER = 3  # neighbours in a volume, as lesions are scored

# What networks make of one map, in each slice: (n, h, w) by side.
_Slices = dict[str, NDArray[np.float32]]


class ScanRecord(Record):
    """One scan, by what it is called.

    Attributes:
        max_probability: of the target, over all voxels.
        volume_ml: what is segmented.
        volumes_ml: of each class or pathology, where there are several.
        n_components: connected parts of it.
        max_probabilities: of each of several pathologies.
        numbers_of_components: likewise.
    """

    max_probability: float
    volume_ml: float
    volumes_ml: dict[str, float]
    n_components: int
    max_probabilities: dict[str, float] = Field(default_factory=dict)
    numbers_of_components: dict[str, int] = Field(default_factory=dict)

    columns: ClassVar[tuple[str, ...]] = ("case", "max_probability", "volume_ml", "n_components")

    def row(self) -> dict[str, str]:
        """As `Record.row`."""
        return {
            "case": self.image,
            "max_probability": f"{self.max_probability:.6f}",
            "volume_ml": f"{self.volume_ml:.4f}",
            **columns_of_each("volume_ml", self.volumes_ml, ".4f"),
            "n_components": str(self.n_components),
            **columns_of_each("max_probability", self.max_probabilities, ".6f"),
            **columns_of_each("n_components", self.numbers_of_components, "d"),
        }


@dataclass(frozen=True)
class ScanPrediction:
    """What a run makes of a scan; all (X, Y, Z) in LPS orientation.

    Attributes:
        scan: as it was read.
        made: probabilities are 0 in the background, and residuals; translations are the scan's.
        masks: uint8 by pathology as in `made`, 0 and 1, or the values of the task's classes.
    """

    scan: Scan
    made: Made
    masks: Mapping[str, NDArray[np.uint8]]

    @property
    def pathologies(self) -> tuple[str, ...]:
        """Those that are told apart; none of a single target."""
        return tuple(name for name in self.masks if name)

    def record(self, sources: tuple[str, ...]) -> ScanRecord:
        """What the table says of it.

        Args:
            sources: SHA-256 of the scan's files.
        """
        task, mask = self.scan.task, largest_of(self.masks)
        ml = float(np.prod(self.scan.geometry.spacing_mm)) / 1000
        of_each = {name: self.masks[name] for name in self.pathologies}
        if task.n_classes > 1:
            of_each = {name: mask == k for name, k in task.classes.items()}
        of_pathologies = {name: self.made.probabilities[name] for name in self.pathologies}
        return ScanRecord(
            image=self.scan.files.case_id,
            sources=sources,
            files={},
            max_probability=float(self.made.probability.max()),
            volume_ml=int(np.count_nonzero(mask)) * ml,
            volumes_ml={name: int(np.count_nonzero(of)) * ml for name, of in of_each.items()},
            n_components=_n_components(mask),
            max_probabilities={name: float(of.max()) for name, of in of_pathologies.items()},
            numbers_of_components={
                name: _n_components(self.masks[name]) for name in self.pathologies
            },
        )


def predict_scan(
    scan: Scan,
    networks: Networks,
    *,
    threshold: float,
    neighbours: int = 0,
    pathologies: tuple[str, ...] = (),
) -> ScanPrediction:
    """Run a method on all slices of a scan that are not background alone.

    Args:
        scan: as it was read for the run's task.
        networks: of the run.
        threshold: probability above which a voxel is segmented.
        neighbours: slices on either side of each that the networks see with it.
        pathologies: names of several that the method tells apart.
    """
    maps = {side: _maps(scan, side, networks, neighbours) for side in scan.images}
    classes = {side: of_side[0] for side, of_side in maps.items()}
    n_maps = next(iter(classes.values())).shape[1]
    names = pathologies or ("",)
    of_targets = {
        name: {
            side: found[:, k] if pathologies or n_maps == 1 else 1 - found[:, 0]
            for side, found in classes.items()
        }
        for k, name in enumerate(names)
    }
    probabilities = {name: scan.put_back(of) for name, of in of_targets.items()}
    masks = {name: (of > threshold).astype(np.uint8) for name, of in probabilities.items()}
    if n_maps > 1 and not pathologies:
        masks[""] *= _likeliest_class(scan, classes, n_maps)
    translation: dict[str, NDArray[np.float32]] = {}
    residuals: dict[str, dict[str, NDArray[np.float32]]] = {name: {} for name in names}
    if networks.with_translation:
        deltas = {
            side: of_side[2] if pathologies else of_side[2][:, None]
            for side, of_side in maps.items()
        }
        for channel, (name, volume) in enumerate(scan.volumes.items()):
            without = {side: of_side[1][:, channel] for side, of_side in maps.items()}
            values = _own_values(scan, name, without, is_difference=False)
            translation[name] = np.where(scan.own_content, values, volume.astype(np.float32))
            for k, pathology in enumerate(names):
                taken = {side: of[:, k, channel] for side, of in deltas.items()}
                residuals[pathology][name] = _own_values(scan, name, taken, is_difference=True)
    return ScanPrediction(scan, Made(probabilities, translation, residuals), masks)


def names_of(
    case_id: str, channels: tuple[str, ...], kind: str, pathology: str = ""
) -> dict[str, str]:
    """The files of one kind, of one pathology of several: by channel, or one, called "".

    Returns:
        Paths below the output.
    """
    if kind == "overview":
        return {"": place_of(kind, "", f"{case_id}.png")}
    if kind in ("mask", "probability"):
        return {"": place_of(kind, pathology, f"{case_id}.nii.gz")}
    behind = {channel: f"_{channel}" if len(channels) > 1 else "" for channel in channels}
    return {
        channel: place_of(kind, pathology, f"{case_id}{of}.nii.gz")
        for channel, of in behind.items()
    }


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
    scan, channels = predicted.scan, tuple(predicted.scan.volumes)
    for pathology in names_of_each(kind, predicted.pathologies):
        names = names_of(scan.files.case_id, channels, kind, pathology)
        if kind == "overview":
            yield names[""], _overview(predicted, title, doubts)
            continue
        for name, volume in _volumes(kind, predicted, pathology).items():
            yield names[name], scan.geometry.encoded(volume, dtype=volume.dtype)


def _volumes(kind: str, predicted: ScanPrediction, pathology: str) -> dict[str, NDArray[Any]]:
    """Those of one kind, of one pathology of several: by channel, or one, called ""."""
    made = predicted.made
    if kind == "mask":
        return {"": predicted.masks[pathology]}
    if kind == "probability":
        return {"": made.probabilities[pathology]}
    if kind == "residual":
        return made.residuals[pathology]
    return made.without(pathology) if kind == "without" else made.translation


def _n_components(mask: NDArray[np.uint8]) -> int:
    _, n = label(mask > 0, return_num=True, connectivity=_BY_SIDE_AND_CORNER)
    return int(n)


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

    n = scan.own_content.shape[slices]
    numbers = np.arange(n, 0, -1) if scan.geometry.counts_backwards(slices) else np.arange(1, n + 1)
    spacing = scan.geometry.spacing_mm
    shown = Drawn(
        {name: drawn(volume) for name, volume in scan.volumes.items()},
        drawn(scan.own_content),
        predicted.made.map(drawn),
        {name: drawn(mask) for name, mask in predicted.masks.items()},
        numbers=numbers,
        aspect=spacing[rows] / spacing[columns],
    )
    with TemporaryDirectory() as folder:
        file = Path(folder, "overview.png")
        overview_figure(shown, file, title=title, notes=doubts)
        return file.read_bytes()

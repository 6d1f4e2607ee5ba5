"""White-matter lesions: a second pathology beside the tumour, drawn by a generator of its own.

A phantom with them differs from the one without only in and around them. Each hemisphere has them
in two of three heads, whether or not the tumour is there: one to three clusters of five to nine
spots, rough balls of 3.5 to 7 mm radius in white matter, some grown together. They are dark in T1,
bright in T2 and FLAIR, and take up no contrast agent. They may reach into oedema, but never into
the tumour's core.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.phantom.anatomy import MIDDLE
from segtrans.sources.phantom.fields import Volume, axes_of, shape_of, smooth_field, within
from segtrans.sources.phantom.tissue import Tissue
from segtrans.sources.phantom.tumour import OEDEMA, Lesion

LABEL = 5  # added to the tumour's label of a voxel: 5 alone, 7 within oedema

_SHARE_OF_SIDES = 2 / 3
_N_CLUSTERS = (1, 3)
_N_SPOTS = (5, 9)  # of a cluster
_RADIUS_MM = (3.5, 7.0)
_CLUSTER_MM = 11.0  # sd along each axis of the spots around a cluster's centre
_ROUGHNESS_MM = 0.8  # sd of the outline
_WHITE = 0.9  # least share of white matter at a spot's centre, and half as much at its border
_LEAST_OFF_MIDDLE_MM = 8
_LEVELS = (0.4, 0.75)  # of clusters, as a share of the brain's height


@dataclass(frozen=True)
class Spots:
    """The white-matter lesions of one head, over its tissue's box.

    Attributes:
        weight: float32 in [0, 1], how much of each voxel they are.
        brightness: of this head's spots, relative to others'.
    """

    weight: Volume
    brightness: np.float32

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Where they are labelled: voxels of which they are more than half."""
        return self.weight > 0.5


def draw_spots(rng: np.random.Generator, tissue: Tissue, tumour: Lesion) -> Spots:
    """The spots of one head, perhaps none."""
    labels = np.zeros(shape_of(tissue.box), np.uint8)
    labels[within(tumour.box, tissue.box)] = tumour.labels
    may_be = tissue.is_brain & np.isin(labels, (0, OEDEMA)) & (tissue.fluid < 0.5)
    may_be &= (tissue.white > _WHITE / 2) | (labels == OEDEMA)
    off_middle = axes_of(tissue.box)[0] - np.float32(MIDDLE)
    outside_mm = np.full(shape_of(tissue.box), _RADIUS_MM[1], np.float32)
    for side in (-1, 1):
        if rng.random() < _SHARE_OF_SIDES:
            is_site = (tissue.white > _WHITE) & (labels == 0)
            is_site &= side * off_middle > _LEAST_OFF_MIDDLE_MM
            _grow_clusters(rng, np.argwhere(is_site), outside_mm)
    outside_mm += np.float32(_ROUGHNESS_MM) * smooth_field(rng, outside_mm.shape, 4)
    return Spots(
        weight=np.clip(np.float32(0.5) - outside_mm / np.float32(1.5), 0, 1) * may_be,
        brightness=np.float32(np.exp(rng.normal(0, 0.05))),
    )


def _grow_clusters(rng: np.random.Generator, sites: NDArray[np.int64], outside_mm: Volume) -> None:
    """Lower the distance (mm) from the nearest spot's outline, negative inside, around new spots.

    Args:
        rng: draws them.
        sites: (n, 3) voxels of the volume where a centre may lie.
        outside_mm: the volume, changed in place.
    """
    height = outside_mm.shape[2]
    low, high = (share * height for share in _LEVELS)
    central = sites[(sites[:, 2] > low) & (sites[:, 2] < high)]
    for _ in range(int(rng.integers(_N_CLUSTERS[0], _N_CLUSTERS[1] + 1))):
        middle = central[rng.integers(len(central))]
        near = np.exp(-((sites - middle) ** 2).sum(1) / (2 * _CLUSTER_MM**2))
        n_spots = int(rng.integers(_N_SPOTS[0], _N_SPOTS[1] + 1))
        for centre in sites[rng.choice(len(sites), n_spots, replace=False, p=near / near.sum())]:
            _add_ball(outside_mm, centre, rng.uniform(*_RADIUS_MM))


def _add_ball(outside_mm: Volume, centre: NDArray[np.int64], radius: float) -> None:
    reach = int(radius + _RADIUS_MM[1]) + 1  # beyond it, nothing is lower than what is there
    low = np.maximum(centre - reach, 0)
    x, y, z = (
        slice(int(start), min(int(at) + reach + 1, size))
        for start, at, size in zip(low, centre, outside_mm.shape, strict=True)
    )
    distances = (
        (axis - np.float32(at)) ** 2 for axis, at in zip(axes_of((x, y, z)), centre, strict=True)
    )
    part = outside_mm[x, y, z]
    np.minimum(part, np.sqrt(sum(distances)) - np.float32(radius), out=part)

"""A tumour in one hemisphere: what it pushes away, and what it turns tissue into.

The core is a few rough ellipsoids grown together: in high grade a dead centre within a rim that
takes up contrast agent, in low grade a solid mass with, at most, a few enhancing spots. Oedema
spreads from it, along white matter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segtrans.sources.phantom.anatomy import BOX, MIDDLE, TEMPLATE_CENTRE, Pose, Template
from segtrans.sources.phantom.fields import (
    Box,
    Volume,
    axes_of,
    shape_of,
    smooth_field,
    smoothstep,
    within,
)
from segtrans.sources.phantom.grades import Grade
from segtrans.sources.phantom.tissue import Tissue

NECROTIC, OEDEMA, ENHANCING = 1, 2, 4  # BraTS 2017; NECROTIC is any core that does not enhance

_CORE_MM = {"HGG": (14.0, 22.0), "LGG": (14.0, 23.0)}  # radius of the largest part
_OEDEMA_MM = {"HGG": (10.0, 21.0), "LGG": (4.0, 10.0)}  # reach beyond the core, in white matter
_ROUGHNESS = {"HGG": 0.13, "LGG": 0.16}  # sd of the core's outline, in radii
_MARGIN_MM = {"HGG": 1.6, "LGG": 4.0}  # from core to tissue: low grade fades into it
_MERGE_MM = 3.0  # parts of the core closer than this grow together


@dataclass(frozen=True)
class Tumour:
    """Where a tumour sits and how large it is, in voxels of the grid.

    Attributes:
        grade: high or low.
        side: -1 in the grid's lower half of the left-right axis, 1 in its upper half.
        parts: (k, 3) centres of the core's ellipsoids, the first is the largest.
        radii: (k, 3) of the core's ellipsoids.
        reach: of the oedema.
        pressure: how far tissue is pushed, in radii of the core.
    """

    grade: Grade
    side: int
    parts: NDArray[np.float64]
    radii: NDArray[np.float64]
    reach: float
    pressure: float


@dataclass(frozen=True)
class Lesion:
    """What a tumour makes of the tissue; weights are float32 in [0, 1], together at most 1.

    Attributes:
        box: the part of the grid that the arrays below hold.
        labels: uint8, BraTS labels.
        necrosis: weight of the dead centre.
        rim: weight of what takes up contrast agent.
        solid: weight of a core that does not.
        oedema: weight of water in the tissue.
    """

    box: Box
    labels: NDArray[np.uint8]
    necrosis: Volume
    rim: Volume
    solid: Volume
    oedema: Volume


def draw_tumour(rng: np.random.Generator, grade: Grade, pose: Pose, template: Template) -> Tumour:
    """A place in white matter, far enough from the midline, and a size for the grade."""
    radius = rng.uniform(*_CORE_MM[grade])
    to_midline = np.abs(template.sites[:, 0] - TEMPLATE_CENTRE[0])
    sites = template.sites[to_midline > 0.8 * radius + 8]
    centre = pose.to_patient(sites[rng.integers(len(sites))][None])[0]
    n_more = int(rng.integers(0, 3))
    shifts = np.concatenate([np.zeros((1, 3)), rng.normal(0, 0.55, (n_more, 3))])
    sizes = np.concatenate([[1.0], rng.uniform(0.45, 0.75, n_more)])
    radii = radius * sizes[:, None] * np.exp(rng.normal(0, 0.15, (n_more + 1, 3)))
    parts = centre + radius * np.clip(shifts, -1, 1)
    side = 1 if centre[0] > MIDDLE else -1
    # Cut off by the midline, a part would show a flat face.
    off_middle = np.maximum(side * (parts[:, 0] - MIDDLE), radii[:, 0] + 4)
    parts[:, 0] = MIDDLE + side * off_middle
    return Tumour(
        grade=grade,
        side=side,
        parts=parts,
        radii=radii,
        reach=float(rng.uniform(*_OEDEMA_MM[grade])),
        pressure=float(rng.uniform(0.12, 0.35)),
    )


def push(tumour: Tumour, pose: Pose) -> tuple[Volume, Volume, Volume]:
    """How far the tumour moved the tissue of each voxel of `BOX`, along each axis, in voxels.

    Away from its centre, less with the square of the distance; the skull holds, and the falx
    holds back what lies behind it.
    """
    radius = float(tumour.radii[0].mean())
    grid = axes_of(BOX)
    x, y, z = (axis - np.float32(at) for axis, at in zip(grid, tumour.parts[0], strict=True))
    distance = np.sqrt(x**2 + y**2 + z**2) / np.float32(radius) + np.float32(1e-3)
    strength = np.float32(tumour.pressure) * np.where(distance < 1, 1, distance**-3)
    to_skull = [
        ((axis - np.float32(at)) / np.float32(half)) ** 2
        for axis, at, half in zip(grid, pose.centre, (66, 84, 68), strict=True)
    ]
    strength *= smoothstep(np.sqrt(to_skull[0] + to_skull[1] + to_skull[2]), 1.0, 0.6)
    strength *= smoothstep(tumour.side * (grid[0] - np.float32(MIDDLE)), -40, 0)
    return strength * x, strength * y, strength * z


def grow(rng: np.random.Generator, tumour: Tumour, tissue: Tissue) -> Lesion:
    """The lesion that a tumour makes in the tissue that it has pushed."""
    box = _around(tumour, tissue.box)
    inner = within(box, tissue.box)
    off_middle = tumour.side * (axes_of(box)[0] - np.float32(MIDDLE))
    core_mm = _core(rng, tumour, box) + 8 * smoothstep(off_middle, 7, 0)
    may_grow = tissue.is_brain[inner] & (off_middle > 1)
    spread_mm = _spread(rng, tumour, core_mm, tissue.white[inner])
    spread_mm -= 12 * smoothstep(off_middle, 6, 0)
    core = _soft(-core_mm / np.float32(_MARGIN_MM[tumour.grade])) * may_grow
    rim_share, dead_share = _parts(rng, tumour.grade, core_mm)
    wet = np.float32(0.9) * np.clip(0.3 + spread_mm / 5, 0, 1) * may_grow * (1 - core)
    labels = np.where((spread_mm > 0) & (tissue.fluid[inner] < 0.6), OEDEMA, 0)
    labels = np.where(core_mm < 0, np.where(rim_share > 0.5, ENHANCING, NECROTIC), labels)
    return Lesion(
        box=box,
        labels=_as_drawn((labels * may_grow).astype(np.uint8), may_grow),
        necrosis=core * dead_share,
        rim=core * rim_share,
        solid=core * (1 - dead_share - rim_share),
        oedema=wet * (1 - np.clip(tissue.fluid[inner] * np.float32(1.5), 0, 1)),
    )


def _around(tumour: Tumour, box: Box) -> Box:
    """The part of a box that the tumour may reach."""
    margin = tumour.radii.max() * 0.6 + tumour.reach * 1.8 + 4
    low = (tumour.parts - tumour.radii).min(0) - margin
    high = (tumour.parts + tumour.radii).max(0) + margin
    x, y, z = (
        slice(max(whole.start, int(start)), min(whole.stop, int(end)))
        for whole, start, end in zip(box, low, high, strict=True)
    )
    return x, y, z


def _core(rng: np.random.Generator, tumour: Tumour, box: Box) -> Volume:
    """Distance (mm) from the core's outline, negative inside: ellipsoids grown together, rough."""
    radius = tumour.radii[0].mean()
    near = np.zeros(shape_of(box), np.float32)
    for part, radii in zip(tumour.parts, tumour.radii, strict=True):
        x, y, z = (
            (axis - np.float32(at)) / np.float32(size)
            for axis, at, size in zip(axes_of(box), part, radii, strict=True)
        )
        outside_mm = (np.sqrt(x**2 + y**2 + z**2) - 1) * np.float32(radii.mean())
        near += np.exp(np.clip(-outside_mm / np.float32(_MERGE_MM), -30, 30))
    core_mm = np.float32(-_MERGE_MM) * np.log(near)
    for share, spacing in ((1.0, 0.8 * radius), (0.7, 0.45 * radius), (0.5, 5.0)):
        sd_mm = np.float32(share * _ROUGHNESS[tumour.grade] * radius)
        core_mm += sd_mm * smooth_field(rng, core_mm.shape, spacing)
    return core_mm


def _spread(rng: np.random.Generator, tumour: Tumour, core_mm: Volume, white: Volume) -> Volume:
    """How far (mm) inside the oedema's outline: it goes far in white matter, hardly into grey."""
    conduct = 0.15 + 0.85 * np.clip(1.25 * ndimage.gaussian_filter(white, 1.0, truncate=2), 0, 1)
    far = tumour.reach * (1 + 0.45 * smooth_field(rng, white.shape, 22))
    spread_mm: Volume = far * conduct - core_mm - 2 + 1.2 * smooth_field(rng, white.shape, 4)
    return spread_mm


def _parts(rng: np.random.Generator, grade: Grade, core_mm: Volume) -> tuple[Volume, Volume]:
    """Shares of the core that enhance and that are dead."""
    shape = core_mm.shape
    if grade == "LGG":
        spots = smooth_field(rng, shape, 6) - np.float32(rng.uniform(1.4, 3.5))
        return np.clip(2 * spots, 0, 1) * (core_mm < -3), np.zeros(shape, np.float32)
    thickness = 3.2 + 2.6 * smooth_field(rng, shape, 11) + smooth_field(rng, shape, 4)
    thickness = np.float32(rng.uniform(0.7, 1.5)) * np.maximum(thickness, 0.5)
    islands = np.clip(2 * smooth_field(rng, shape, 7) - 3, 0, 1)
    dead = _soft(-(core_mm + thickness) / np.float32(1.8)) * (1 - islands)
    return 1 - dead, dead


def _soft(values: Volume) -> Volume:
    share: Volume = np.clip(values + np.float32(0.5), 0, 1)
    return share


def _as_drawn(labels: NDArray[np.uint8], may_grow: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Labels as an annotator draws them: one piece, a smooth outline, small holes filled."""
    outline = ndimage.gaussian_filter((labels > 0).astype(np.float32), 0.9, truncate=2) > 0.5
    pieces, _ = ndimage.label(outline & may_grow)
    is_lesion = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    return np.where(is_lesion, np.where(labels > 0, labels, OEDEMA), 0).astype(np.uint8)

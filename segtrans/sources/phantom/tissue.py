"""Tissue of one phantom: cortex folded anew, and sharp borders where the template is an average.

White matter, grey matter and fluid lie around one another like contour lines, so they are the
levels of one height: white matter + half the grey. Sulci are valleys cut into that height, along
the zeros of a random field on the surface of each hemisphere; cortex then follows them by itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segtrans.sources.phantom.anatomy import (
    BOX,
    COARSE,
    HEMISPHERE_GAP,
    TEMPLATE_CENTRE,
    Template,
)
from segtrans.sources.phantom.fields import (
    Box,
    Volume,
    band_field,
    shape_of,
    smooth_field,
    steepness,
    within,
)

_FLUID_BELOW, _WHITE_ABOVE = 0.27, 0.73  # heights between fluid, grey and white matter
_BORDER = 1.7  # voxels over which two tissues share a voxel


@dataclass(frozen=True)
class Tissue:
    """What each voxel of a head holds.

    Attributes:
        box: the part of the grid that the arrays below hold.
        is_brain: bool, within the skull-stripped brain.
        fluid: float32 in [0, 1], share of cerebrospinal fluid, 0 outside the brain, as below.
        grey: of cortical grey matter.
        deep: of deep grey matter and brain stem.
        white: of white matter.
        ventricle: of fluid in the ventricles, part of `fluid`.
        plexus: how likely fluid holds choroid plexus or falx, which take up contrast agent.
    """

    box: Box
    is_brain: NDArray[np.bool_]
    fluid: Volume
    grey: Volume
    deep: Volume
    white: Volume
    ventricle: Volume
    plexus: Volume


@dataclass(frozen=True)
class _Ground:
    """The template at each point of one head that may be brain, and this head's own folds.

    Attributes:
        is_near: bool over the box, where the points lie.
        points: (3, n) float32, voxels of the template.
        hull, region, folding, white, grey: (n,), the template's maps there.
        sulcus: (n,), mm from the nearest sulcus that was made anew.
    """

    is_near: NDArray[np.bool_]
    points: Volume
    hull: Volume
    region: Volume
    folding: Volume
    white: Volume
    grey: Volume
    sulcus: Volume

    def field(self, rng: np.random.Generator, spacing: float) -> Volume:
        """(n,) a smooth random field at the points."""
        return smooth_field(rng, self.is_near.shape, spacing)[self.is_near]

    def volume(self, values: Volume) -> Volume:
        """The values at their places in the box, 0 elsewhere."""
        volume = np.zeros(self.is_near.shape, np.float32)
        volume[self.is_near] = values
        return volume


def make_tissue(rng: np.random.Generator, template: Template, coordinates: Volume) -> Tissue:
    """Fold and cut the template into the tissue of one head.

    Args:
        rng: draws folds, age and roughness.
        template: the MNI brain.
        coordinates: (3, *BOX), where in the template each voxel comes from.
    """
    box, is_near = _near_brain(template, coordinates)
    part = (slice(None), *within(box, BOX))
    ground = _survey(rng, template, is_near, coordinates[part][:, is_near])
    valleys, height = _heights(rng, ground)
    fluid, grey, white = _shares(ground, ground.volume(valleys), ground.volume(height))
    is_brain = _skull_stripped(rng, ground, valleys)
    deep = np.maximum(ground.region, 0)
    inside = ground.volume(is_brain[is_near].astype(np.float32))
    return Tissue(
        box=box,
        is_brain=is_brain,
        fluid=ground.volume(fluid) * inside,
        grey=ground.volume(grey * (1 - deep)) * inside,
        deep=ground.volume(grey * deep) * inside,
        white=ground.volume(white) * inside,
        ventricle=ground.volume(fluid * deep) * inside,
        plexus=ground.volume(_plexus(ground, fluid)) * inside,
    )


def _near_brain(template: Template, coordinates: Volume) -> tuple[Box, NDArray[np.bool_]]:
    """The smallest box around all voxels that may be brain, and those voxels in it."""
    coarse = coordinates[:, ::COARSE, ::COARSE, ::COARSE]
    is_near = _at(template.hull, coarse / COARSE) > 0
    is_near = ndimage.binary_dilation(is_near)
    for axis, size in enumerate(shape_of(BOX)):
        is_near = np.repeat(is_near, COARSE, axis).take(np.arange(size), axis)
    found = [np.flatnonzero(is_near.any((*{0, 1, 2} - {axis},))) for axis in range(3)]
    x, y, z = (
        slice(whole.start + int(indices[0]), whole.start + int(indices[-1]) + 1)
        for whole, indices in zip(BOX, found, strict=True)
    )
    box = x, y, z
    return box, is_near[within(box, BOX)]


def _survey(
    rng: np.random.Generator, template: Template, is_near: NDArray[np.bool_], points: Volume
) -> _Ground:
    coarse = points / COARSE
    return _Ground(
        is_near=is_near,
        points=points,
        hull=_at(template.hull, coarse),
        region=_at(template.region, coarse),
        folding=_at(template.folding, coarse),
        white=_at(template.white, points),
        grey=_at(template.grey, points),
        sulcus=np.abs(_at(_folds(rng, template), coarse)),
    )


def _folds(rng: np.random.Generator, template: Template) -> Volume:
    """Distance (mm) from the nearest sulcus, signed by the bank; (99, 117, 95) coarse voxels.

    A voxel takes its value from the surface above it, so that sulci go down into the brain; the
    way down is bent, so that they wind.
    """
    shape = template.is_inside.shape
    field = band_field(rng, (shape[0] + HEMISPHERE_GAP, *shape[1:]), 4.2)
    bend = [2.2 * smooth_field(rng, shape, 6)[template.is_inside] for _ in range(3)]
    above = template.surface + np.stack(bend)
    distance = _at(field, above) / (_at(steepness(field), above) + np.float32(1e-3))
    folds = np.full(shape, 8, np.float32)
    folds[template.is_inside] = np.clip(COARSE * distance, -8, 8)
    return folds


def _heights(rng: np.random.Generator, ground: _Ground) -> tuple[Volume, Volume]:
    """(n,) the height that bounds fluid, with narrow valleys, and the one that bounds white."""
    away = ground.sulcus
    fine = ground.field(rng, 3.0)
    shrinkage = rng.uniform(-0.03, 0.04)  # with age, fluid takes the place of tissue
    height = ground.white + ground.grey / 2
    narrow = 0.24 * np.clip(away / 2.6, 0, 1) - 0.38 * np.exp(-((away / np.float32(1.15)) ** 2))
    wide = 0.48 * np.clip(away / 6, 0, 1) - 0.34
    valleys = height + ground.folding * narrow + 0.03 * fine - shrinkage
    height = height + ground.folding * wide
    # Cortex covers white matter everywhere: no white matter near the surface.
    below = np.minimum(ground.hull, np.abs(ground.points[0] - np.float32(TEMPLATE_CENTRE[0])))
    cap = np.where(ground.folding > 0.02, 0.26 + 0.09 * below, 2)
    height = np.minimum(height, cap) + 0.04 * fine - shrinkage / 2
    folia = np.maximum(-ground.region, 0) * _folia(rng, ground)
    return valleys + 0.1 * folia, height + 0.16 * folia - 0.05 * np.maximum(-ground.region, 0)


def _folia(rng: np.random.Generator, ground: _Ground) -> Volume:
    """(n,) in [-1, 1]: the leaves of the cerebellum, shells around its stem."""
    across, back, up = ground.points - np.array([[98], [144], [44]], np.float32)
    radius = np.sqrt(across**2 / 2 + back**2 + np.float32(1.5) * up**2)
    shells: Volume = np.sin(radius * np.float32(2 * np.pi / 5.5) + ground.field(rng, 9.0))
    return shells


def _shares(ground: _Ground, valleys: Volume, height: Volume) -> tuple[Volume, Volume, Volume]:
    """(n,) shares of fluid, grey and white matter: sharp in cortex, as the template has it deep."""
    at = ground.is_near
    fluid = _ramp((_FLUID_BELOW - valleys[at]) / _slope(valleys)[at])
    white = _ramp((height[at] - _WHITE_ABOVE) / _slope(height)[at]) * (1 - fluid)
    cortex = fluid, 1 - fluid - white, white
    likely = [np.clip(1 - ground.white - ground.grey, 0, 1), ground.grey, ground.white]
    likely = [share**1.6 for share in likely]  # more certain than an average over people
    total = likely[0] + likely[1] + likely[2] + np.float32(1e-6)
    deep = np.maximum(ground.region, 0)
    fluid, grey, white = (
        (1 - deep) * sharp + deep * soft / total for sharp, soft in zip(cortex, likely, strict=True)
    )
    return fluid, grey, white


def _slope(height: Volume) -> Volume:
    return np.float32(_BORDER) * steepness(height) + np.float32(0.02)


def _ramp(values: Volume) -> Volume:
    share: Volume = np.clip(values + np.float32(0.5), 0, 1)
    return share


def _skull_stripped(
    rng: np.random.Generator, ground: _Ground, valleys: Volume
) -> NDArray[np.bool_]:
    """Bool over the box: tissue and the fluid between it, in one piece, with a ragged outline."""
    filled = ndimage.gaussian_filter(ground.volume(np.clip(valleys, 0, 0.6)), 1.9, truncate=2)
    is_brain = filled > 0.23 + 0.02 * smooth_field(rng, filled.shape, 6)
    is_brain |= ground.volume(ground.hull) > 8
    is_brain &= ground.volume(ground.hull) > 0
    pieces, _ = ndimage.label(is_brain)
    is_largest: NDArray[np.bool_] = pieces == np.argmax(np.bincount(pieces[is_brain]))
    return is_largest


def _plexus(ground: _Ground, fluid: Volume) -> Volume:
    """(n,) in [0, 1]: choroid plexus in the lateral ventricles' atria, falx at the midline."""
    across = np.abs(ground.points[0] - np.float32(98))
    back, up = ground.points[1] - np.float32(134), ground.points[2] - np.float32(80)
    atrium = np.exp(-(((across - 21) / 7) ** 2) - (back / 10) ** 2 - (up / 9) ** 2)
    falx = np.exp(-((across / np.float32(0.9)) ** 2)) * (1 - np.maximum(ground.region, 0))
    likely: Volume = np.clip(2.2 * atrium + 0.35 * falx, 0, 1) * fluid
    return likely


def _at(volume: Volume, points: NDArray[np.floating]) -> Volume:
    values: Volume = ndimage.map_coordinates(volume, points, order=1, output=np.float32)
    return values

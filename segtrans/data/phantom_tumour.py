"""The tumour of a made-up patient: where it is, what it pushes away, and its labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from segtrans.data.phantom_fields import smooth_field

NECROSIS, OEDEMA, ENHANCING = 1, 2, 4

Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Tumour:
    """A tumour; lengths in voxels of 1 mm.

    Attributes:
        centre: (3,), voxel in the window.
        axes: (3,), radii of the core, an ellipsoid before its outline is roughened.
        necrosis: radius of the dead part, as a share of the core's; 0 for none.
        has_rim: whether the rest of the core takes up contrast.
        reach: how far oedema goes beyond the core, in radii of the core.
        mass: how far tissue beside the core is pushed away.
        middle: column of the midline.
        side: -1 where the tumour lies in lower columns (the patient's right), else 1.
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    necrosis: float
    has_rim: bool
    reach: float
    mass: float
    middle: float
    side: int

    def distance(self, shape: tuple[int, ...]) -> Volume:
        """Distance from the centre in radii of the core, (X, Y, Z)."""
        squares = [
            ((np.arange(n) - c) / a) ** 2
            for n, c, a in zip(shape, self.centre, self.axes, strict=True)
        ]
        distance = np.sqrt(squares[0][:, None, None] + squares[1][:, None] + squares[2])
        return np.asarray(distance, np.float32)

    def labels(
        self, rng: np.random.Generator, brain: NDArray[np.bool_], tissues: Volume
    ) -> NDArray[np.uint8]:
        """Labels 0, 1, 2 and 4 of each voxel, (X, Y, Z).

        Args:
            rng: of the outline.
            brain: (X, Y, Z), whether a voxel belongs to the brain.
            tissues: (3, n), shares of white matter, which oedema follows, of grey matter, and of
                fluid, which it leaves out.
        """
        shape = brain.shape
        white, is_fluid = np.zeros(shape, np.float32), np.zeros(shape, bool)
        white[brain], is_fluid[brain] = tissues[0], tissues[2] > 0.5
        distance = self.distance(shape)
        rough = 0.20 * smooth_field(rng, shape, spacing=9) + 0.13 * smooth_field(
            rng, shape, spacing=5
        )
        core = distance + rough * np.minimum(1, distance + 0.3) < 1
        inner = distance + 0.8 * rough + 0.16 * smooth_field(rng, shape, spacing=4)
        # Fibres lead oedema on; the cortex holds it back.
        fibres = gaussian_filter(white, 1.5)
        spread = distance + 1.4 * rough - self.reach * (1.5 * fibres - 0.5)
        oedema = (spread < 1) & ~is_fluid & (fibres > 0.2)
        labels = np.zeros(shape, np.uint8)
        labels[oedema] = OEDEMA
        labels[core] = ENHANCING if self.has_rim else NECROSIS
        if self.has_rim:
            labels[core & (inner < self.necrosis)] = NECROSIS
        columns = np.arange(shape[0]) - self.middle
        labels[columns * self.side < 2] = 0  # the other half has none
        labels[~brain] = 0
        return labels


def draw_tumour(
    rng: np.random.Generator, white: Volume, *, step: int, grade: str, middle: float
) -> Tumour:
    """Draw a tumour with its centre in white matter.

    Args:
        rng: the only source of randomness.
        white: share of white matter, (X, Y, Z) of every `step`-th voxel.
        step: voxels between two of `white`.
        grade: HGG or LGG.
        middle: column of the midline, in voxels.
    """
    is_high = grade == "HGG"
    radius = rng.uniform(13, 20) if is_high else rng.uniform(13, 19)
    axes = radius * np.exp(rng.normal(0, 0.14, 3))
    side = int(rng.choice([-1, 1]))
    places = np.argwhere(white > 0.55) * step
    off = side * (places[:, 0] - middle)
    # Where slices are large, with room to the midline and to the skull.
    fits = (off > 0.9 * axes[0] + 4) & (off < 50) & (np.abs(places[:, 2] - 84) < 16)
    centre = places[fits][rng.integers(fits.sum())] + rng.uniform(-1, 1, 3)
    return Tumour(
        centre=centre,
        axes=axes,
        necrosis=rng.uniform(0.45, 0.8) if is_high else 0.0,
        has_rim=is_high or rng.random() < 0.15,
        reach=rng.uniform(0.7, 1.3) if is_high else rng.uniform(0.15, 0.6),
        mass=rng.uniform(1.5, 5.0) if is_high else rng.uniform(0.5, 3.0),
        middle=middle,
        side=side,
    )


def push(tumour: Tumour, shape: tuple[int, ...]) -> Volume:
    """How far tissue has been pushed from where it was, (3, X, Y, Z): mass effect.

    Strongest at the core's border, gone two radii further on.
    """
    distance = tumour.distance(shape)
    strength = distance * np.exp(np.float32(0.5) * (1 - distance**2)) * np.float32(tumour.mass)
    strength /= np.maximum(distance, np.float32(0.05))
    moved = np.empty((3, *shape), np.float32)
    for axis, n in enumerate(shape):
        along = ((np.arange(n) - tumour.centre[axis]) / tumour.axes[axis]).astype(np.float32)
        moved[axis] = strength * along.reshape([-1 if i == axis else 1 for i in range(3)])
    return moved

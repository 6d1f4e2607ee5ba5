"""The MNI brain that nilearn ships, and where in it each voxel of a phantom lies.

The template is the average of 152 people's brains (ICBM 152, nonlinear symmetric, 2009a): an
average is smooth and symmetric, so a phantom takes its large shapes from here, and borders and
folds are made anew (`phantom_tissue`).
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray
from scipy import ndimage

from segtrans.errors import UserError
from segtrans.sources.phantom.fields import Box, Volume, axes_of, shape_of, smooth_field, smoothstep

GRID = (240, 240, 155)  # voxels of 1 mm, index 0 grows to the left, 1 to the back, 2 upwards: LPS
MIDDLE = 119.5  # of the left-right axis: half-slices are cut here
BOX: Box = (slice(38, 202), slice(26, 226), slice(0, 155))  # holds every phantom's brain

TEMPLATE_CENTRE = np.array([98.0, 115.0, 76.0])  # of the template's brain, voxels in LPS
COARSE = 2  # mm a voxel of the maps made here
HEMISPHERE_GAP = 12  # coarse voxels between the hemispheres' surfaces

_ORIGIN = np.array([98.0, 98.0, 72.0])  # of MNI coordinates, voxels in LPS
_BRAIN_ABOVE = 0.2  # of T1's largest value: nilearn's own brain mask
_LARGER = 1.1  # the template's brain is larger than BraTS's, by its atlas, along each axis
_BULGE = ((38, 2.2), (16, 1.3))  # spacing and sd of the nonlinear warp, voxels


@dataclass(frozen=True)
class Template:
    """The MNI brain, in voxels of 1 mm (LPS), and maps of `COARSE` voxels made from it.

    Attributes:
        white: (197, 233, 189) float32, probability of white matter.
        grey: (197, 233, 189) float32, probability of grey matter.
        hull: (99, 117, 95) float32, mm below the brain's hull, 0 outside.
        folding: (99, 117, 95) float32 in [0, 1], where cortex is folded anew.
        region: (99, 117, 95) float32, 1 in deep grey matter and brain stem, -1 in the cerebellum.
        surface: (3, n) float32, the nearest point of the hemisphere's surface, in coarse voxels,
            for each voxel of `is_inside`; the left hemisphere's are moved apart.
        is_inside: (99, 117, 95) bool, inside the hull.
        sites: (m, 3) voxels in LPS where a tumour may have its centre.
    """

    white: Volume
    grey: Volume
    hull: Volume
    folding: Volume
    region: Volume
    surface: Volume
    is_inside: NDArray[np.bool_]
    sites: NDArray[np.int64]


@dataclass(frozen=True)
class Pose:
    """How a head lies in the grid: template = matrix (voxel - centre) + TEMPLATE_CENTRE."""

    matrix: NDArray[np.float64]
    centre: NDArray[np.float64]

    def to_patient(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """From (n, 3) voxels of the template to (n, 3) voxels of the grid; no bulge, no push."""
        return np.linalg.solve(self.matrix, (points - TEMPLATE_CENTRE).T).T + self.centre


@cache
def load_template() -> Template:
    """Read the template from nilearn's own files; once a process.

    Raises:
        UserError: nilearn, or one of these files, is missing or cannot be read.
    """
    white, grey, head = (_read_map(name) for name in ("wm", "gm", "t1"))
    is_brain = head > _BRAIN_ABOVE
    return _with_maps(white, grey, is_brain[::COARSE, ::COARSE, ::COARSE])


def _read_map(name: str) -> Volume:
    """One map of the template, (197, 233, 189) in LPS: as `nilearn.datasets` gives it at 1 mm.

    That module would import scikit-learn and pandas, which takes longer than all that is read here.
    """
    try:
        file = (
            files("nilearn") / f"datasets/data/mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
        )
        with as_file(file) as path:
            stored = np.asanyarray(nib.load(path).dataobj)
    except (ImportError, OSError, ImageFileError) as error:
        raise UserError(
            f"phantom: the brain that nilearn ships cannot be read ({error}); install nilearn as "
            "pyproject.toml asks for it, or choose another source of BraTS"
        ) from error
    volume = stored.astype(np.float32)[::-1, ::-1]  # from RAS to LPS
    return np.ascontiguousarray(volume / volume.max())


def draw_pose(rng: np.random.Generator) -> Pose:
    """A head of its own size, proportions and tilt; BraTS is aligned, so the tilt is small."""
    pitch, roll, yaw = np.deg2rad(rng.normal(0, (3.0, 0.8, 0.8)))
    size = _LARGER * np.exp(rng.normal(0, 0.015) + rng.normal(0, 0.015, 3))
    turn = _rotation(pitch, 1, 2) @ _rotation(roll, 0, 2) @ _rotation(yaw, 0, 1)
    centre = np.array([MIDDLE, 129.0, 73.0]) + rng.normal(0, (0.5, 2.5, 2.0))
    return Pose(np.diag(size) @ turn, centre)


def template_coordinates(
    rng: np.random.Generator, pose: Pose, push: tuple[Volume, Volume, Volume]
) -> Volume:
    """Where in the template each voxel of `BOX` comes from: pose, push, and a smooth warp.

    Args:
        rng: draws the warp.
        pose: of the head.
        push: how far tissue was moved along each axis to come here, in voxels over `BOX`.

    Returns:
        (3, *BOX) float32, voxels of the template.
    """
    came_from = [
        axis - np.float32(centre) - moved
        for axis, centre, moved in zip(axes_of(BOX), pose.centre, push, strict=True)
    ]
    coordinates = np.empty((3, *shape_of(BOX)), np.float32)
    for axis, row in enumerate(pose.matrix.astype(np.float32)):
        coordinates[axis] = sum(
            weight * part for weight, part in zip(row, came_from, strict=True)
        ) + np.float32(TEMPLATE_CENTRE[axis])
        for spacing, sd in _BULGE:
            coordinates[axis] += np.float32(sd) * smooth_field(rng, shape_of(BOX), spacing)
    return coordinates


def _rotation(angle: float, i: int, j: int) -> NDArray[np.float64]:
    matrix = np.eye(3)
    matrix[[i, j], [i, j]] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _with_maps(white: Volume, grey: Volume, is_inside: NDArray[np.bool_]) -> Template:
    hull = ndimage.distance_transform_edt(is_inside).astype(np.float32) * COARSE
    x, y, z = _mni_axes(is_inside.shape)
    deep = np.maximum(
        _blob((x, y, z), (0, -6, 8), (31, 46, 24)),  # basal ganglia and thalamus
        _blob((x, y, z), (0, -28, -28), (19, 20, 32)),  # brain stem
    )
    cerebellum = _blob((x, y, z), (0, -64, -34), (56, 42, 27)) * (1 - deep)
    core_white = ndimage.gaussian_filter(white[::COARSE, ::COARSE, ::COARSE], 1.0)
    folding = smoothstep(np.minimum(hull, np.abs(x)), 28, 16) * smoothstep(core_white, 1.0, 0.75)
    # The medial cortex, along the midline, is flatter.
    folding *= (1 - deep) * (1 - cerebellum) * (0.65 + 0.35 * smoothstep(np.abs(x), 3, 13))
    is_site = (core_white > 0.6) & (hull > 16) & (np.abs(x) > 16)
    is_site &= (y > -70) & (y < 50) & (z > -4) & (z < 30)
    return Template(
        white=white,
        grey=grey,
        hull=hull,
        folding=folding,
        region=deep - cerebellum,
        surface=_nearest_surface(is_inside, np.abs(x) > 0)[:, is_inside],
        is_inside=is_inside,
        sites=np.argwhere(is_site) * COARSE,
    )


def _mni_axes(shape: tuple[int, ...]) -> tuple[Volume, Volume, Volume]:
    """MNI coordinates of coarse voxels, mm: x to the right, y to the front, z upwards."""
    i, j, k = (
        np.float32(COARSE) * axis - np.float32(origin)
        for axis, origin in zip(
            axes_of((slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))),
            _ORIGIN,
            strict=True,
        )
    )
    return -i, -j, k


def _blob(
    axes: tuple[Volume, Volume, Volume], centre: tuple[int, ...], radii: tuple[int, ...]
) -> Volume:
    """An ellipsoid in MNI coordinates: 1 inside, 0 outside, with a soft border."""
    parts = zip(axes, centre, radii, strict=True)
    squared = [((axis - middle) / radius) ** 2 for axis, middle, radius in parts]
    return smoothstep(np.sqrt(squared[0] + squared[1] + squared[2]), 1.15, 0.85)


def _nearest_surface(is_inside: NDArray[np.bool_], is_off_middle: NDArray[np.bool_]) -> Volume:
    """(3, X, Y, Z) the nearest point on the hull or the midline plane, in coarse voxels."""
    _, nearest = ndimage.distance_transform_edt(is_inside & is_off_middle, return_indices=True)
    surface = np.stack([ndimage.gaussian_filter(axis.astype(np.float32), 1.2) for axis in nearest])
    # Both hemispheres touch at the midline: apart, they fold independently of each other.
    surface[0, is_inside.shape[0] // 2 + 1 :] += HEMISPHERE_GAP
    return surface

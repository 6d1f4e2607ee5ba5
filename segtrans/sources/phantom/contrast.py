"""What a scanner makes of tissue and lesion: four sequences, each with its own look."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segtrans.sources.phantom.fields import Volume, shape_of, smooth_field, within
from segtrans.sources.phantom.tissue import Tissue
from segtrans.sources.phantom.tumour import Lesion
from segtrans.sources.phantom.white_matter import Spots

_NOISE_MARGIN = 24  # voxels by which the noise is larger than the head


@dataclass(frozen=True)
class Look:
    """Brightness of each tissue in one sequence, relative to one another.

    Attributes:
        fluid, grey, deep, white: of healthy tissue.
        vessel: of blood vessels and choroid plexus.
        necrosis, rim, solid, oedema: of the tumour's parts.
        spot: of white-matter lesions.
        caps: how much brighter white matter is where it lines the ventricles.
        noise_sd: of the scanner's noise.
        slice_blur: sd across slices to choose from, in voxels: thick slices are blurred.
        level: stored value of brightness 1, before each scanner's own factor.
    """

    fluid: float
    grey: float
    deep: float
    white: float
    vessel: float
    necrosis: float
    rim: float
    solid: float
    oedema: float
    spot: float
    caps: float
    noise_sd: float
    slice_blur: tuple[float, ...]
    level: float


LOOKS = {
    "t1": Look(
        fluid=0.13, grey=0.66, deep=0.76, white=1.0, vessel=0.6,
        necrosis=0.38, rim=0.62, solid=0.56, oedema=0.66, spot=0.58,
        caps=0, noise_sd=0.015, slice_blur=(0.5, 0.8, 1.2, 1.8), level=520,
    ),
    "t1ce": Look(
        fluid=0.17, grey=0.70, deep=0.78, white=1.0, vessel=1.7,
        necrosis=0.36, rim=1.65, solid=0.58, oedema=0.66, spot=0.6,
        caps=0, noise_sd=0.03, slice_blur=(0.5, 0.5, 1.0), level=520,
    ),
    "t2": Look(
        fluid=3.7, grey=1.12, deep=0.92, white=0.8, vessel=0.35,
        necrosis=2.2, rim=1.35, solid=1.8, oedema=1.65, spot=1.75,
        caps=0, noise_sd=0.03, slice_blur=(0.5, 0.8, 1.2, 1.8), level=560,
    ),
    "flair": Look(
        fluid=0.16, grey=1.05, deep=0.95, white=0.92, vessel=0.5,
        necrosis=0.9, rim=1.35, solid=1.75, oedema=1.65, spot=1.8,
        caps=0.35, noise_sd=0.03, slice_blur=(0.5, 0.8, 1.2, 1.8), level=400,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Details:
    """What all sequences of a head share beside its tissue, over the tissue's box.

    Attributes:
        vessel: float32 in [0, 1], share of vessels and choroid plexus.
        fine: texture of about two voxels, sd 1.
        coarse: texture of about eight voxels, sd 1.
        caps: in [0, 1], how near the ventricles are.
        noise: sd 1, larger than the box by `_NOISE_MARGIN`: each sequence takes its own part.
    """

    vessel: Volume
    fine: Volume
    coarse: Volume
    caps: Volume
    noise: Volume


def draw_details(rng: np.random.Generator, tissue: Tissue) -> Details:
    """Vessels, texture and noise of one head."""
    shape = shape_of(tissue.box)
    noise = rng.standard_normal([size + _NOISE_MARGIN for size in shape], dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, 0.55, truncate=3)
    return Details(
        vessel=_vessels(rng, tissue),
        fine=smooth_field(rng, shape, 2.5),
        coarse=smooth_field(rng, shape, 8),
        caps=ndimage.gaussian_filter(tissue.ventricle, 2.2, truncate=2.5),
        noise=noise / noise.std(),
    )


def acquire(
    rng: np.random.Generator,
    look: Look,
    tissue: Tissue,
    lesion: Lesion,
    details: Details,
    spots: Spots | None,
) -> NDArray[np.int16]:
    """One sequence over the tissue's box, int16, 0 outside the brain."""
    bright = _healthy(rng, look, tissue, details)
    _add_lesion(rng, look, bright, tissue, lesion, details)
    if spots is not None:
        bright += (np.float32(look.spot) * spots.brightness - bright) * spots.weight
    image = _blurred(rng, look, bright, tissue.is_brain)
    bias = np.float32(rng.uniform(0.06, 0.14)) * smooth_field(rng, image.shape, 60)
    image = _noisy(rng, look, image * np.exp(bias), details.noise)
    # Interpolation to the common grid overshoots, and correction of the background subtracts: the
    # darkest voxels become negative.
    overshoot = rng.uniform(0.08, 0.18)
    for axis in range(3):
        image = ndimage.correlate1d(image, [-overshoot, 1 + 2 * overshoot, -overshoot], axis)
    image -= np.float32(rng.uniform(0.03, 0.09))
    scale = np.float32(look.level * np.exp(rng.normal(0, 0.5)))
    image *= scale * _coverage(rng, tissue.is_brain)
    stored: NDArray[np.int16] = np.rint(image).astype(np.int16)
    return stored


def _vessels(rng: np.random.Generator, tissue: Tissue) -> Volume:
    """Share of vessels, thin tubes in the fluid, and of choroid plexus."""
    shape, spacing, radius = shape_of(tissue.box), 7, 0.75
    # Two random sheets meet in a tube.
    sheets = [smooth_field(rng, shape, spacing) for _ in range(2)]
    off_mm = (sheets[0] ** 2 + sheets[1] ** 2) * np.float32(spacing**2)
    tubes = np.exp(-off_mm / np.float32(2 * radius**2)) * np.clip(2 * tissue.fluid, 0, 1)
    grains = np.clip(smooth_field(rng, shape, 3) + np.float32(0.3), 0, 1.4)
    plexus = np.float32(0.7) * np.clip(tissue.plexus * grains, 0, 1)
    vessel: Volume = np.maximum(tubes, plexus)
    return vessel


def _healthy(rng: np.random.Generator, look: Look, tissue: Tissue, details: Details) -> Volume:
    fluid, grey, deep, white = (
        np.float32(value * np.exp(rng.normal(0, 0.05)))
        for value in (look.fluid, look.grey, look.deep, look.white)
    )
    bright: Volume = grey * tissue.grey + deep * tissue.deep + white * tissue.white
    bright += fluid * (1 + np.float32(0.12) * details.coarse) * tissue.fluid
    bright *= 1 + np.float32(0.02) * details.fine + np.float32(0.015) * details.coarse
    if look.caps:
        bright += np.float32(look.caps) * details.caps * tissue.white
    bright += (np.float32(look.vessel) - bright) * details.vessel
    return bright


def _add_lesion(
    rng: np.random.Generator,
    look: Look,
    bright: Volume,
    tissue: Tissue,
    lesion: Lesion,
    details: Details,
) -> None:
    """Turn tissue into lesion, in place; each part has a texture of its own."""
    inner = within(lesion.box, tissue.box)
    there = bright[inner]
    shared = np.float32(0.5) * (details.fine[inner] + details.coarse[inner])
    for weight, value, unevenness in (
        (lesion.oedema, look.oedema, 0.06),
        (lesion.solid, look.solid, 0.1),
        (lesion.necrosis, look.necrosis, 0.16),
        (lesion.rim, look.rim, 0.2),
    ):
        own = smooth_field(rng, there.shape, 6)
        target = np.float32(value * np.exp(rng.normal(0, 0.05)))
        there += (target * (1 + np.float32(unevenness) * (own + shared)) - there) * weight


def _blurred(
    rng: np.random.Generator, look: Look, bright: Volume, is_brain: NDArray[np.bool_]
) -> Volume:
    """Blurred by the scanner, more across slices; darker towards the skull, which is dark."""
    sd = (0.65, 0.65, rng.choice(look.slice_blur))
    cover = ndimage.gaussian_filter(is_brain.astype(np.float32), sd, truncate=2.5)
    image: Volume = ndimage.gaussian_filter(bright, sd, truncate=2.5)
    image /= np.maximum(cover, np.float32(0.2)) ** np.float32(0.6)
    return image


def _noisy(rng: np.random.Generator, look: Look, image: Volume, noise: Volume) -> Volume:
    """The magnitude of a signal with noise in both of its channels (Rician)."""
    sd = np.float32(look.noise_sd * rng.uniform(0.7, 1.4))
    real, imaginary = (sd * _part_of(rng, noise, image.shape) for _ in range(2))
    magnitude: Volume = np.sqrt((image + real) ** 2 + imaginary**2)
    return magnitude


def _part_of(rng: np.random.Generator, noise: Volume, shape: tuple[int, ...]) -> Volume:
    """A part of the noise at random, mirrored at random: unlike every other part."""
    start = rng.integers(0, _NOISE_MARGIN + 1, 3)
    where = [slice(low, low + size) for low, size in zip(start, shape, strict=True)]
    mirror = [slice(None, None, int(step)) for step in rng.choice([-1, 1], 3)]
    part: Volume = noise[tuple(where)][tuple(mirror)]
    return part


def _coverage(rng: np.random.Generator, is_brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The brain, without a few slices at one end where this sequence did not reach so far."""
    is_covered = is_brain.copy()
    if rng.random() < 0.2:
        n_missing = int(rng.integers(1, 5))
        is_covered[..., -n_missing:] = False
    return is_covered

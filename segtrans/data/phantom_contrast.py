"""Four sequences of a made-up head: contrasts of its tissues, then what a scanner adds."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

from segtrans.data.phantom_fields import smooth_field, texture
from segtrans.data.phantom_tumour import ENHANCING, NECROSIS, OEDEMA

Volume = NDArray[np.float32]

# Brightness of white matter, grey matter, fluid; necrosis, oedema, enhancing rim, and of the solid
# core of a tumour of low grade. White matter on T1 is 1.
_CONTRASTS = {
    "t1": (1.00, 0.68, 0.20, 0.38, 0.68, 0.60, 0.50),
    "t2": (0.44, 0.63, 1.50, 1.40, 1.00, 0.85, 1.20),
    "t1c": (1.00, 0.70, 0.22, 0.42, 0.70, 1.50, 0.54),
    "flair": (0.72, 0.84, 0.26, 0.78, 1.38, 1.10, 1.28),
}
_DETAIL = {"t1": 0.9, "t2": -0.5, "t1c": 0.9, "flair": -0.25}


class Head(Protocol):
    """What is scanned; `segtrans.data.phantom.Anatomy` has it."""

    @property
    def brain(self) -> NDArray[np.bool_]:
        """Whether a voxel belongs to it, (X, Y, Z)."""
        ...

    @property
    def tissues(self) -> Volume:
        """Shares of white matter, grey matter and fluid, (3, n)."""
        ...

    @property
    def detail(self) -> Volume:
        """Brightness on T1 beyond the tissues', (n,)."""
        ...


def scan_of(
    rng: np.random.Generator, head: Head, labels: NDArray[np.uint8], grade: str
) -> dict[str, NDArray[np.int16]]:
    """The sequences t1, t2, t1c and flair of a head, (X, Y, Z) int16; the background is 0.

    Args:
        rng: the only source of randomness.
        head: its n voxels of brain and their tissues.
        labels: 1, 2 and 4 of the tumour.
        grade: HGG, whose label 1 is necrosis, or LGG, where it is solid tissue.
    """
    shares = _shares(rng, head, labels)
    # Contrast agent shines in vessels too: specks in sulci and ventricles.
    specks = texture(rng, labels.shape, sd=1.0)[head.brain] * shares[2]
    rim = (head.brain & ~binary_erosion(head.brain))[head.brain]
    scans = {}
    for name in _CONTRASTS:
        scan = _contrast(rng, name, head, shares, is_solid=grade == "LGG")
        if name == "t1c":
            scan += np.clip(specks - 1.7, 0, 1.5)
        scans[name] = np.zeros(labels.shape, np.int16)
        scans[name][head.brain] = _measured(rng, scan, head.brain, rim)
    return scans


def _shares(rng: np.random.Generator, head: Head, labels: NDArray[np.uint8]) -> Volume:
    """Shares of white, grey, fluid, label 1, oedema and rim in each voxel of the brain, (6, n)."""
    core, oedema, rim = (
        _softened(labels == label, sd)
        for label, sd in ((NECROSIS, 0.7), (OEDEMA, 1.3), (ENHANCING, 0.6))
    )
    # Oedema thins out and spares some of the tissue that it soaks.
    oedema *= np.clip(0.82 + 0.16 * smooth_field(rng, labels.shape, spacing=7), 0.3, 1)
    lesion = np.stack([core[head.brain], oedema[head.brain], rim[head.brain]])
    lesion /= np.maximum(lesion.sum(axis=0), 1)
    return np.concatenate([head.tissues * (1 - lesion.sum(axis=0)), lesion])


def _softened(mask: NDArray[np.bool_], sd: float) -> Volume:
    """A mask with soft borders; only the box around it is worked on."""
    soft = np.zeros(mask.shape, np.float32)
    if not mask.any():
        return soft
    box = tuple(slice(max(0, places.min() - 4), places.max() + 5) for places in np.nonzero(mask))
    soft[box] = gaussian_filter(mask[box].astype(np.float32), sd, truncate=2.5)
    return soft


def _contrast(
    rng: np.random.Generator, name: str, head: Head, shares: Volume, *, is_solid: bool
) -> Volume:
    """Brightness of each voxel of the brain without noise, (n,)."""
    white, grey, fluid, necrosis, oedema, rim, solid = np.array(_CONTRASTS[name]) * np.exp(
        rng.normal(0, 0.04, 7)
    )
    levels = (white, grey, fluid, solid if is_solid else necrosis, oedema, rim)
    scan = np.asarray(np.array(levels, np.float32) @ shares)
    scan += np.float32(_DETAIL[name]) * head.detail * shares[:3].sum(axis=0)
    lumps = smooth_field(rng, head.brain.shape, spacing=4)[head.brain]
    scan *= 1 + lumps * (np.float32(0.12) * (shares[3] + shares[5]) + np.float32(0.015))
    return scan


def _measured(
    rng: np.random.Generator, scan: Volume, brain: NDArray[np.bool_], rim: NDArray[np.bool_]
) -> NDArray[np.int16]:
    """What a scanner and skull-stripping make of it, (n,), in a scale of the sequence's own."""
    bias = smooth_field(rng, brain.shape, spacing=60)[brain]
    sd = np.float32(rng.uniform(0.02, 0.035))
    real = scan * np.exp(np.float32(0.07) * bias) + sd * texture(rng, brain.shape, sd=0.6)[brain]
    imaginary = sd * rng.standard_normal(scan.shape, dtype=np.float32)
    magnitude = np.hypot(real, imaginary)  # Rician
    # A stripped skull leaves a ragged rim: darker, some voxels lost, some below zero.
    edge = rng.random(int(rim.sum()), dtype=np.float32)
    magnitude[rim] *= np.where(edge < 0.02, -0.08, np.minimum(1, 0.35 + edge))
    brightness = np.float32(rng.uniform(220, 900))
    return np.asarray(np.rint(magnitude * brightness), np.int16)

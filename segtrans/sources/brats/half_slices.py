"""From a patient's volumes to half-slices of P and A (section 4.2).

Volumes are (X, Y, Z) in LPS orientation: X grows to the patient's left. An axial slice is cut at
the middle of X; a half-slice is (H, W) = (Y, X / 2), its rows run from front to back.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.data.beside import are_beside
from segtrans.errors import UserError
from segtrans.tasks.base import VOID
from segtrans.tasks.parameters import HalfSliceRules
from segtrans.tasks.sides import SIDES

_LEAST_SD = 1e-30  # one over it is a number in float32

Volumes = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Intensities:
    """Mean and standard deviation of the brain by sequence, in the scan's units."""

    mean: dict[str, float]
    sd: dict[str, float]


@dataclass(frozen=True)
class HalfSlices:
    """Half-slices of one domain of one patient, by slice within side.

    Attributes:
        image: (n, C, H, W) float16, z-scores of the brain; the background is 0.
        mask: (n, H, W) uint8, compact classes or bits of pathologies; nothing in domain A.
        shows: (n, K) uint8, whether each shows pathology k: 1, 0, or `VOID` where it is there and
            smaller than the rule asks of P.
        side: (n,) of SIDES.
        slice_index: (n,) int64, index along Z of the volume.
    """

    image: NDArray[np.float16]
    mask: NDArray[np.uint8]
    shows: NDArray[np.uint8]
    side: NDArray[np.str_]
    slice_index: NDArray[np.int64]


@dataclass(frozen=True)
class Domains:
    """What a patient gives.

    Attributes:
        present: half-slices of P.
        absent: half-slices of A.
        neither: those beside them that are in neither domain; none with `neighbours` = 0.
        counts: number of half-slices by fate: present, absent, without_brain, small_brain
            (dropped for too little brain), small_lesion (in neither domain).
    """

    present: HalfSlices
    absent: HalfSlices
    neither: HalfSlices
    counts: dict[str, int]


def brain_of(volumes: Volumes) -> NDArray[np.bool_]:
    """Brain voxels, (X, Y, Z): not background (zero) in any sequence."""
    brain: NDArray[np.bool_] = np.logical_or.reduce([volume != 0 for volume in volumes.values()])
    return brain


def intensities_of(
    volumes: Volumes, brain: NDArray[np.bool_], *, normalisation: str, case_id: str
) -> Intensities:
    """Mean and standard deviation over the brain of the whole volume.

    Raises:
        UserError: a sequence has one value everywhere in the brain, or varies below 1e-30.
    """
    values = {name: volume[brain] for name, volume in volumes.items()}
    mean = {name: float(v.mean(dtype=np.float64)) for name, v in values.items()}
    sd = {name: float(v.std(dtype=np.float64)) for name, v in values.items()}
    if normalisation == "joint":
        centre = sum(mean.values()) / len(mean)
        # All sequences have equally many brain voxels: the variance within plus that between.
        variance = sum(sd[n] ** 2 + (mean[n] - centre) ** 2 for n in mean) / len(mean)
        mean, sd = dict.fromkeys(mean, centre), dict.fromkeys(sd, variance**0.5)
    for name in sd:
        if not sd[name] > _LEAST_SD:
            raise UserError(
                f"{case_id}: sequence {name} has one value, {mean[name]:g}, everywhere in the "
                f"brain (sd {sd[name]:g}); expected a scan; take the case out or mend the file"
            )
    return Intensities(mean, sd)


def half(volume: NDArray[Any], side: str) -> NDArray[Any]:
    """One side of a volume (X, Y, Z) as half-slices (Z, Y, W), a view.

    W is half of X; where X is odd both sides share the middle column.
    """
    width = (volume.shape[0] + 1) // 2
    part = volume[:width] if side == "right" else volume[-width:]
    return part.transpose(2, 1, 0)


def normalised(
    volumes: Volumes,
    brain: NDArray[np.bool_],
    intensities: Intensities,
    *,
    side: str,
    slices: NDArray[np.int64],
    mirror: bool,
) -> NDArray[np.float16]:
    """Chosen half-slices of one side: z-scores (n, C, H, W), background 0."""
    is_brain = half(brain, side)[slices]
    image = np.zeros((len(slices), len(volumes), *is_brain.shape[1:]), np.float16)
    for channel, (name, volume) in enumerate(volumes.items()):
        z_score = half(volume, side)[slices].astype(np.float32)
        z_score -= np.float32(intensities.mean[name])
        z_score *= np.float32(1 / intensities.sd[name])
        z_score *= is_brain
        image[:, channel] = z_score
    return np.ascontiguousarray(image[..., ::-1]) if mirror else image


def make_half_slices(
    volumes: Volumes,
    mask: NDArray[np.uint8],
    rules: HalfSliceRules,
    *,
    case_id: str,
    n_pathologies: int = 0,
) -> tuple[Domains, Intensities]:
    """All half-slices of a patient that belong to a domain, and what they were normalised by.

    Of several pathologies, a half-slice belongs to P if one of them is large enough, and to A
    without any.

    Args:
        volumes: (X, Y, Z) in LPS orientation by sequence, in channel order.
        mask: (X, Y, Z), compact classes, 0 is background; or bit k of pathology k.
        rules: what to keep.
        case_id: names the patient in errors.
        n_pathologies: K; 0 of one target.

    Raises:
        UserError: a sequence has one value everywhere in the brain.
    """
    brain = brain_of(volumes)
    intensities = intensities_of(volumes, brain, normalisation=rules.normalisation, case_id=case_id)
    parts: dict[str, list[HalfSlices]] = {"present": [], "absent": [], "neither": []}
    counts = dict.fromkeys(("present", "absent", "without_brain", "small_brain", "small_lesion"), 0)
    for side in SIDES:
        mirror = rules.mirror_right and side == "right"
        is_of = [half(mask, side) & (1 << k) != 0 for k in range(n_pathologies)]
        sizes = [_sizes(half(brain, side), of, rules) for of in is_of or [half(mask, side) != 0]]
        shows = np.stack(sizes, axis=1)
        fates = _fates(half(brain, side), shows, rules)
        for fate in counts:
            counts[fate] += int((fates == fate).sum())
        is_image = np.isin(fates, ("present", "absent"))
        fates[are_beside(is_image, rules.neighbours)] = "neither"
        for domain, of_domain in parts.items():
            slices = np.flatnonzero(fates == domain)
            masks = half(mask, side)[slices]
            of_domain.append(
                HalfSlices(
                    normalised(
                        volumes, brain, intensities, side=side, slices=slices, mirror=mirror
                    ),
                    np.ascontiguousarray(masks[..., ::-1]) if mirror else masks,
                    shows[slices, :n_pathologies],
                    np.full(len(slices), side),
                    slices.astype(np.int64),
                )
            )
    present, absent, neither = (_joined(of_domain) for of_domain in parts.values())
    return Domains(present, absent, neither, counts), intensities


def _sizes(
    brain: NDArray[np.bool_], lesion: NDArray[np.bool_], rules: HalfSliceRules
) -> NDArray[np.uint8]:
    """Whether each half-slice (Z,) shows a lesion, by the 1 % rule of section 4.2: 1, 0 or `VOID`.

    Lesion outside the brain does not count for it, but is there.
    """
    n_brain, n_lesion = (np.count_nonzero(of, axis=(1, 2)) for of in (brain, lesion))
    n_inside = np.count_nonzero(lesion & brain, axis=(1, 2))
    is_large = n_inside >= rules.min_lesion_fraction * n_brain
    return np.select([n_lesion == 0, is_large], [0, 1], default=VOID).astype(np.uint8)


def _fates(
    brain: NDArray[np.bool_], shows: NDArray[np.uint8], rules: HalfSliceRules
) -> NDArray[np.str_]:
    """What becomes of each half-slice (Z,), by the 25 % and the 1 % rule of section 4.2.

    Args:
        brain: (Z, H, W).
        shows: (Z, K), as `_sizes`.
        rules: what to keep.
    """
    n_brain = np.count_nonzero(brain, axis=(1, 2))
    n_pixels = brain.shape[1] * brain.shape[2]
    return np.select(
        [
            n_brain == 0,
            n_brain < rules.min_brain_fraction * n_pixels,
            (shows == 0).all(axis=1),
            (shows == 1).any(axis=1),
        ],
        ["without_brain", "small_brain", "absent", "present"],
        default="small_lesion",
    )


def _joined(parts: list[HalfSlices]) -> HalfSlices:
    return HalfSlices(
        np.concatenate([part.image for part in parts]),
        np.concatenate([part.mask for part in parts]),
        np.concatenate([part.shows for part in parts]),
        np.concatenate([part.side for part in parts]),
        np.concatenate([part.slice_index for part in parts]),
    )

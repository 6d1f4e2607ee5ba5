"""What slices look like from afar: what may tell their domain without the target."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.own_folder.thumbnails import THUMBNAIL, centre_of, thumbnail_of

PLACE = "position among the slices (0 is the first, 1 the last)"
NAMES = (
    "spacing within slices",
    "spacing between slices",
    "share that is not background",
    "brightness",
    "contrast",
    "sharpness",
    PLACE,
    "row of the middle of what is not background",
    "column of the middle of what is not background",
)


@dataclass(frozen=True)
class Measures:
    """Numbers of some images of a domain.

    Attributes:
        numbers: (k, D), of `NAMES`.
        thumbnails: (k, C, 16, 16), means of blocks as networks see them.
    """

    numbers: NDArray[np.float64]
    thumbnails: NDArray[np.float32]


def measure(
    image: NDArray[np.float16],
    content: NDArray[np.bool_],
    places: NDArray[np.floating],
    spacing_mm: tuple[float, float],
) -> Measures:
    """Of images (k, C, H, W), content (k, H, W) and places (k,) from 0 to 1.

    Args:
        image: as stored.
        content: what is not background.
        places: of each among all slices.
        spacing_mm: of the scan's file, in the plane and of slices.
    """
    numbers, thumbnails = [], []
    for one, inside, place in zip(image.astype(np.float32), content, places, strict=True):
        values = one[:, inside] if inside.any() else one.reshape(len(one), -1)
        row, column = centre_of(thumbnail_of(inside[..., None].astype(np.float32))[..., 0])
        numbers.append(
            (
                *spacing_mm,
                float(inside.mean()),
                float(values.mean()),
                float(values.std()),
                float(np.abs(np.diff(one, axis=2)).mean()),
                float(place),
                *(row, column),
            )
        )
        thumbnails.append(thumbnail_of(np.moveaxis(one, 0, 2)).transpose(2, 0, 1))
    return Measures(
        np.array(numbers, np.float64).reshape(-1, len(NAMES)),
        np.array(thumbnails, np.float32).reshape(-1, image.shape[1], THUMBNAIL, THUMBNAIL),
    )

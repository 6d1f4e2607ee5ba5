"""Images read from a store and checked. Imports no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.data.store import Store
from segtrans.errors import UserError


def read_images(
    store: Store, fold: str, domain: str, indices: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Images (n, C, H, W) float32 as networks see them: clipped to [-1, 1], not augmented.

    Raises:
        UserError: an image holds NaN or an infinite value, or the file is damaged there.
    """
    stored = read_stored(store, fold, domain, indices)
    images: NDArray[np.float32] = stored.astype(np.float32) * np.float32(store.scale(fold, domain))
    return images.clip(-1, 1)


def read_stored(store: Store, fold: str, domain: str, indices: NDArray[np.int64]) -> NDArray[Any]:
    """Images (n, C, H, W) as they are stored, all of their values finite.

    Raises:
        UserError: an image holds NaN or an infinite value, or the file is damaged there.
    """
    images = store.images(fold, domain, indices)
    if images.dtype.kind != "f":  # whole numbers are always finite
        return images
    is_finite = np.isfinite(images).all(axis=tuple(range(1, images.ndim)))
    if not is_finite.all():
        raise UserError(
            f"{store.path}: /{fold}/{domain}/image: image {indices[np.argmin(is_finite)]} holds "
            "NaN or an infinite value; make the data set again"
        )
    return images

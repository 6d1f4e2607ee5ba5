"""Folders of pictures with something in them, drawn with a seed."""

import numpy as np
from PIL import Image
from skimage.draw import disk


def picture(rng, shape=(60, 80), n_channels=1, *, shows_target):
    """Noise on a slope, with or without a bright disc; and the disc's mask."""
    slope = np.linspace(40, 120, shape[1]) + rng.normal(0, 6, shape)
    mask = np.zeros(shape, bool)
    if shows_target:
        middle = [rng.integers(n // 4, 3 * n // 4) for n in shape]
        mask[disk(middle, min(shape) // 6, shape=shape)] = True
    image = (slope + 90 * mask).clip(0, 255).astype(np.uint8)
    if n_channels > 1:
        image = np.stack([image // (1 + n) for n in range(n_channels)], axis=-1)
    return image, mask


def write_folder(
    folder, *, n_present=12, n_masks=6, n_absent=10, shape=(60, 80), n_channels=1, bits=8, seed=0
):
    """present/p00.png..., absent/a00.png..., and masks/ of the first of present; the folder."""
    rng = np.random.default_rng(seed)
    for kind in ("present", "absent", "masks"):
        (folder / kind).mkdir(parents=True)
    for kind, n in (("present", n_present), ("absent", n_absent)):
        for number in range(n):
            shows_target = kind == "present"
            image, mask = picture(rng, shape, n_channels, shows_target=shows_target)
            if bits == 16:
                image = image.astype(np.uint16) * 257
            Image.fromarray(image).save(folder / kind / f"{kind[0]}{number:02}.png")
            if kind == "present" and number < n_masks:
                Image.fromarray(mask.astype(np.uint8) * 255).save(
                    folder / "masks" / f"p{number:02}.png"
                )
    return folder

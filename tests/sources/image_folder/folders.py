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


PATHOLOGIES = ("crack", "stain")


def picture_of_two(rng, shape=(60, 80), *, shows):
    """Noise on a slope with a dark bar (1), a bright disc (2), both (3) or none; and their masks.

    The second mask lies over the first in part where both are shown.
    """
    image, stain = picture(rng, shape, shows_target=bool(shows & 2))
    crack = np.zeros(shape, bool)
    if shows & 1:
        row = int(np.argwhere(stain)[:, 0].mean()) if shows & 2 else shape[0] // 2
        crack[row - 2 : row + 2, 8:-8] = True
    return (image - 60.0 * crack).clip(0, 255).astype(np.uint8), (crack, stain)


def save_mask(path, mask, value=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * value).save(path)


def write_folder_of_two(folder, *, n_of_kind=6, n_masked=4, n_absent=10, shape=(60, 80), seed=0):
    """present/<b><number>.png by folders, b what it shows: 1 crack, 2 stain, 3 both; the folder.

    The first pictures of each kind have masks of both; of the next there is a mask of the crack
    alone; of all others it is known by their folders that they show one, and no more.
    """
    rng = np.random.default_rng(seed)
    places = {1: "crack/no_stain", 2: "stain", 3: "crack/stain"}
    for shows, place in places.items():
        for number in range(n_of_kind):
            image, masks = picture_of_two(rng, shape, shows=shows)
            name = f"{shows}{number:02}.png"
            is_masked = (number < n_masked, number < n_masked)
            if number == n_masked:
                is_masked = (True, False)
            path = folder / "present" / ("" if is_masked[1] else place) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            for pathology, mask, is_there in zip(PATHOLOGIES, masks, is_masked, strict=True):
                if is_there:
                    save_mask(folder / "masks" / pathology / name, mask)
    for number in range(n_absent):
        path = folder / "absent" / f"a{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture_of_two(rng, shape, shows=0)[0]).save(path)
    (folder / "dataset.yaml").write_text(
        "multi_label: true\nclasses: {crack: 1, stain: 2}\nheight: 48\nwidth: 48\n"
        "architecture: mnist48\nvalid_fraction: 0.2\ntest_fraction: 0.2\n"
    )
    return folder

"""Small folders of pictures, written by Pillow and tifffile."""

from pathlib import Path

import numpy as np
from PIL import Image

from segtrans.tasks.image_folder import ImageFolder


def task(**values):
    return ImageFolder(kind="image_folder", directory="d", title="T", **values)


def pixels(seed, shape=(24, 32), dtype=np.uint8):
    high = 2 if dtype is bool else np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def square(value=255, shape=(24, 32)):
    mask = np.zeros(shape, np.uint8)
    mask[4:12, 6:16] = value
    return mask


def save(path, content, **options):
    """Write pixels as a picture, or text as it is."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
    else:
        Image.fromarray(content).save(path, **options)
    return path


def fill(folder, *names):
    """Write files: masks below masks/, text where an ending is no picture's, else noise."""
    for seed, name in enumerate(names):
        is_picture = Path(name).suffix.lower() in (".png", ".bmp", ".jpg", ".tif")
        is_mask = "mask" in name.lower() or "ground" in name or "_seg" in name
        save(folder / name, (square() if is_mask else pixels(seed)) if is_picture else "text")
    return folder

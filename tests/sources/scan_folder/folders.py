"""Folders of small scans with something in them, drawn with a seed."""

import numpy as np

from tests.sources.scan_folder.scan_files import make_task, write_nifti

SHAPE = (40, 44, 10)  # X, Y, Z


def task(**values):
    """A task whose images hold these scans."""
    return make_task(**{"height": 44, "width": 40, "spacing_mm": (2.0, 2.0, 5.0)} | values)


def scan(rng, shape=SHAPE, *, shows_target):
    """Noise in an ellipsoid on 0, (X, Y, Z) float32, with or without a bright ball; and its mask.

    The ball is in the middle third of the slices.
    """
    places = np.indices(shape).reshape(3, -1).T
    half = np.array(shape) / 2
    inside = (((places + 0.5 - half) / (half * (0.8, 0.8, 0.95))) ** 2).sum(axis=1) < 1
    volume = np.where(inside, rng.normal(100, 10, len(places)), 0)
    mask = np.zeros(len(places), bool)
    if shows_target:
        side = 1 if rng.integers(2) else -1
        middle = half + np.array([side * shape[0] * 0.2, shape[1] * rng.uniform(-0.1, 0.1), 0])
        radius = (shape[0] * 0.12, shape[0] * 0.12, shape[2] / 6)
        mask = (((places + 0.5 - middle) / radius) ** 2).sum(axis=1) < 1
        volume = volume + 80 * mask
    return volume.reshape(shape).astype(np.float32), mask.reshape(shape)


def save(path, volume, *, spacing=(2.0, 2.0, 5.0), codes="LPS"):
    """As `write_nifti`, at the spacing of these scans."""
    return write_nifti(path, np.asarray(volume), spacing=spacing, codes=codes)


def write_scans(folder, *, n_present=8, n_masks=4, n_absent=4, channels=("",), shape=SHAPE, seed=0):
    """present/p00.nii.gz..., absent/a00.nii.gz..., masks/ of the first of present; the folder.

    With several channels each case is a folder, present/p00/p00_t1.nii.gz...
    """
    rng = np.random.default_rng(seed)
    for domain, n in (("present", n_present), ("absent", n_absent)):
        for number in range(n):
            name = f"{domain[0]}{number:02}"
            volume, mask = scan(rng, shape, shows_target=domain == "present")
            for k, channel in enumerate(channels):
                place = f"{name}/{name}_{channel}" if channel else name
                noise = k * rng.normal(0, 5, shape) * (volume != 0)
                save(folder / domain / f"{place}.nii.gz", (volume + noise).astype(np.float32))
            if domain == "present" and number < n_masks:
                save(folder / "masks" / f"{name}.nii.gz", mask.astype(np.uint8))
    return folder

"""Folders of small scans with something in them, drawn with a seed."""

import nibabel as nib
import numpy as np

from segtrans.tasks.scan_folder import ScanFolder

SHAPE = (40, 44, 10)  # X, Y, Z


def task(**values):
    values = {"height": 44, "width": 40, "spacing_mm": (2.0, 2.0, 5.0)} | values
    return ScanFolder(kind="scan_folder", directory="d", title="T", **values)


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


def save(path, volume, *, spacing=(2.0, 2.0, 5.0), axes="LPS"):
    """Write a volume (X, Y, Z) in LPS orientation as NIfTI whose axes run as these letters say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])  # of LPS, in RAS millimetres
    image = nib.Nifti1Image(np.asarray(volume), affine)
    turned = nib.orientations.ornt_transform(
        nib.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(axes))
    )
    nib.save(image.as_reoriented(turned), path)
    return path


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

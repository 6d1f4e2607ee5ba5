"""Scans of a few voxels, as NIfTI in any axis order and as DICOM series."""

import locale

import nibabel as nib
import numpy as np
import SimpleITK

from segtrans.sources.scan_folder.item import ScanFiles
from segtrans.tasks.scan_folder import ScanFolder

SERIES = "1.2.826.0.1.3680043.2.1125.1"


def make_task(**content):
    base = {"kind": "scan_folder", "title": "Scans", "directory": "scans", "height": 32}
    return ScanFolder.model_validate(base | {"width": 32} | content, strict=False)


def write_nifti(path, lps, *, spacing=(1.0, 1.0, 1.0), codes="LPS", moved=(0, 0, 0)):
    """Write a volume (X, Y, Z), to the left, back and head, in some axis order."""
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = np.array([40, 50, -60.0]) + moved
    image = nib.Nifti1Image(lps, affine)
    wanted = nib.orientations.axcodes2ornt(tuple(codes))
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image.as_reoriented(turn), path)
    return path


def files_of(*paths, names=("scan",), case_id="P1"):
    return ScanFiles(case_id, dict(zip(names, paths, strict=True)))


def write_series(
    folder, volume, *, spacing=(1.0, 1.0, 1.0), turn=None, tags=(), positions=None, series=SERIES
):
    """Write (columns, rows, slices) whole numbers as a DICOM series, slices in disorder.

    `tags` are of all slices, or functions of the number of a slice; `positions` moves slices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(volume.transpose(2, 1, 0)))
    image.SetSpacing(spacing)
    image.SetOrigin((-12.5, 7.25, 30.0))
    if turn is not None:
        image.SetDirection(np.asarray(turn).ravel().tolist())
    direction = np.array(image.GetDirection()).reshape(3, 3)
    n = volume.shape[2]
    order = np.random.default_rng(0).permutation(n)
    for k in range(n):
        one = image[:, :, k]
        at = image.TransformIndexToPhysicalPoint((0, 0, k))
        if positions is not None:
            at = positions(k, at)
        values = {
            "0008|0060": "CT",
            "0008|103e": "Thorax",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0020|000e": series,
            "0020|0013": str(order[k] + 1),
            "0020|0032": "\\".join(f"{x:.6f}" for x in at),
            "0020|0037": "\\".join(f"{x:.6f}" for x in direction[:, :2].T.ravel()),
        }
        values |= {key: value(k) if callable(value) else value for key, value in dict(tags).items()}
        for key, value in values.items():
            one.SetMetaData(key, value)
        one.SetMetaData("0008|0018", f"{series}.{k + 1}")
        write_dicom(one, folder / f"IM{order[k]:03d}.dcm")
    return image


def write_dicom(image, path, *, is_compressed=False):
    """Write one slice by SimpleITK, whose writer leaves the process in the locale C: undo that."""
    before = locale.setlocale(locale.LC_ALL)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(is_compressed)
    writer.SetFileName(str(path))
    writer.Execute(image)
    locale.setlocale(locale.LC_ALL, before)

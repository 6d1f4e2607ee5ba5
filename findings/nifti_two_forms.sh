#!/usr/bin/env bash
# One NIfTI file, two places: which form of the header do nibabel and ITK believe?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.3.2 numpy==2.2.6 simpleitk==2.5.2
"$folder/venv/bin/python" - "$folder/scan.nii" <<'PY'
import sys

import nibabel as nib
import numpy as np
import SimpleITK as sitk

path = sys.argv[1]
print("nibabel", nib.__version__, "SimpleITK", sitk.Version_VersionString())
image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), None)
scanner, aligned = np.diag([1.0, 1.0, 1.0, 1.0]), np.diag([1.0, 1.0, 1.0, 1.0])
aligned[:3, 3] = [30.0, 0.0, 0.0]  # the same scan, registered: 30 mm further to the left
image.header.set_qform(scanner, code=1)
image.header.set_sform(aligned, code=2)
nib.save(image, path)

by_nibabel = nib.load(path).affine[:3, 3]
x, y, z = sitk.ReadImage(path).GetOrigin()
by_itk = np.array([-x, -y, z])  # ITK counts to the left and to the back
print("origin by nibabel, mm:", by_nibabel.tolist())
print("origin by ITK, mm:    ", (by_itk + 0.0).tolist())
off = float(np.linalg.norm(by_nibabel - by_itk))
print(f"the same voxel lies {off:g} mm apart")
sys.exit(0 if np.isclose(off, 30.0) else "changed: the readers used to disagree by 30 mm")
PY

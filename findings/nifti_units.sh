#!/usr/bin/env bash
# A NIfTI header that counts in micrometres: how large is a voxel?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import nibabel as nib
import numpy as np
import SimpleITK

print("nibabel", version("nibabel"), "SimpleITK", version("SimpleITK"))
image = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.diag([500.0, 500.0, 500.0, 1.0]))
image.header.set_xyzt_units("micron")
nib.save(image, "microscope.nii")
by_nibabel = tuple(map(float, nib.load("microscope.nii").header.get_zooms()))
by_itk = SimpleITK.ReadImage("microscope.nii").GetSpacing()
print(f"by nibabel {by_nibabel}, by SimpleITK {by_itk}")
is_as_seen = by_nibabel == (500.0,) * 3 and np.allclose(by_itk, 0.5)
sys.exit(0 if is_as_seen else "changed: nibabel gave the number, SimpleITK millimetres")
PY

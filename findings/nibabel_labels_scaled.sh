#!/usr/bin/env bash
# A label map is read by get_fdata and saved under its own header of 8 bits: are its labels the same?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import nibabel as nib
import numpy as np

print("nibabel", version("nibabel"))
labels = np.array([0, 1, 2, 4], np.uint8).reshape(4, 1, 1)
nib.save(nib.Nifti1Image(labels, np.eye(4)), "first.nii")
first = nib.load("first.nii")
nib.save(nib.Nifti1Image(first.get_fdata(), first.affine, first.header), "second.nii")
again = nib.load("second.nii").get_fdata()
print("first.nii:", first.get_fdata().ravel(), "second.nii:", again.ravel())
n_ones = int((again == 1).sum())
print(f"voxels that are 1: {int((first.get_fdata() == 1).sum())} and {n_ones}")
is_as_seen = n_ones == 0 and abs(again[1, 0, 0] - 1.0039) < 1e-3
sys.exit(0 if is_as_seen else "changed: labels used to be scaled so that the largest is 255")
PY

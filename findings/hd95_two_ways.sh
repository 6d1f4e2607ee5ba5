#!/usr/bin/env bash
# The 95th percentile of the Hausdorff distance of the same two masks, by MedPy and by MONAI.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  medpy==0.5.2 monai==1.6.1 torch==2.13.0 scipy==1.17.1 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import torch
from medpy.metric.binary import hd95
from monai.metrics import compute_hausdorff_distance

square = np.zeros((60, 60), bool)
square[10:40, 10:40] = True
with_arm = square.copy()
with_arm[20:24, 40:56] = True  # 16 pixels long: hardly anything of the square is far from it
tensors = [torch.from_numpy(mask)[None, None] for mask in (square, with_arm)]
medpy = float(hd95(square, with_arm))
monai = float(compute_hausdorff_distance(*tensors, include_background=True, percentile=95))
print(f"medpy {version('medpy')}: {medpy:.2f} pixels")
print(f"monai {version('monai')}: {monai:.2f} pixels")
is_as_seen = abs(medpy - 10.95) < 0.01 and abs(monai - 13.75) < 0.01
sys.exit(0 if is_as_seen else "changed: MedPy used to pool both directions, MONAI to take the larger")
PY

#!/usr/bin/env bash
# The polygon of a square of side 10, as annotation tools write it: how many pixels does it cover?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pycocotools==2.0.11 scikit-image==0.26.0 pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask
from skimage.draw import polygon2mask

corners = [(2, 2), (12, 2), (12, 12), (2, 12)]
flat = [float(value) for corner in corners for value in corner]
image = Image.new("1", (20, 20))
ImageDraw.Draw(image).polygon(corners, fill=1)
n_pixels = {
    "pycocotools": int(mask.decode(mask.merge(mask.frPyObjects([flat], 20, 20))).sum()),
    "pillow": int(np.asarray(image).sum()),
    "scikit-image": int(polygon2mask((20, 20), [corner[::-1] for corner in corners]).sum()),
}
for name, n in n_pixels.items():
    print(f"{name} {version(name)}: {n} pixels")
is_as_seen = n_pixels == {"pycocotools": 100, "pillow": 121, "scikit-image": 121}
sys.exit(0 if is_as_seen else "changed: one used to fill to the corners, the others past them")
PY

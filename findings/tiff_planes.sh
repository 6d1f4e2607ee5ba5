#!/usr/bin/env bash
# A colour TIFF stored plane by plane: which axis are the colours?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 imageio==2.38.1 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import imageio.v3 as iio
import numpy as np
import tifffile
from skimage.io import imread

print(*(f"{name} {version(name)}" for name in ("scikit-image", "imageio", "tifffile")))
colour = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
tifffile.imwrite("pixels.tif", colour, photometric="rgb")
planes = np.ascontiguousarray(colour.transpose(2, 0, 1))
tifffile.imwrite("planes.tif", planes, photometric="rgb", planarconfig="separate")
seen = {}
for file in ("pixels.tif", "planes.tif"):
    seen[file] = [read(file).shape for read in (imread, iio.imread, tifffile.imread)]
    print(file, *map(str, seen[file]), "by scikit-image, imageio, tifffile")
last, first = (5, 7, 3), (3, 5, 7)
is_as_seen = seen == {"pixels.tif": [last] * 3, "planes.tif": [last, first, first]}
sys.exit(0 if is_as_seen else "changed: the readers used to differ on planes alone")
PY

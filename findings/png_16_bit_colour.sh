#!/usr/bin/env bash
# A colour PNG of 16 bits by scikit-image: how many bits come out, and of a grey one?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 imagecodecs==2026.3.6 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import imagecodecs
import numpy as np
from skimage.io import imread

print("scikit-image", version("scikit-image"), "Pillow", version("pillow"))
stored = np.linspace(0, 65535, 48).astype(np.uint16).reshape(4, 4, 3)
seen = {}
for name, pixels in {"grey": stored[..., 0], "colour": stored}.items():
    with open(f"{name}.png", "wb") as file:
        file.write(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    read = imread(f"{name}.png")
    seen[name] = read.dtype.name
    print(f"{name}: stored {pixels.dtype} up to {pixels.max()}, read {read.dtype} up to {read.max()}")
is_as_seen = seen == {"grey": "uint16", "colour": "uint8"}
sys.exit(0 if is_as_seen else "changed: colour used to lose its lower eight bits, grey to keep them")
PY

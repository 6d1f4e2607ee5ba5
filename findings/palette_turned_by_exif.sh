#!/usr/bin/env bash
# A palette PNG that EXIF mirrors: what does imageio make of it, asked to apply the orientation?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio==2.38.1 numpy==2.2.6 pillow==13.0.0
"$folder/venv/bin/python" - "$folder/picture.png" <<'PY'
import sys

import imageio.v3 as iio
import numpy as np
import PIL
from PIL import Image, ImageOps

path = sys.argv[1]
print("imageio", __import__("imageio").__version__, "Pillow", PIL.__version__)
picture = Image.new("P", (2, 1))
picture.putpalette([255, 0, 0, 0, 255, 0])
picture.putdata([0, 1])  # red, green
exif = Image.Exif()
exif[0x0112] = 2  # mirrored left to right: to be looked at as green, red
picture.save(path, exif=exif)

expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
read = iio.imread(path, rotate=True)
print("Pillow: ", expected.tolist())
print("imageio:", read.tolist())
colours = np.asarray(Image.open(path).convert("RGB"))
colours_reversed = np.array_equal(read, colours[..., ::-1])
print("imageio reversed red, green and blue instead of left and right:", colours_reversed)
sys.exit(0 if colours_reversed else "changed: imageio used to reverse the colours")
PY

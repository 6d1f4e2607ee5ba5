#!/usr/bin/env bash
# Strided convolutions in bfloat16 by torch, on a CPU with AMX, against float32.
set -euo pipefail
if ! grep -q amx_bf16 /proc/cpuinfo; then
  echo "nothing to see here: this CPU has no amx_bf16 (see /proc/cpuinfo)" >&2
  exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys

import torch
from torch.nn import functional as F


def largest_error(size, kernel_size, n_outputs, dtype, what):
    """Of the outputs or the input's gradient, over their largest value in float32."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, *size, generator=generator)
    weight = torch.randn(n_outputs, 4, *(kernel_size,) * len(size), generator=generator)
    convolve = F.conv2d if len(size) == 2 else F.conv3d

    def made(dtype):
        image = x.to(dtype).detach().requires_grad_()
        held = [torch.ones(n, dtype=dtype) * 1e6 for n in range(1, 40000, 200)]  # freed at once
        del held
        y = convolve(image, weight.to(dtype), stride=2)
        y.sum().backward()
        return (y if what == "outputs" else image.grad).detach().float()

    exact = made(torch.float32)
    return ((made(dtype) - exact).abs().max() / exact.abs().max()).item()


print(f"torch {torch.__version__}")
cases = {
    "images, outputs 3 wide": ((12, 8), 3, 8, "outputs"),
    "images, outputs 1 wide": ((12, 4), 3, 8, "outputs"),
    "volumes, outputs 3 wide": ((9, 9, 7), 3, 8, "outputs"),
    "volumes, outputs 1 wide": ((9, 9, 4), 3, 8, "outputs"),
    "volumes, input's gradient, all voxels read, 1 output channel": ((16, 20, 16), 4, 1, "gradient"),
    "volumes, input's gradient, last not read, 2 output channels": ((17, 20, 17), 4, 2, "gradient"),
    "volumes, input's gradient, last not read, 1 output channel": ((17, 20, 17), 4, 1, "gradient"),
}
wrong = []
for name, case in cases.items():
    size, kernel_size, n_outputs, what = case
    error = largest_error(size, kernel_size, n_outputs, torch.bfloat16, what)
    print(f"{name}: bfloat16 off by {error:.2g} of the largest value")
    wrong.append(not error < 0.05)  # infinite and no number at all are wrong too
seen = wrong == [False, True, False, True, False, False, True]
sys.exit(0 if seen else "changed: three of seven used to be as memory was, the others right")
PY

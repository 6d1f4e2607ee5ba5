"""Other views of the same images: noise, strong changes, CutMix, copy-paste.

Every number is drawn from the generator of the step, on the device, and none is read back.
"""

import torch
from torch import Tensor

from segtrans.processes import n_processes, share

_NOISE_SD, _NOISE_MOST = 0.1, 0.2
_JITTER, _JITTERED_SHARE = 0.5, 0.8
_CUTMIX_SHARE = 0.5
_CUTMIX_AREA = (0.02, 0.4)
_CUTMIX_RATIO = (0.3, 1 / 0.3)
_BLOCK = 2 / 3


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers in float32 for each number of (N, ...).

    Drawn for the joint batch: they do not depend on how many processes share it.
    """
    shape = (len(x) * n_processes(), *x.shape[1:])
    return share(torch.randn(shape, generator=generator, device=x.device))


def noisy(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images with noise N(0, 0.1^2), clipped to +-0.2, as SSL4MIS gives it to its teachers."""
    noise = _NOISE_SD * normal_like(x, generator)
    return x + noise.clamp(-_NOISE_MOST, _NOISE_MOST)


def strong_view(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] with another brightness and contrast, and noise.

    UniMatch's jitter of grey images: factors of U(0.5, 1.5) for brightness and then for contrast,
    of 4 images in 5. Its blur is left out, and the noise of `noisy` stands in.
    """
    brightness, contrast, which = _uniform(x, 3, generator)
    lit = _unit((x + 1) / 2 * (1 - _JITTER + 2 * _JITTER * brightness))
    mean = lit.mean(dim=(1, 2, 3), keepdim=True)
    jittered = _unit((lit - mean) * (1 - _JITTER + 2 * _JITTER * contrast) + mean) * 2 - 1
    return noisy(torch.where(which < _JITTERED_SHARE, jittered, x), generator).clamp(-1, 1)


def cutmix_boxes(x: Tensor, generator: torch.Generator) -> Tensor:
    """Where each image (N, C, H, W) gets another one's pixels: (N, 1, H, W) boolean.

    As UniMatch draws them: of every other image nothing; else a box of U(0.02, 0.4) of the area,
    rows over columns U(0.3, 3.3). One that does not fit is cut to the image, not drawn again.
    """
    has_box, area, ratio, top, left = _uniform(x, 5, generator)
    height, width = x.shape[-2:]
    pixels = _between(area, _CUTMIX_AREA) * (height * width)
    ratio = _between(ratio, _CUTMIX_RATIO)
    n_rows = (pixels * ratio).sqrt().clamp(max=height).floor()
    n_columns = (pixels / ratio).sqrt().clamp(max=width).floor()
    inside = _box(x, _start(top, height, n_rows), n_rows, _start(left, width, n_columns), n_columns)
    return inside & (has_box < _CUTMIX_SHARE)


def block(x: Tensor, generator: torch.Generator) -> Tensor:
    """One block of 2/3 of each side somewhere in the images, (1, 1, H, W) boolean (BCP)."""
    height, width = x.shape[-2:]
    top, left = torch.rand((2, 1, 1, 1, 1), generator=generator, device=x.device)
    n_rows, n_columns = (torch.full_like(top, int(side * _BLOCK)) for side in (height, width))
    return _box(x, _start(top, height, n_rows), n_rows, _start(left, width, n_columns), n_columns)


def from_previous(x: Tensor, inside: Tensor) -> Tensor:
    """Images or masks (N, ...) with the pixels inside from the one before in the batch."""
    return torch.where(inside, x.roll(1, dims=0), x)


def _uniform(x: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """`n` numbers in [0, 1) for each image, (N, 1, 1, 1) each; of the joint batch."""
    drawn = torch.rand((len(x) * n_processes(), n), generator=generator, device=x.device)
    return tuple(column.view(-1, 1, 1, 1) for column in share(drawn).unbind(dim=1))


def _between(u: Tensor, limits: tuple[float, float]) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * u


def _start(u: Tensor, size: int, length: Tensor) -> Tensor:
    return (u * (size - length + 1)).floor()


def _box(x: Tensor, top: Tensor, n_rows: Tensor, left: Tensor, n_columns: Tensor) -> Tensor:
    rows = torch.arange(x.shape[-2], device=x.device).view(1, 1, -1, 1)
    columns = torch.arange(x.shape[-1], device=x.device).view(1, 1, 1, -1)
    in_rows = (rows >= top) & (rows < top + n_rows)
    return in_rows & (columns >= left) & (columns < left + n_columns)


def _unit(x: Tensor) -> Tensor:
    return x.clamp(0, 1)

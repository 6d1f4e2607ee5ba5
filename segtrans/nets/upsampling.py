"""Repeating twice and then convolving (figure 9) at a quarter of the pixels.

Of the k x k pixels that a kernel sees in an image whose rows and columns were repeated, most are
the same. So the convolution of the repeated image is a transposed convolution of the small one,
with a kernel of (k + 1) x (k + 1) and stride 2: 9 instead of 25 products a pixel for k = 5, and 4
instead of 9 for k = 3.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrans.nets.convolution import Convolution
from segtrans.nets.rectifier import rectified

# For fewer images, such as the labelled ones, mending the border takes longer than it saves.
_MIN_IMAGES = 8


def upsample(x: Tensor, size: torch.Size) -> Tensor:
    """Repeat rows and columns of (N, C, h, w) twice, then crop to `size`.

    Args:
        x: maps, or those of volumes.
        size: (H, W) with H in {2h - 1, 2h} and W likewise; for these the nearest neighbour of
            row i is row i // 2, so that repetition and crop are one operation.
    """
    return F.interpolate(x, size=size, mode="nearest")


def upsampled_convolution(
    convolution: Convolution, x: Tensor, size: torch.Size, slope: float | None = None
) -> Tensor:
    """`convolution(upsample(x, size), slope)` with fewer operations; the same but for rounding.

    Args:
        convolution: stride 1, kernel of 3 or 5 pixels.
        x: maps (N, in_channels, h, w).
        size: (H, W) as in `upsample`. Where it crops, the plain way is taken: the reflected pixels
            are others there.
        slope: of the (leaky) ReLU that comes first; None: there is none.
    """
    # Of volumes too: batches of them are small.
    if len(x) < _MIN_IMAGES or x.ndim > 4 or size != tuple(2 * n for n in x.shape[2:]):
        y: Tensor = convolution(upsample(x, size), slope)
        return y
    radius = convolution.kernel_size[0] // 2
    # Reflection repeats the border pixel next to the border, as replication at low resolution does.
    if slope is None:
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    else:
        padded = rectified(x, (1, 1, 1, 1), "replicate", slope=slope)
    y = F.conv_transpose2d(
        padded,
        convolution.current_weight(_spread),
        convolution.bias,
        stride=2,
        padding=radius + 2,
    )
    return _mend_border(y, x, convolution, slope) if radius == 2 else y


def _spread(weight: Tensor) -> Tensor:
    """The transposed convolution's kernel: (in, out, k + 1, k + 1) from (out, in, k, k).

    In one dimension it is w[k - 1], w[k - 1] + w[k - 2], ..., w[1] + w[0], w[0].
    """
    k = weight.shape[-1]
    spread = weight.flatten(2) @ _spreading(k, weight.device, weight.dtype)
    return spread.view(*weight.shape[:2], k + 1, k + 1).transpose(0, 1)


@cache
def _spreading(k: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """What each of k x k weights adds to each of (k + 1) x (k + 1), of 0 and 1."""
    taps = torch.arange(k, device=device).unsqueeze(1)
    places = k - 1 - torch.arange(k + 1, device=device)
    along = ((taps == places) | (taps == places + 1)).to(dtype)
    return torch.kron(along, along)


def _mend_border(y: Tensor, x: Tensor, convolution: Convolution, slope: float | None) -> Tensor:
    """Add, in place, what reflection by a second pixel differs from replication.

    A 5 x 5 kernel at the border sees two pixels beyond it. The second one is the reflection of the
    image's third, so of the small image's second, where replication gave its first. Only the
    outermost rows and columns of y, (N, out, 2h, 2w), see it.
    """
    height, width = x.shape[-2:]
    rows, beyond = _borders(x, 2, slope)
    beyond = F.interpolate(beyond, size=(2, 2 * width), mode="nearest")
    beyond = F.pad(beyond, (2, 2, 0, 0), mode="reflect")
    # Padding and stride make the first kernel row meet the last image row only, and vice versa.
    mended = F.conv2d(
        beyond, convolution.current_weight(_outer_rows), stride=(2, 1), padding=(1, 0)
    )
    y.index_add_(2, rows, mended)

    columns, beyond = _borders(x, 3, slope)
    beyond = F.interpolate(beyond, size=(2 * height, 2), mode="nearest")
    beyond = F.pad(beyond, (0, 0, 2, 2), mode="replicate")
    mended = F.conv2d(
        beyond, convolution.current_weight(_outer_columns), stride=(1, 2), padding=(0, 1)
    )
    return y.index_add_(3, columns, mended)


def _outer_rows(weight: Tensor) -> Tensor:
    return weight[:, :, ::4]


def _outer_columns(weight: Tensor) -> Tensor:
    return weight[:, :, :, ::4]


def _borders(x: Tensor, axis: int, slope: float | None) -> tuple[Tensor, Tensor]:
    """Last and first place of y along an axis; x second to outermost less outermost there."""
    n = x.shape[axis]
    at_x, at_y = _places(n, x.device)
    beside = x.index_select(axis, at_x)
    if slope is not None:
        beside = F.leaky_relu(beside, slope) if slope else beside.relu()
    second, outermost = beside.chunk(2, dim=axis)
    return at_y, second - outermost


@cache
def _places(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    at_x = torch.tensor([n - 2, 1, n - 1, 0], device=device)
    return at_x, torch.tensor([2 * n - 1, 0], device=device)


def forget_constants() -> None:
    """Empty the caches of index and weight tensors, when those in it may be without values.

    Not to be called while a captured update (`train/updates.py`) lives, which reads them there.
    """
    _spreading.cache_clear()
    _places.cache_clear()

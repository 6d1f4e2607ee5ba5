"""A method with what stands before and behind it, for pictures of any size, as one torch module.

It does what `Fitting` and `Levels` do, in operations that ONNX has: resampling and padding are a
matrix for rows and one for columns, which are made for each picture's size.
"""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from segtrans.methods.inference import Segments
from segtrans.nets.convolution import Convolution
from segtrans.sources.intensity import Z_SCORE_SCALE
from segtrans.tasks.image_folder import ImageFolder, Intensity


class NetworkOfIntensities(nn.Module):
    """A method that segments images as data sets hold them, its weights as they convolve.

    Args:
        method: in evaluation mode; a copy is kept, in which spectral norm was applied for good.
    """

    def __init__(self, method: nn.Module) -> None:
        super().__init__()
        self.method = copy.deepcopy(method)
        for convolution in self.method.modules():
            if isinstance(convolution, Convolution) and convolution.spectral_norm:
                convolution.weight.data = convolution.current_weight().detach()
                convolution.spectral_norm = False

    def forward(self, intensities: Tensor) -> Tensor:
        """Probabilities (K, h, w) of one image (C, h, w) in [-1, 1]."""
        return cast(Segments, self.method).segment(intensities[None])[0]


class NetworkOfPictures(nn.Module):
    """A method that segments pictures of any size, as their files hold them.

    Args:
        method: in evaluation mode.
        task: whose `size` is fit or stretch.
        largest: of the values of the pictures' type, 1 for floating-point numbers; read by
            intensity mode dtype alone.
    """

    def __init__(self, method: nn.Module, task: ImageFolder, *, largest: float) -> None:
        super().__init__()
        self.network = NetworkOfIntensities(method)
        self.intensity, self.largest = task.intensity, largest
        self.size, self.keeps_shape = (task.height, task.width), task.size == "fit"

    def forward(self, picture: Tensor) -> Tensor:
        """Probabilities (K, H, W) in [0, 1] of one picture (H, W, C) of any type."""
        values = picture.float().permute(2, 0, 1)
        intensities = _intensities(values, self.intensity, self.largest)
        own = [_count(n, picture.device) for n in picture.shape[:2]]
        resized = self._resized(own)
        rows, columns = (_forth(*sizes) for sizes in zip(own, resized, self.size, strict=True))
        maps = self.network(rows @ intensities @ columns.T)
        rows, columns = (_back(*sizes) for sizes in zip(own, resized, self.size, strict=True))
        probabilities: Tensor = rows @ maps @ columns.T
        return probabilities

    def _resized(self, own: list[Tensor]) -> list[Tensor]:
        """Rows and columns before padding, as `Fitting.resized`: 0-d, float64."""
        if not self.keeps_shape:
            return [own[0].new_full((), new) for new in self.size]
        scales = [new / (old[-1] + 1) for old, new in zip(own, self.size, strict=True)]
        scale = torch.minimum(*scales)
        return [
            ((old[-1] + 1) * scale).round().clamp(1, new)
            for old, new in zip(own, self.size, strict=True)
        ]


def _count(n: int, device: torch.device) -> Tensor:
    """0, 1... to n - 1 in float64: single precision would misplace pixels of large pictures."""
    return torch.arange(n, device=device, dtype=torch.float64)


def _forth(own: Tensor, n_resized: Tensor, n_padded: int) -> Tensor:
    """(n_padded, n): resample one axis of a picture and continue it by reflection."""
    n = own[-1] + 1
    before = ((n_padded - n_resized) / 2).floor()
    # Folded at either end, again and again where the padding is longer than what is padded.
    folded = torch.remainder(
        _count(n_padded, own.device) - before, (2 * (n_resized - 1)).clamp(min=1)
    )
    shown = torch.minimum(folded, 2 * (n_resized - 1) - folded).clamp(min=0)
    return _resampling(own, (shown + 0.5) * n / n_resized, n / n_resized)


def _back(own: Tensor, n_resized: Tensor, n_padded: int) -> Tensor:
    """(n, n_padded): cut the padding off and resample to the picture's own size."""
    n = own[-1] + 1
    places = _count(n_padded, own.device) - ((n_padded - n_resized) / 2).floor()
    is_inside = (places >= 0) & (places < n_resized)
    return _resampling(places, (own + 0.5) * n_resized / n, n_resized / n, is_inside)


def _resampling(
    source: Tensor, centres: Tensor, scale: Tensor, is_inside: Tensor | None = None
) -> Tensor:
    """Weights (m, n) float32 of pixels `source` (n,) around centres (m,), as Pillow's linear ones.

    Over as many pixels as become one, where the image is made smaller.
    """
    distance = (source + 0.5 - centres[:, None]).abs() / scale.clamp(min=1)
    weights = (1 - distance).clamp(min=0)
    if is_inside is not None:
        weights = weights * is_inside
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def _intensities(values: Tensor, intensity: Intensity, largest: float) -> Tensor:
    """`levels_of` a picture applied to it: (C, H, W), in [-1, 1]."""
    flat = values.flatten(1)
    if intensity.mode == "dtype":
        return (values / largest).clamp(-1, 1)
    if intensity.mode == "zscore":
        zero = flat.mean(dim=1)
        distance = (flat - zero[:, None]).square().mean(dim=1).sqrt() / Z_SCORE_SCALE
    else:
        low, high = _limits(flat, intensity)
        zero, distance = (low + high) / 2, (high - low) / 2
    distance = torch.where(distance > 0, distance, 1.0)
    return ((values - zero[:, None, None]) / distance[:, None, None]).clamp(-1, 1)


def _limits(flat: Tensor, intensity: Intensity) -> tuple[Tensor, Tensor]:
    """What becomes -1 and 1 in each channel (C, n): (C,) each."""
    limits = [cast(float, level) for level in (intensity.low, intensity.high)]
    if intensity.mode == "window":
        return flat.new_full((len(flat),), limits[0]), flat.new_full((len(flat),), limits[1])
    ordered = flat.sort(dim=1).values
    last = _count(flat.shape[1], flat.device)[-1]
    found = []
    for percentage in limits:
        place = last * (percentage / 100)
        below, above = place.floor(), place.ceil()
        part = (place - below).float()
        low, high = (ordered[:, at.long()] for at in (below, above))
        found.append(low + (high - low) * part)
    return found[0], found[1]

"""The multi-scale discriminator of tables 8 and 9."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrans.errors import UserError
from segtrans.nets.blocks import LayerNorm
from segtrans.nets.convolution import Convolution
from segtrans.precision import at_least_single, without_autocast

_KERNEL_SIZE = 4
_SLOPE = 0.2  # of the leaky ReLU


class MultiScaleDiscriminator(nn.Module):
    """Images to one score each: the mean of a network's map, averaged over scales.

    Every scale has a network of its own; the image is halved from scale to scale by average
    pooling (3 x 3, stride 2, the border counting only what is there). Spectrally normalised.

    Args:
        in_channels: image channels.
        channels: of the first convolution, then of those with stride 2 (`Architecture`).
        generator: draws the weights.
        n_scales: number of scales.
        n_heads: scores of each image; all but the last convolutions are shared.
        n_dimensions: of the images.
    """

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, ...],
        *,
        generator: torch.Generator,
        n_scales: int = 3,
        n_heads: int = 1,
        n_dimensions: int = 2,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.scales = nn.ModuleList(
            ScaleDiscriminator(in_channels, channels, generator, n_heads, n_dimensions)
            for _ in range(n_scales)
        )
        # The last convolution of stride 2 must see 2 pixels a side on the smallest scale, and
        # the first one 3 to reflect 2 of them.
        smallest_map = max(3, 2 ** (len(channels) - 1))
        self.smallest = (smallest_map - 1) * 2 ** (n_scales - 1) + 1

    def forward(self, x: Tensor, n_sets: int = 1) -> Tensor:
        """Scores (N,) in float32 of images (N, in_channels, H, W); high means real (equation 12).

        With several heads they are (N, n_heads).

        Args:
            x: images.
            n_sets: equal sets of images, one after the other in x. The last bias is added to each
                by itself: where the hinge is flat nowhere, its gradients of real and of translated
                images cancel exactly, and rounding would be a direction for AMSGrad.

        Raises:
            UserError: the image is too small for its smallest scale.
        """
        sizes = x.shape[2:]
        if min(sizes) < self.smallest:
            raise UserError(
                f"image of {' x '.join(map(str, sizes))} pixels: too small for a discriminator of "
                f"{len(self.scales)} scales; it needs at least "
                f"{' x '.join([str(self.smallest)] * len(sizes))}"
            )
        pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
        scores = []
        for i, scale in enumerate(self.scales):
            if i > 0:
                x = pool(x, 3, stride=2, padding=1, count_include_pad=False)
            scores.append(scale(x))
        biases: list[Tensor] = [scale.get_parameter("last.bias") for scale in self.scales]
        mean_scores = torch.stack(scores).mean(dim=0)
        bias = torch.cat(biases).mean() if self.n_heads == 1 else torch.stack(biases).mean(dim=0)
        if n_sets == 1:
            return mean_scores + bias
        return torch.cat([scores_of_set + bias for scores_of_set in mean_scores.chunk(n_sets)])


class ScaleDiscriminator(nn.Module):
    """The network at one scale: a map of scores, averaged. Layer norms (our choice)."""

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, ...],
        generator: torch.Generator,
        n_heads: int = 1,
        n_dimensions: int = 2,
    ) -> None:
        super().__init__()
        self.first = Convolution(
            in_channels,
            channels[0],
            _KERNEL_SIZE,
            spectral_norm=True,
            reads_channels_last=True,
            n_dimensions=n_dimensions,
            generator=generator,
        )
        self.norms = nn.ModuleList(map(LayerNorm, channels[:-1]))
        self.convolutions = nn.ModuleList(
            Convolution(
                before,
                after,
                _KERNEL_SIZE,
                stride=2,
                spectral_norm=True,
                reads_channels_last=True,
                n_dimensions=n_dimensions,
                generator=generator,
            )
            for before, after in pairwise(channels)
        )
        self.last = Convolution(
            channels[-1],
            n_heads,
            1,
            spectral_norm=True,
            n_dimensions=n_dimensions,
            generator=generator,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N,), or (N, heads), of images (N, C, ...), without the last bias."""
        x = self.first(x)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            x = convolution(norm(x), slope=_SLOPE)
        # The mean of a 1 x 1 convolution is that of the mean. Scores are float32, and on a GPU
        # autocast would round this product.
        with without_autocast(x.device):
            means = at_least_single(x).mean(dim=tuple(range(2, x.ndim)))
            weights = self.last.current_weight().flatten(1)
            return means.mv(weights[0]) if len(weights) == 1 else means @ weights.t()

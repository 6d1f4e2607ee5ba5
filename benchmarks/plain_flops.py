"""Floating-point operations of the plain algorithm: every layer of the tables at its printed size.

A convolution costs a multiplication and an addition for each weight and each output pixel. A pass
with all gradients costs three times the forward pass, one with the input's gradient twice.
"""

from itertools import pairwise

from segtrans.config.run_config import RunConfig
from segtrans.methods.base import tables_of

Size = tuple[int, int]


def translation_flops(config: RunConfig, *, n_labelled: int, judged_once: bool = False) -> int:
    """Of one training step of the method `translation`.

    Args:
        config: what is trained.
        n_labelled: images of the batch that are segmented.
        judged_once: count as the package does it, one pass of the discriminators for both sides;
            the plain way has a pass for each.
    """
    task, n = config.definition, config.training.batch_size
    tables = tables_of(config)
    size, n_channels = (task.height, task.width), len(task.channels)
    latent = tables.encoder_channels[-1]
    n_common = latent - min(latent - 1, max(1, round(latent * config.networks.unique_fraction)))
    encoder = _encoder(n_channels, tables.encoder_channels, size)
    sizes = _halvings(size, len(tables.decoder_channels))[-2::-1]

    def decoder(code: int, kernel: int, out: int, last_kernel: int, short_skip: bool) -> int:
        return _decoder(
            code,
            tables.decoder_channels,
            tables.encoder_channels[:-1],
            sizes,
            kernel,
            out=out,
            last_kernel=last_kernel,
            short_skip=short_skip,
        )

    common = decoder(n_common, tables.decoder_kernel, n_channels, tables.decoder_kernel, True)
    residual = decoder(latent, tables.residual_kernel, n_channels, tables.residual_kernel, False)
    segmentation = decoder(latent, tables.residual_kernel, task.n_classes, 1, False)
    discriminator = _discriminator(n_channels, tables.discriminator_channels, size)
    generator = 6 * n * encoder + 3 * n * common + 2 * n * residual + n_labelled * segmentation
    # Nobody needs the gradient of a batch's own images.
    passes = 3 * generator - 2 * n * _convolution(n_channels, tables.encoder_channels[0], 3, size)
    # The discriminators learn from real and translated images of both domains.
    judging = 3 * 4 * n * discriminator
    if judged_once:
        return passes + judging
    # Without gradients of the images; then the generator gets its gradient through them.
    first = sum(
        _convolution(n_channels, tables.discriminator_channels[0], 4, scale)
        for scale in _halvings(size, 2)
    )
    return passes + judging - 4 * n * first + 2 * 2 * n * discriminator


def _convolution(n_in: int, n_out: int, kernel: int, size: Size) -> int:
    return 2 * n_in * n_out * kernel**2 * size[0] * size[1]


def _halvings(size: Size, n: int) -> list[Size]:
    sizes = [size]
    for _ in range(n):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def _encoder(n_channels: int, channels: tuple[int, ...], size: Size) -> int:
    total = _convolution(n_channels, channels[0], 3, size)
    sizes = _halvings(size, len(channels) - 1)[1:]
    for (before, after), here in zip(pairwise(channels), sizes, strict=True):
        total += _convolution(before, after, 3, here) + _convolution(before, after, 1, here)
    return total


def _decoder(
    code: int,
    channels: tuple[int, ...],
    skipped: tuple[int, ...],
    sizes: list[Size],
    kernel: int,
    *,
    out: int,
    last_kernel: int,
    short_skip: bool,
) -> int:
    total, before, previous = 0, code, sizes[0]
    for i, (after, n_skipped, here) in enumerate(
        zip(channels, reversed(skipped), sizes, strict=True)
    ):
        total += _convolution(before, after, kernel, here) + _convolution(n_skipped, 1, 1, here)
        if short_skip and i > 0:
            total += _convolution(before, after, 1, previous)
        before, previous = after + 1, here
    return total + _convolution(before, out, last_kernel, sizes[-1])


def _discriminator(n_channels: int, channels: tuple[int, ...], size: Size) -> int:
    total = 0
    for scale in _halvings(size, 2):
        total += _convolution(n_channels, channels[0], 4, scale)
        here = scale
        for before, after in pairwise(channels):
            here = (here[0] // 2, here[1] // 2)
            total += _convolution(before, after, 4, here)
        total += _convolution(channels[-1], 1, 1, here)
    return total

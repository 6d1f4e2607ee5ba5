"""Parameters of the networks of tables 2 to 9 (appendix A), counted by hand."""

import pytest


def conv(n_in, n_out, kernel):
    return n_out * (n_in * kernel * kernel + 1)


def linear(n_in, n_out):
    return n_out * (n_in + 1)


def norm(n):
    return 2 * n


def block(n_in, n_out):
    """A conv block with its 1 x 1 short skip."""
    return conv(n_in, n_out, 3) + conv(n_in, n_out, 1)


ENCODER_48 = conv(1, 32, 3) + block(32, 64) + block(64, 128) + block(128, 256) + block(256, 512)
COMPRESS_48 = conv(256, 1, 1) + conv(128, 1, 1) + conv(64, 1, 1) + conv(32, 1, 1)
NORMS_48 = norm(257) + norm(129) + norm(65) + norm(33)
COMMON_48 = (
    conv(384, 256, 3) + block(257, 128) + block(129, 64) + block(65, 32) + conv(33, 1, 3)
    + COMPRESS_48 + NORMS_48
)  # fmt: skip
RESIDUAL_48 = (
    conv(512, 256, 5) + conv(257, 128, 5) + conv(129, 64, 5) + conv(65, 32, 5) + conv(33, 1, 5)
    + COMPRESS_48 + NORMS_48
)  # fmt: skip
MLP_48 = (
    linear(512 * 3 * 3, 256) + linear(256, 256) + linear(256, 256)
    + linear(256, 2 * (257 + 129 + 65 + 33))
)  # fmt: skip


def encoder_128(n_channels):
    """Table 5."""
    return conv(n_channels, 16, 3) + block(16, 32) + ENCODER_48 - conv(1, 32, 3)


COMPRESS_128 = COMPRESS_48 + conv(16, 1, 1)
NORMS_128 = NORMS_48 + norm(17)


def common_128(n_channels):
    """Table 6."""
    return (
        conv(384, 256, 3) + block(257, 128) + block(129, 64) + block(65, 32) + block(33, 16)
        + conv(17, n_channels, 3) + COMPRESS_128 + NORMS_128
    )  # fmt: skip


def residual_128(n_channels):
    """Table 7."""
    return (
        conv(512, 256, 5) + conv(257, 128, 5) + conv(129, 64, 5) + conv(65, 32, 5)
        + conv(33, 16, 5) + conv(17, n_channels, 5) + COMPRESS_128 + NORMS_128
    )  # fmt: skip


MLP_128 = (
    linear(512 * 4 * 4, 256) + linear(256, 256) + linear(256, 256)
    + linear(256, 2 * (257 + 129 + 65 + 33 + 17))
)  # fmt: skip
# Tables 8 and 9: a norm before each convolution of stride 2; three scales.
DISCRIMINATOR_MNIST = 3 * (
    conv(1, 128, 4) + norm(128) + conv(128, 128, 4) + norm(128) + conv(128, 256, 4)
    + norm(256) + conv(256, 512, 4) + conv(512, 1, 1)
)  # fmt: skip
DISCRIMINATOR_BRATS = 3 * (
    conv(4, 64, 4) + norm(64) + conv(64, 64, 4) + norm(64) + conv(64, 128, 4)
    + norm(128) + conv(128, 256, 4) + norm(256) + conv(256, 512, 4) + conv(512, 1, 1)
)  # fmt: skip


@pytest.mark.parametrize(
    ("network", "name", "expected"),
    [
        ("encoder", "mnist48", ENCODER_48),
        ("common_decoder", "mnist48", COMMON_48),
        ("residual_decoder", "mnist48", RESIDUAL_48 + MLP_48 + conv(33, 1, 1)),
        ("discriminator", "mnist48", DISCRIMINATOR_MNIST),
        ("encoder", "mnist128", encoder_128(1)),
        ("common_decoder", "mnist128", common_128(1)),
        ("residual_decoder", "mnist128", residual_128(1) + MLP_128 + conv(17, 1, 1)),
        ("discriminator", "mnist128", DISCRIMINATOR_MNIST),
        ("encoder", "brats", encoder_128(4)),
        ("common_decoder", "brats", common_128(4)),
        ("residual_decoder", "brats", residual_128(4) + NORMS_128 + conv(17, 1, 1)),
        ("discriminator", "brats", DISCRIMINATOR_BRATS),
    ],
)
def test_number_of_parameters(build, network, name, expected):
    assert n_parameters(getattr(build, network)(name)) == expected


@pytest.mark.parametrize(
    ("long_skip", "widths", "n_compress"),
    [
        ("concat", (512, 256, 128, 64), 0),
        ("sum", (256, 128, 64, 32), 0),
        ("none", (256, 128, 64, 32), 0),
        ("compress", (257, 129, 65, 33), COMPRESS_48),
    ],
)
def test_number_of_parameters_by_long_skip(build, long_skip, widths, n_compress):
    a, b, c, d = widths
    norms = norm(a) + norm(b) + norm(c) + norm(d)
    common = conv(384, 256, 3) + block(a, 128) + block(b, 64) + block(c, 32) + conv(d, 1, 3)
    assert n_parameters(build.common_decoder("mnist48", long_skip)) == common + norms + n_compress


def test_counted_on_paper():
    """The sums above for 48 x 48, added up once and for all."""
    assert ENCODER_48 == 1_743_040
    assert COMMON_48 == 1_319_510
    assert RESIDUAL_48 == 4_360_358
    assert MLP_48 == 1_560_264
    assert DISCRIMINATOR_MNIST == 8_664_579


def n_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())

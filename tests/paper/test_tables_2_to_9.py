"""Tables 2 to 9 (appendix A): each row, and each layer's shape derived by hand.

The networks stand on torch's meta device for the shapes: nothing is computed.
"""

from itertools import pairwise

import pytest
import torch

from segtrans.nets.blocks import ConvBlock, LayerNorm, LongSkip
from segtrans.nets.convolution import Convolution

# The rows of the paper's tables: output channels, kernel, stride.
TABLE_2 = [(32, 3, 1), (64, 3, 2), (128, 3, 2), (256, 3, 2), (512, 3, 2)]
TABLE_3 = [(256, 3, 1), (128, 3, 1), (64, 3, 1), (32, 3, 1)]  # then Norm+ReLU+Conv
TABLE_4 = [(256, 5, 1), (128, 5, 1), (64, 5, 1), (32, 5, 1)]
TABLE_5 = [(16, 3, 1), (32, 3, 2), (64, 3, 2), (128, 3, 2), (256, 3, 2), (512, 3, 2)]
TABLE_6 = [(256, 3, 1), (128, 3, 1), (64, 3, 1), (32, 3, 1), (16, 3, 1)]
TABLE_7 = [(256, 5, 1), (128, 5, 1), (64, 5, 1), (32, 5, 1), (16, 5, 1)]
TABLE_8 = [(128, 4, 1), (128, 4, 2), (256, 4, 2), (512, 4, 2), (1, 1, 1)]
TABLE_9 = [(64, 4, 1), (64, 4, 2), (128, 4, 2), (256, 4, 2), (512, 4, 2), (1, 1, 1)]
TABLES = {
    "mnist48": (TABLE_2, TABLE_3, TABLE_4, TABLE_8),
    "mnist128": (TABLE_5, TABLE_6, TABLE_7, TABLE_8),
    "brats": (TABLE_5, TABLE_6, TABLE_7, TABLE_9),
}

# Sizes halved and rounded up, from full resolution to the code.
SIZES = {
    "mnist48": [
        [(48, 48), (24, 24), (12, 12), (6, 6), (3, 3)],
        [(49, 51), (25, 26), (13, 13), (7, 7), (4, 4)],
    ],
    "mnist128": [[(128, 128), (64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]],
    "brats": [
        [(240, 120), (120, 60), (60, 30), (30, 15), (15, 8), (8, 4)],
        [(75, 101), (38, 51), (19, 26), (10, 13), (5, 7), (3, 4)],
    ],
}
SIZE_CASES = [(name, sizes) for name, cases in SIZES.items() for sizes in cases]

# Maps of each scale: images halved rounding up (pooling), maps halved rounding down (4 x 4).
SCALES = [
    ("mnist48", [[(48, 48), (24, 24), (12, 12), (6, 6)],
                 [(24, 24), (12, 12), (6, 6), (3, 3)],
                 [(12, 12), (6, 6), (3, 3), (1, 1)]]),
    ("mnist48", [[(49, 51), (24, 25), (12, 12), (6, 6)],
                 [(25, 26), (12, 13), (6, 6), (3, 3)],
                 [(13, 13), (6, 6), (3, 3), (1, 1)]]),
    ("mnist128", [[(128, 128), (64, 64), (32, 32), (16, 16)],
                  [(64, 64), (32, 32), (16, 16), (8, 8)],
                  [(32, 32), (16, 16), (8, 8), (4, 4)]]),
    ("brats", [[(240, 120), (120, 60), (60, 30), (30, 15), (15, 7)],
               [(120, 60), (60, 30), (30, 15), (15, 7), (7, 3)],
               [(60, 30), (30, 15), (15, 7), (7, 3), (3, 1)]]),
]  # fmt: skip
N_CHANNELS = {"mnist48": 1, "mnist128": 1, "brats": 4}
# Channels that a skip of n maps adds to a decoder.
ADDED = {"compress": lambda n: 1, "concat": lambda n: n, "sum": lambda n: 0, "none": lambda n: 0}


class Layers:
    """Runs a network on the meta device and keeps the shape (C, H, W) of every layer's output."""

    def __init__(self, network):
        self.network = network.to("meta")
        self.shapes = {}
        for name, module in network.named_modules():
            if isinstance(module, Convolution):
                module.spectral_norm = False  # it changes no shape
            if isinstance(module, Convolution | LayerNorm | ConvBlock | LongSkip):
                module.register_forward_hook(self._keeper(name))

    def _keeper(self, name):
        def keep(module, inputs, output):
            self.shapes[name] = tuple(output.shape[1:])

        return keep


def meta(channels, size):
    return torch.empty(2, channels, *size, device="meta")


def skips(name, sizes):
    channels = [row[0] for row in TABLES[name][0]][:-1]
    return [meta(n, size) for n, size in zip(channels, sizes, strict=False)]


@pytest.mark.parametrize("name", TABLES)
def test_rows(build, name):
    """Channels, kernel and stride of every row."""
    tables = TABLES[name]
    networks = [build.encoder(name), build.common_decoder(name), build.residual_decoder(name)]
    for network, table in zip(networks, tables, strict=False):
        trunk = getattr(network, "trunk", network)
        layers = [trunk.first, *(block.convolution for block in trunk.blocks)]
        assert [rows(layer) for layer in layers] == table
    for network, table in zip(networks[1:], tables[1:3], strict=True):
        assert rows(network.last) == (N_CHANNELS[name], table[-1][1], 1)
    for scale in build.discriminator(name).scales:
        layers = [scale.first, *scale.convolutions, scale.last]
        assert [rows(layer) for layer in layers] == tables[3]


def rows(layer):
    return layer.out_channels, layer.kernel_size[0], layer.stride[0]


@pytest.mark.parametrize(("name", "sizes"), SIZE_CASES)
def test_encoder_shapes(build, name, sizes):
    table = TABLES[name][0]
    layers = Layers(build.encoder(name))
    code, maps = layers.network(meta(N_CHANNELS[name], sizes[0]))
    expected = {"first": (table[0][0], *sizes[0])}
    for i, ((channels, _, _), size) in enumerate(zip(table[1:], sizes[1:], strict=True)):
        for part in ("", ".convolution", ".short_skip"):
            expected[f"blocks.{i}{part}"] = (channels, *size)
    assert layers.shapes == expected
    assert code.shape == (2, 512, *sizes[-1])
    shapes = [tuple(skip.shape[1:]) for skip in maps]
    assert shapes == [(row[0], *size) for row, size in zip(table[:-1], sizes[:-1], strict=True)]


def trunk_shapes(table, sizes, long_skip, *, short_skip):
    """Layers of tables 3, 4, 6 and 7; `sizes` from the first upsampling to full resolution."""
    shapes = {"trunk.first": (table[0][0], *sizes[0])}
    for i, ((channels, _, _), size) in enumerate(zip(table, sizes, strict=True)):
        shapes[f"trunk.long_skips.{i}"] = (channels + ADDED[long_skip](channels), *size)
    for i, ((channels, _, _), size) in enumerate(zip(table[1:], sizes[1:], strict=True)):
        shapes[f"trunk.blocks.{i}"] = shapes[f"trunk.blocks.{i}.convolution"] = (channels, *size)
        if short_skip:  # before the repetition
            shapes[f"trunk.blocks.{i}.short_skip"] = (channels, *sizes[i])
    return shapes


def norm_shapes(prefix, trunk, n):
    """Each norm sees what the long skip before it gives."""
    return {f"{prefix}.{i}": trunk[f"trunk.long_skips.{i}"] for i in range(n)}


@pytest.mark.parametrize("long_skip", ADDED)
@pytest.mark.parametrize(("name", "sizes"), SIZE_CASES)
def test_common_decoder_shapes(build, name, sizes, long_skip):
    table = TABLES[name][1]
    layers = Layers(build.common_decoder(name, long_skip))
    x_PA = layers.network(meta(384, sizes[-1]), skips(name, sizes))
    expected = trunk_shapes(table, sizes[-2::-1], long_skip, short_skip=True)
    expected |= norm_shapes("norms", expected, len(table))
    expected["last"] = (N_CHANNELS[name], *sizes[0])
    assert layers.shapes == expected
    assert x_PA.shape == (2, N_CHANNELS[name], *sizes[0])


@pytest.mark.parametrize("long_skip", ADDED)
@pytest.mark.parametrize(("name", "sizes"), SIZE_CASES)
def test_residual_decoder_shapes(build, name, sizes, long_skip):
    table = TABLES[name][2]
    layers = Layers(build.residual_decoder(name, long_skip))
    layers.network.translate(meta(512, sizes[-1]), skips(name, sizes))
    trunk = trunk_shapes(table, sizes[-2::-1], long_skip, short_skip=False)
    last = {"last": (N_CHANNELS[name], *sizes[0])}
    assert layers.shapes == trunk | norm_shapes("norms", trunk, len(table)) | last

    adaptive = name != "brats"
    if adaptive and sizes is not SIZES[name][0]:
        return  # its MLP knows one image size
    layers.shapes.clear()
    layers.network.segment(meta(512, sizes[-1]), skips(name, sizes))
    expected = trunk | {"segmentation_head": (1, *sizes[0])}
    if not adaptive:
        expected |= norm_shapes("segmentation_norms.norms", trunk, len(table))
    assert layers.shapes == expected


@pytest.mark.parametrize(("name", "scales"), SCALES)
def test_discriminator_shapes(build, name, scales):
    table = TABLES[name][3]
    layers = Layers(build.discriminator(name))
    scores = layers.network(meta(N_CHANNELS[name], scales[0][0]))
    expected = {}
    for i, sizes in enumerate(scales):
        expected[f"scales.{i}.first"] = (table[0][0], *sizes[0])
        for j, (size, after) in enumerate(pairwise(sizes)):
            expected[f"scales.{i}.norms.{j}"] = (table[j][0], *size)
            expected[f"scales.{i}.convolutions.{j}"] = (table[j + 1][0], *after)
    assert layers.shapes == expected
    assert scores.shape == (2,)

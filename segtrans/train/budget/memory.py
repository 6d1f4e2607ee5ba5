"""How much memory a training takes, for the scheduler. Imports no torch."""

import math

from segtrans.config.params import Params
from segtrans.config.run_config import RunConfig
from segtrans.nets.tables import ARCHITECTURES

# Measured on a CPU in fp32 with the translation, the largest method but one: widths 1/8 and 1 of
# the three networks, at 48 x 48, 128 x 128 and 240 x 120 (benchmarks/memory.py).
_PROCESS_MB = 640
_WEIGHTS_MB = 650  # at full width, with gradients and the optimisers' three moments
# Per pixel of the batch: at any width, and at full width by `Task.architecture`.
_ACTIVATIONS_KB = 0.7
_ACTIVATIONS_AT_FULL_WIDTH_KB = {"mnist48": 33.0, "mnist128": 21.0, "brats": 15.0}
# Which part of these encoder and decoders have, the rest being the discriminators', which
# `networks.min_channels` leaves as narrow as they are; by going through updates without data, and
# half as much again, since a process takes more than its tensors.
_SHARE_OF_GENERATOR = 0.5
_LATENT = 512  # channels of the widest layer at full width
# The methods that take more: their tensors over the translation's (iteration_cost).
_MORE = {
    "translation_mean_teacher": 1.2,
    "translation_domain_aware": 1.15,
    "translation_masked": 1.15,
}
_MORE_AFTER_FIRST_ROUND = 0.04  # likewise, of a student that begins with another method
_MORE_OF_ANOTHER_PATHOLOGY = 0.25  # likewise, for each behind the first
# Per pixel of the batch and channel of neighbouring slices, at any width: the most that tensors of
# any method grow (iteration_cost), the autoencoder's, and half as much again.
_NEIGHBOURS_KB = 0.03
# Of volumes, by voxel: kernels have more weights, and maps shrink faster. Whole trainings at widths
# 1/64 and 1/8, with the channels of mnist48 at 48 x 64 x 32; at full width an update that is gone
# through without data. Of other architectures no less.
_VOLUME_WEIGHTS_MB = 2800
_VOLUME_ACTIVATIONS_KB, _VOLUME_ACTIVATIONS_AT_FULL_WIDTH_KB = 1.5, 11.0
# On a CPU whose convolutions of volumes in bf16 unfold what they read: width 1/8 took 2649 MB, on
# another one, with AVX-512, 948.
_MORE_IN_BF16 = 7.5
_IN_MEMORY_MB = 8192  # larger data are read from the file


def training_memory_mb(config: RunConfig, params: Params) -> int:
    """An upper estimate of a training's peak, in MB.

    Args:
        config: what is trained.
        params: of the preset; they say how much data there is.
    """
    task, width = config.definition, config.networks.width
    pixels = math.prod(task.image_size)
    # Of an architecture that was not measured, no less than of any that was.
    most = max(_ACTIVATIONS_AT_FULL_WIDTH_KB.values())
    at_full_width = _ACTIVATIONS_AT_FULL_WIDTH_KB.get(task.architecture, most)
    at_any_width, weights_mb = _ACTIVATIONS_KB, _WEIGHTS_MB
    if len(task.image_size) == 3:
        at_full_width = _VOLUME_ACTIVATIONS_AT_FULL_WIDTH_KB
        at_any_width, weights_mb = _VOLUME_ACTIVATIONS_KB, _VOLUME_WEIGHTS_MB
        if config.training.precision == "bf16":
            at_full_width, at_any_width = (
                of * _MORE_IN_BF16 for of in (at_full_width, at_any_width)
            )
    widened = width + _SHARE_OF_GENERATOR * _widened(config)
    per_pixel = at_any_width + at_full_width * widened
    per_pixel += _NEIGHBOURS_KB * (config.n_input_channels - len(task.channels))
    activations = config.training.batch_size * pixels * per_pixel / 1000
    widest = max(width, min(1.0, config.networks.min_channels / _LATENT))
    tensors = weights_mb * widest**2 + activations
    first = config.training.first_round
    more = _MORE.get(first or config.method, 1)
    more += _MORE_AFTER_FIRST_ROUND if first else 0
    more += _MORE_OF_ANOTHER_PATHOLOGY * max(0, len(config.maps) - 1)
    memory = _PROCESS_MB + more * tensors
    # Of the preset, for a run's own task does not say where its data are.
    data_mb = params.known_tasks[config.task].data_mb(params)
    memory += _IN_MEMORY_MB if data_mb is None else min(data_mb, _IN_MEMORY_MB)
    return round(memory)


def _widened(config: RunConfig) -> float:
    """How much of the activations at full width `min_channels` adds to those of the width."""
    networks = config.networks
    if networks.min_channels == 1:
        return 0.0
    tables = ARCHITECTURES[config.definition.architecture]
    shrinking = 0.5 ** len(config.definition.image_size)  # of pixels, from map to map
    values: list[float] = [
        sum(n * shrinking**level for level, n in enumerate(of.encoder_channels))
        for of in (
            tables,
            tables.scaled(networks.width),
            tables.scaled(networks.width, networks.min_channels),
        )
    ]
    return (values[2] - values[1]) / values[0]

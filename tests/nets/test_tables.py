"""Scaling of the channel counts; tests/paper compares the counts themselves."""

import pytest

from segtrans.nets.tables import ARCHITECTURES
from segtrans.tasks.registry import PAPER_TASKS


def test_every_task_has_its_networks():
    assert {task.architecture for task in PAPER_TASKS.values()} <= set(ARCHITECTURES)


def test_an_eighth_of_the_width():
    narrow = ARCHITECTURES["mnist48"].scaled(0.125)
    assert narrow.encoder_channels == (4, 8, 16, 32, 64)
    assert narrow.decoder_channels == (32, 16, 8, 4)
    assert narrow.discriminator_channels == (16, 16, 32, 64)
    assert narrow.mlp_units == 32
    assert (narrow.decoder_kernel, narrow.residual_kernel) == (3, 5)


def test_no_layer_vanishes():
    narrowest = ARCHITECTURES["brats"].scaled(0.001)
    assert narrowest.encoder_channels == (1, 1, 1, 1, 1, 1)
    assert narrowest.mlp_units == 16


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_full_width_changes_nothing(name):
    assert ARCHITECTURES[name].scaled(1.0) == ARCHITECTURES[name]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_long_skips_bridge_equal_channel_counts(name):
    architecture = ARCHITECTURES[name]
    assert architecture.decoder_channels == architecture.encoder_channels[:-1][::-1]


def test_a_floor_of_channels_in_encoder_and_decoders_alone():
    floored = ARCHITECTURES["mnist48"].scaled(0.125, 16)
    assert floored.encoder_channels == (16, 16, 16, 32, 64)
    assert floored.decoder_channels == (32, 16, 16, 16)
    assert floored.discriminator_channels == (16, 16, 32, 64)
    assert floored.mlp_units == 32


def test_a_floor_is_never_above_the_table():
    assert ARCHITECTURES["brats"].scaled(0.125, 100).encoder_channels == (16, 32, 64, 100, 100, 100)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("floor", [1, 16, 512])
def test_at_full_width_a_floor_changes_nothing(name, floor):
    assert ARCHITECTURES[name].scaled(1.0, floor) == ARCHITECTURES[name]

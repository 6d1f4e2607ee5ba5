"""A tiny data set of real digits, and run configurations that train on it in seconds."""

from pathlib import Path

import pytest
import yaml

from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.sources.cluttered_mnist.clutter import write_cluttered_mnist
from segtrans.sources.cluttered_mnist.digits import load_digits
from tests.once import made_once

ROOT = Path(__file__).parents[2]
SIZES = {"train": 60, "valid": 10, "test": 10}


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory, digits_file):
    def make(folder):
        write_cluttered_mnist(
            folder / "tiny.h5",
            load_digits(str(digits_file)),
            task="mnist48_simple",
            digits_per_fold=SIZES,
            images_per_fold=SIZES,
            overlap="dither",
            noise_sd=0.01,
            data_seed=0,
        )

    return made_once(tmp_path_factory, "tiny_data", make) / "tiny.h5"


@pytest.fixture
def make_config():
    def make(method, **training):
        content = yaml.safe_load((ROOT / "params.yaml").read_text())
        content["networks"]["width"] = 1 / 64
        content["labels"] |= {"fraction": 0.05, "per_batch": 1}
        content["training"] |= {"batch_size": 2, "iterations": 40, "validate_every": 10}
        content["training"] |= training
        params = parse_params(content, origin="test")
        return resolve_config(params, task="mnist48_simple", method=method, init_seed=0)

    return make

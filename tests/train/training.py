"""A short training in this process, on the CPU."""

from pathlib import Path

import torch

from segtrans.train.run import train_run


def train(config, data, folder="run", checkpoints=None, *, variant=None, n_gpus=0, n_workers=0):
    train_run(
        config,
        data_file=data,
        output=Path(folder),
        checkpoints=Path(checkpoints or f"checkpoints-{folder}"),
        preset="test",
        variant=variant,
        n_gpus=n_gpus,
        n_devices=None,
        n_threads=1,
        n_workers=n_workers,
        checkpoint_every_s=300,
    )


def newest_checkpoint(checkpoints="checkpoints-run"):
    """The file of the one run and data set that a folder has checkpoints of; None before that."""
    return next(iter(Path(checkpoints).glob("*/checkpoint.pt")), None)


def kept(checkpoints="checkpoints-run"):
    """Its content."""
    return torch.load(newest_checkpoint(checkpoints), weights_only=True)


def n_records(checkpoints):
    """How many validations it holds; 0 before there is one and while it is replaced."""
    try:
        return len(kept(checkpoints)["records"]) if newest_checkpoint(checkpoints) else 0
    except FileNotFoundError:
        return 0

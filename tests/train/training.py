"""A short training in this process, on the CPU."""

from pathlib import Path

from segtrans.train.run import train_cell


def train(cell, data, folder="run", checkpoints=None, *, variant=None, n_gpus=0, n_workers=0):
    train_cell(
        cell,
        data_file=data,
        output=Path(folder),
        checkpoints=Path(checkpoints or f"checkpoints-{folder}"),
        scale="test",
        variant=variant,
        n_gpus=n_gpus,
        n_devices=None,
        n_threads=1,
        n_workers=n_workers,
        checkpoint_every_s=300,
    )

"""The processes of one training: their devices, locks and launch, by Lightning Fabric.

The process that was started is the first one; it holds the locks. The others are the same command,
started again by Fabric, which tells them their number in `LOCAL_RANK`.
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from segtrans.config.blocks import TrainingParams
from segtrans.errors import UserError
from segtrans.train.hardware.device import claimed_devices, claimed_folder

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
}


def is_first_process() -> bool:
    """Whether this process was started by the user, and not by Fabric."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def claimed_world(checkpoints: Path, n_gpus: int) -> Iterator[list[str]]:
    """Hold the checkpoint folder and the devices; the other processes use what the first holds.

    Yields:
        Names of the devices; none for the CPU.

    Raises:
        UserError: as `claimed_folder` and `claimed_devices`; of a later process nothing but its
            exit, since the first one fails for the same reason and says it.
    """
    if is_first_process():
        with claimed_folder(checkpoints), claimed_devices(n_gpus) as devices:
            yield devices
        return
    try:
        yield [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    except UserError:
        raise SystemExit(1) from None


def start_fabric(training: TrainingParams, devices: list[str], n_devices: int | None) -> Fabric:
    """Fabric on these devices, its processes started.

    Raises:
        UserError: the batch cannot be shared equally among the processes, or there are fewer
            devices.
    """
    if devices and not torch.cuda.is_available():
        names = ", ".join(devices)
        print(f"device {names} cannot be used by torch: training on the CPU", file=sys.stderr)
        devices = []
    n = n_devices or len(devices) or 1
    if devices and n > len(devices):
        raise UserError(f"--devices {n}: {len(devices)} GPUs are held; give --gpus {n} as well")
    if training.batch_size % n:
        raise UserError(
            f"training.batch_size = {training.batch_size}: cannot be shared equally among {n} "
            "devices; choose a number of devices that divides it"
        )
    # fp32 means fp32: without this, convolutions on recent GPUs round to ten bits.
    torch.backends.cudnn.allow_tf32 = False
    fabric = Fabric(
        accelerator="cuda" if devices else "cpu",
        devices=n,
        strategy="ddp" if n > 1 else "auto",
        precision=PRECISIONS[training.precision],
        # A Slurm job's own launcher is not used: the processes are those started here.
        plugins=[LightningEnvironment()],
    )
    fabric.launch()
    return fabric


def device_name(fabric: Fabric) -> str:
    """What `run.json` says of the devices."""
    if fabric.device.type == "cuda":
        return f"cuda:{os.environ['CUDA_VISIBLE_DEVICES']}"
    shared = f", {fabric.world_size} processes" if fabric.world_size > 1 else ""
    return f"cpu ({platform.machine()}){shared}"

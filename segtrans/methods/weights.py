"""Build a method from its run configuration, and its weights on disk."""

import importlib
import sys
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from segtrans.atomic import atomic_path
from segtrans.config.catalogue import METHODS
from segtrans.config.run_config import RunConfig
from segtrans.config.runs import Run
from segtrans.digests import file_sha256
from segtrans.errors import UserError
from segtrans.methods.base import Method

WEIGHTS = {"best": "weights.safetensors", "last": "weights_last.safetensors"}


def build_method(config: RunConfig, generator: torch.Generator | None = None) -> Method:
    """The untrained method of a run, on the CPU.

    Args:
        config: of the run.
        generator: weights are drawn from it; by default from one with `init_seed`.
    """
    module = importlib.import_module(f"segtrans.methods.{METHODS[config.method].module}")
    generator = generator or torch.Generator().manual_seed(config.init_seed)
    method: Method = module.build(config, generator)
    return method


def save_weights(path: Path, state: dict[str, torch.Tensor], config: RunConfig) -> str:
    """Write a state_dict as safetensors, with its run configuration beside it, atomically.

    Returns:
        The SHA-256 of the file, in hexadecimal, which `run.json` keeps as `weights_sha256`.

    Raises:
        UserError: the disk is full or read-only; the file before stays whole.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    try:
        with atomic_path(path) as temporary:
            # `save_file` would leave a file that nobody but its owner can read, whatever the umask.
            temporary.write_bytes(save(tensors, metadata={"config": config.to_json()}))
            return file_sha256(temporary)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error}); nothing was left half-written; free space there "
            "and run again, which continues"
        ) from error


def load_method(run: Run, *, which: Literal["best", "last"]) -> Method:
    """The trained method of a run, in evaluation mode, on the CPU.

    A run whose `run.json` is from before it held checksums is not proven whole: that is said on
    stderr, and its weights are used, since nothing speaks against them.

    Raises:
        UserError: the weights are missing or damaged, or belong to another architecture.
    """
    path = run.folder / WEIGHTS[which]
    method = build_method(run.config)
    load_weights(path, method)
    expected = run.record.weights_sha256
    if expected is None:
        print(
            f"{run.folder / 'run.json'}: of an older version, without weights_sha256: nothing "
            f"proves that {path.name} is undamaged; train again to be sure",
            file=sys.stderr,
        )
    elif (found := file_sha256(path)) != expected[which]:
        raise UserError(
            f"{path}: damaged, or of another training: its SHA-256 is {found:.12}..., that in "
            f"run.json is {expected[which]:.12}...; train the run again (from its checkpoint that "
            "takes seconds)"
        )
    return method.eval()


def load_weights(path: Path, method: Method) -> None:
    """Load safetensors into a method in place.

    Raises:
        UserError: the file is missing or damaged, or its tensors do not fit the method.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot read weights ({error})") from error
    wanted = method.state_dict()
    for name in sorted(set(wanted) ^ set(tensors)):
        problem = "lacks" if name in wanted else "has an unknown"
        raise UserError(f"{path}: weights of another architecture: the file {problem} {name}")
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape:
            raise UserError(
                f"{path}: weights of another architecture: {name} is "
                f"{tuple(tensors[name].shape)}, expected {tuple(tensor.shape)}"
            )
    method.load_state_dict(tensors)

"""Build a method from its cell, and read it back from the folder of a finished run."""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from segtrans.atomic import atomic_path
from segtrans.cells import Cell, read_cell
from segtrans.errors import UserError
from segtrans.methods.base import Method
from segtrans.methods.catalogue import METHODS

WEIGHTS = {"best": "weights.safetensors", "last": "weights_last.safetensors"}


@dataclass(frozen=True)
class LoadedRun:
    """A finished run: its identity, its facts (run.json) and its trained method, ready to use."""

    cell: Cell
    facts: dict[str, Any]
    method: Method


def build_method(cell: Cell) -> Method:
    """The untrained method of a cell, its weights drawn with `init_seed`, on the CPU."""
    module = importlib.import_module(f"segtrans.methods.{METHODS[cell.method].module}")
    generator = torch.Generator().manual_seed(cell.init_seed)
    method: Method = module.build(cell, generator)
    return method


def save_weights(path: Path, state: dict[str, torch.Tensor], cell: Cell) -> None:
    """Write a state_dict as safetensors, with its cell beside it, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"cell": cell.to_json()})


def load_run(folder: Path, *, which: Literal["best", "last"]) -> LoadedRun:
    """Read a run folder; the method comes in evaluation mode, on the CPU.

    Raises:
        UserError: a file is missing or damaged, or the weights belong to another architecture.
    """
    facts = read_facts(folder)
    cell = read_cell(json.dumps(facts.get("cell")))
    method = build_method(cell)
    load_weights(folder / WEIGHTS[which], method)
    return LoadedRun(cell, facts, method.eval())


def read_facts(folder: Path) -> dict[str, Any]:
    """The facts of a run (run.json).

    Raises:
        UserError: the folder holds no finished run.
    """
    path = folder / "run.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: no finished run in this folder ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); train the run again") from error
    return facts


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

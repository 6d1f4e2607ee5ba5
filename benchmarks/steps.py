"""Training steps to measure."""

from pathlib import Path

import torch

from segtrans.batch import Batch
from segtrans.config.cells import Cell, resolve_cell
from segtrans.config.params import load_params
from segtrans.methods.base import Method, plain_step
from segtrans.methods.weights import build_method

_CPU = torch.device("cpu")
PARAMS = Path(__file__).parents[1] / "params.yaml"


def make_cell(method: str, *, task: str, width: float, batch_size: int) -> Cell:
    """The default scale's cell of a task, at another width and batch size."""
    cell = resolve_cell(load_params(PARAMS), task=task, method=method, init_seed=0)
    networks = cell.networks.model_copy(update={"width": width})
    training = cell.training.model_copy(update={"batch_size": batch_size})
    return cell.model_copy(update={"networks": networks, "training": training})


def make_method(cell: Cell, device: torch.device = _CPU) -> Method:
    """The untrained method of a cell with its optimisers, on a device."""
    method = build_method(cell).to(device)
    method.prepare(cell.training)
    return method.train()


def step(method: Method, batch: Batch) -> None:
    """One update on a batch, in single precision on the processor."""
    generator = torch.Generator().manual_seed(0)
    method.update(batch, plain_step(generator))


def made_up_batch(cell: Cell, n_labelled: int) -> Batch:
    """A batch of noise; masks cover half of the pixels."""
    task, n = cell.definition, cell.training.batch_size
    generator = torch.Generator().manual_seed(0)
    shape = (n, len(task.channels), task.height, task.width)
    x_P, x_A = (2 * torch.rand(shape, generator=generator) - 1 for _ in range(2))
    return Batch.of(x_P, x_A, (x_P[:n_labelled, 0] > 0).to(torch.uint8))

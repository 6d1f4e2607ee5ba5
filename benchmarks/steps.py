"""Training steps to measure."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.lines import Line, best_by_turns
from segtrans.batch import Batch
from segtrans.config.params import load_params
from segtrans.config.run_config import RunConfig, resolve_config
from segtrans.methods.base import Method, plain_step
from segtrans.methods.weights import build_method
from segtrans.train.budget.cost import iteration_cost

_CPU = torch.device("cpu")
PARAMS = Path(__file__).parents[1] / "params.yaml"


def make_config(method: str, *, task: str, width: float, batch_size: int) -> RunConfig:
    """The default preset's run configuration of a task, at another width and batch size."""
    config = resolve_config(load_params(PARAMS), task=task, method=method, init_seed=0)
    networks = config.networks.model_copy(update={"width": width})
    training = config.training.model_copy(update={"batch_size": batch_size})
    return config.model_copy(update={"networks": networks, "training": training})


def make_method(config: RunConfig, device: torch.device = _CPU) -> Method:
    """The untrained method of a run configuration with its optimisers, on a device."""
    method = build_method(config).to(device)
    method.prepare(config.training)
    return method.train()


def step(method: Method, batch: Batch) -> None:
    """One update on a batch, in single precision on the processor."""
    generator = torch.Generator().manual_seed(0)
    method.update(batch, plain_step(generator))


def beside(
    part: str,
    case: str,
    configs: Sequence[RunConfig],
    steps: Sequence[Callable[[], object]],
    *,
    repeats: int,
    than: str,
) -> Iterator[Line]:
    """CPU seconds and tensors of a second training step, with those of a first one as the floor.

    Args:
        part: of the table.
        case: the second one in words.
        configs: of both.
        steps: updates of both, each run once before; taken by turns.
        repeats: of each, of which the best counts.
        than: the first one in words.
    """
    floor, seconds = best_by_turns(steps, repeats=repeats)
    yield Line(part=part, case=case, value=seconds, unit="CPU s", floor=floor, floor_is=than)
    floor, peak = (iteration_cost(config).peak_bytes / 1e6 for config in configs)
    than = f"tensors that live at once in {than}"
    yield Line(part=part, case=case, value=peak, unit="MB", floor=floor, floor_is=than)


def made_up_batch(config: RunConfig, n_labelled: int) -> Batch:
    """A batch of noise; masks cover half of the pixels."""
    task, n = config.definition, config.training.batch_size
    generator = torch.Generator().manual_seed(0)
    shape = (n, config.n_input_channels, task.height, task.width)
    x_P, x_A = (2 * torch.rand(shape, generator=generator) - 1 for _ in range(2))
    return Batch.of(x_P, x_A, (x_P[:n_labelled, 0] > 0).to(torch.uint8))

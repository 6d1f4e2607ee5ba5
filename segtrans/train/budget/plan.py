"""What the trainings of a preset will cost, before any of them is started."""

from collections.abc import Iterator
from dataclasses import dataclass

from tabulate import tabulate  # type: ignore[import-untyped]
from tqdm import tqdm

from segtrans.config.catalogue import method_title
from segtrans.config.params import Params
from segtrans.config.run_config import RunConfig, resolve_config
from segtrans.train.budget.cost import IterationCost, iteration_cost
from segtrans.train.budget.memory import training_memory_mb

_HEADERS = (
    *("task", "method", "runs", "iterations", "GFLOP each", "hours each", "hours", "CPU MB"),
    "tensors MB",
)
_ALIGNMENT = ("left", "left", *["right"] * (len(_HEADERS) - 2))


@dataclass(frozen=True, kw_only=True)
class PlannedRuns:
    """The runs of one task and method, which differ in their seed only.

    Attributes:
        task: title of the task.
        method: title of the method.
        n_runs: one per seed.
        iterations: of each.
        cost: of one iteration.
        cpu_mb: what a run on the CPU may take in all, in MB, as the scheduler is told.
    """

    task: str
    method: str
    n_runs: int
    iterations: int
    cost: IterationCost
    cpu_mb: int

    def hours(self, tflops: float) -> float:
        """Hours of one run at so many 10^12 operations a second."""
        return self.iterations * self.cost.flops / (tflops * 1e12) / 3600


def plan_runs(params: Params) -> list[PlannedRuns]:
    """One entry for each task and method of a preset; shows its progress."""
    pairs = [(task, pair) for task in params.tasks for pair in params.methods_of(task)]
    costs: dict[str, IterationCost] = {}
    return [_planned(params, *pair, costs) for pair in tqdm(pairs, "plan", disable=None)]


def plan_table(planned: list[PlannedRuns], tflops: float) -> str:
    """Plain text, with a last line for all."""
    rows = [list(_row(runs, tflops)) for runs in planned]
    hours = sum(runs.n_runs * runs.hours(tflops) for runs in planned)
    n_runs = sum(runs.n_runs for runs in planned)
    rows.append(["all", "", str(n_runs), "", "", "", _shown(hours), "", ""])
    table: str = tabulate(rows, _HEADERS, disable_numparse=True, colalign=_ALIGNMENT)
    return table


def _planned(
    params: Params, task: str, pair: tuple[str, str | None], costs: dict[str, IterationCost]
) -> PlannedRuns:
    method, variant = pair
    seed = params.init_seeds[0]
    config = resolve_config(params, task=task, method=method, init_seed=seed, variant=variant)
    key = _same_cost(config)
    if key not in costs:
        costs[key] = iteration_cost(config)
    return PlannedRuns(
        task=config.definition.planned_title(params),
        method=method_title(method, variant),
        n_runs=len(params.init_seeds),
        iterations=config.training.iterations,
        cost=costs[key],
        cpu_mb=training_memory_mb(config, params),
    )


def _same_cost(config: RunConfig) -> str:
    """Equal for runs whose iterations cost the same: tasks that differ in clutter only."""
    definition = config.definition
    images = (definition.image_size, definition.channels, definition.n_classes)
    networks = (definition.architecture, definition.segmentation_norm, config.networks)
    is_used = {name: weight > 0 for name, weight in config.weights.items()}
    size = config.training.batch_size
    methods = (config.method, config.training.first_round)
    return repr((images, methods, networks, size, config.labels, is_used))


def _row(runs: PlannedRuns, tflops: float) -> Iterator[str]:
    yield from (runs.task, runs.method, str(runs.n_runs), f"{runs.iterations:,}")
    yield f"{runs.cost.flops / 1e9:,.1f}"
    yield _shown(runs.hours(tflops))
    yield _shown(runs.n_runs * runs.hours(tflops))
    yield f"{runs.cpu_mb:,}"
    yield f"{runs.cost.peak_bytes / 1e6:,.0f}"


def _shown(hours: float) -> str:
    """Two digits of less than a tenth of an hour, else two or one behind the point."""
    return f"{hours:.2g}" if hours < 0.1 else f"{hours:,.2f}" if hours < 100 else f"{hours:,.1f}"

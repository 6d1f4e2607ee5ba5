"""What an update of each semi-supervised method costs, beside the supervised update.

The floor is what its passes say: the time of a supervised update, times the method's
floating-point operations over those of that update. Both are measured by turns in one run. What
descends from another method is measured beside that one: operations of a translation are cheaper
than those of the supervised update, which would hide what comes on top.
"""

from collections.abc import Callable, Iterator

import torch

from benchmarks.lines import Line, best_by_turns
from benchmarks.steps import made_up_batch, make_config, make_method, step
from segtrans.config.catalogue import METHODS
from segtrans.config.run_config import RunConfig
from segtrans.train.budget.cost import cost_of_updates
from segtrans.train.hardware.arena import keep_freed_memory

WIDTH, BATCH_SIZE, N_LABELLED, N_THREADS, REPEATS = 1 / 8, 16, 4, 1, 7


def lines() -> Iterator[Line]:
    """For each method CPU seconds of an update, with those that its operations say as the floor."""
    torch.set_num_threads(N_THREADS)
    keep_freed_memory()
    for name, entry in METHODS.items():
        if not {"lambda_cons", "lambda_pseudo"} & {*entry.weights}:
            continue
        yardstick = entry.parent or "segmentation_only"
        n_labelled = BATCH_SIZE if METHODS[yardstick].only_labelled else N_LABELLED
        config, beside = _config(name), _config(yardstick)
        seconds, floor = best_by_turns(
            [_update(config, N_LABELLED), _update(beside, n_labelled)], repeats=REPEATS
        )
        flops, flops_beside = (
            cost_of_updates(config, N_LABELLED).flops,
            cost_of_updates(beside, n_labelled).flops,
        )
        ratio = flops / flops_beside
        yield Line(
            part="methods",
            case=f"{name}, width {WIDTH:g}, {BATCH_SIZE} + {BATCH_SIZE} of 48 x 48",
            value=seconds,
            unit="CPU s",
            floor=floor * ratio,
            floor_is=f"{ratio:.2f} updates of {yardstick}, {n_labelled} masks, by its operations",
        )


def _config(method: str) -> RunConfig:
    return make_config(method, task="mnist48_simple", width=WIDTH, batch_size=BATCH_SIZE)


def _update(config: RunConfig, n_labelled: int) -> Callable[[], None]:
    method, batch = make_method(config), made_up_batch(config, n_labelled)
    step(method, batch)
    return lambda: step(method, batch)

"""What a neighbouring slice on either side costs: a training step with r = 1 beside r = 0.

Both are measured by turns in one run, so that whatever holds up one holds up the other: with
augmentation, as a training has it. Peaks of the tensors are those of an update without data.
"""

from collections.abc import Callable, Iterator

import torch

from benchmarks.augment import PAPER
from benchmarks.lines import Line
from benchmarks.steps import beside, made_up_batch, make_config, make_method, step
from segtrans.config.run_config import RunConfig
from segtrans.data.feed.augment import augment_batch
from segtrans.train.hardware.arena import keep_freed_memory

N_THREADS, REPEATS = 2, 7
# Width and images of each domain: the default preset of half-slices, and twice as wide.
CASES = ((1 / 16, 4), (1 / 8, 4))


def lines() -> Iterator[Line]:
    """For each case, seconds and memory of r = 1, with those of r = 0 as the floor."""
    torch.set_num_threads(N_THREADS)
    keep_freed_memory()
    for width, batch_size in CASES:
        without = make_config("translation", task="brats", width=width, batch_size=batch_size)
        networks = without.networks.model_copy(update={"neighbours": 1})
        with_one = without.model_copy(update={"networks": networks})
        case = f"translation, width {width:g}, {batch_size} + {batch_size} half-slices, r = 1"
        steps = [_training_step(config) for config in (without, with_one)]
        than = "the same step with r = 0"
        configs = (without, with_one)
        yield from beside("neighbours", case, configs, steps, repeats=REPEATS, than=than)


def _training_step(config: RunConfig) -> Callable[[], None]:
    method, batch = make_method(config), made_up_batch(config, config.labels.per_batch)
    generator = torch.Generator().manual_seed(0)

    def trained() -> None:
        moved = augment_batch(batch, PAPER, generator=generator, neighbours=config.neighbours)
        step(method, moved)

    trained()
    return trained

"""What a second pathology costs: a training step with two beside one, at the same width.

Both are measured by turns in one run, so that whatever holds up one holds up the other. Batches are
those of `config/pathologies.yaml`: a third of P shows both, a third one, a third the other.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.lines import Line
from benchmarks.steps import PARAMS, beside, made_up_batch, make_method, step
from segtrans.config.params import load_params
from segtrans.config.run_config import RunConfig, resolve_config
from segtrans.train.hardware.arena import keep_freed_memory

N_THREADS, N_LABELLED, BATCH_SIZE = 2, 2, 20
# Width, and how often both are measured.
CASES = ((1 / 8, 7), (1 / 4, 5))
_PRESET = Path(__file__).parents[1] / "config" / "pathologies.yaml"
_SHOWN = ((1, 1), (1, 0), (0, 1))


def lines() -> Iterator[Line]:
    """For each width seconds and memory of K = 2, with those of K = 1 as the floor."""
    torch.set_num_threads(N_THREADS)
    keep_freed_memory()
    for width, repeats in CASES:
        for name in ("pathologies", "pathologies_separate"):
            one, two = _config("translation", width), _config(name, width)
            steps = [_training_step(config) for config in (one, two)]
            case = f"{name}, K = 2, width {width:g}, {BATCH_SIZE} + {BATCH_SIZE} of 48 x 48"
            than = "the same step of translation, K = 1"
            yield from beside("pathologies", case, (one, two), steps, repeats=repeats, than=than)


def _config(method: str, width: float) -> RunConfig:
    config = resolve_config(
        load_params(PARAMS, _PRESET), task="mnist48_two", method=method, init_seed=0
    )
    networks = config.networks.model_copy(update={"width": width})
    training = config.training.model_copy(update={"batch_size": BATCH_SIZE})
    labels = config.labels.model_copy(update={"per_batch": N_LABELLED})
    changed = {"networks": networks, "training": training, "labels": labels}
    return config.model_copy(update=changed)


def _training_step(config: RunConfig) -> Callable[[], None]:
    method, batch = make_method(config), made_up_batch(config, N_LABELLED)
    t = torch.tensor(_SHOWN, dtype=torch.uint8).repeat(BATCH_SIZE, 1)[:BATCH_SIZE]
    batch = replace(batch, t=t, has_mask=torch.ones_like(t))

    def trained() -> None:
        step(method, batch)

    trained()
    return trained

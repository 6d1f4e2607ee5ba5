"""What getting a batch costs beside a training step: translation, 64 latent channels, 2 threads.

A batch is 20 P, of which 3 are labelled, and 20 A.
"""

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.floors import copied_bytes_per_second
from benchmarks.lines import Line, best_seconds
from benchmarks.samples import digit_store, half_slice_store
from benchmarks.steps import make_config, make_method, step
from segtrans.data.feed.batches import BatchPlan, TrainingBatches, make_loader
from segtrans.data.store import Store
from segtrans.methods.base import Method
from segtrans.train.hardware.arena import keep_freed_memory

BATCH_SIZE = 20  # of each domain
N_LABELLED = 3
N_PAIRS = 8000
N_STEPS = 8
N_WORKERS = 2
N_DRAWN = 20


def lines() -> Iterator[Line]:
    """Of small digits and of half-slices, from memory and from the file."""
    torch.set_num_threads(2)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        digits = digit_store(Path(folder) / "digits.h5", n_pairs=N_PAIRS)
        brats = half_slice_store(Path(folder) / "brats.h5")
        yield from costs(digits, "digits 48 x 48")
        yield from costs(brats, "half-slices 240 x 120")


def costs(store: Store, images: str) -> Iterator[Line]:
    """Getting a batch in percent of a step: with nothing else going on, and while training."""
    held, read = batches_of(store)
    method, batch = make_translation(store), held[0]
    step_s = best_seconds(lambda: step(method, batch), repeats=6)
    n_bytes = sum(tensor.nbytes for tensor in (batch.x_P, batch.x_A, batch.y))
    line = partial(Line, part="loading", unit="% of a step")
    for case, batches in (("memory", held), ("the file, by one process", read)):
        yield line(
            case=f"{images}, a step of {step_s:.2f} s: a batch from {case}",
            value=100 * seconds_a_batch(batches) / step_s,
            floor=100 * n_bytes / copied_bytes_per_second() / step_s,
            floor_is="the batch copied once",
        )
    yield line(
        case=f"{images}: waiting for a batch that {N_WORKERS} processes read while training",
        value=100 * seconds_waited(method, read) / step_s,
    )


def batches_of(store: Store) -> tuple[TrainingBatches, TrainingBatches]:
    """From memory, and from the file."""
    n_present = store.n("train", "present")
    plan = BatchPlan(
        labelled=np.arange(N_LABELLED),
        unlabelled=np.arange(N_LABELLED, n_present),
        n_absent=store.n("train", "absent"),
        batch_size=BATCH_SIZE,
        labelled_per_batch=N_LABELLED,
        only_labelled=False,
        n_iterations=max(N_STEPS, N_DRAWN),
        seed=0,
    )
    device = torch.device("cpu")
    return (
        TrainingBatches(store, plan, device=device, memory_limit_bytes=store.n_bytes("train")),
        TrainingBatches(store, plan, device=device, memory_limit_bytes=0),
    )


def make_translation(store: Store) -> Method:
    """The proposed method for the images of a store."""
    task = store.header.task
    return make_method(make_config("translation", task=task, width=1 / 8, batch_size=BATCH_SIZE))


def seconds_a_batch(batches: TrainingBatches) -> float:
    """Of the best of some runs through the first batches."""

    def draw() -> None:
        for iteration in range(N_DRAWN):
            batches[iteration]

    return best_seconds(draw, repeats=3) / N_DRAWN


def seconds_waited(method: Method, batches: TrainingBatches) -> float:
    """The median over steps, but for the first, which waits for the processes to start."""
    loader = make_loader(batches, 0, N_STEPS, n_workers=N_WORKERS)
    waits = []
    for _ in range(N_STEPS):
        start = time.perf_counter()
        batch = next(loader)
        waits.append(time.perf_counter() - start)
        step(method, batch)
    return median(waits[1:])

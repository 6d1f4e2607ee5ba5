"""What getting a batch costs beside a training step: translation, 64 latent channels, 2 threads.

A batch is 20 P, of which 3 are labelled, and 20 A.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.floors import copied_bytes_per_second
from benchmarks.lines import Line, best_seconds
from benchmarks.samples import digit_store, half_slice_store
from benchmarks.steps import make_cell, make_method, step
from segtrans.data.batches import Batch, BatchPlan, TrainingBatches, make_loader
from segtrans.data.store import Store
from segtrans.methods.base import Method
from segtrans.train.arena import keep_freed_memory

BATCH_SIZE = 20  # of each domain
N_LABELLED = 3
N_PAIRS = 8000
N_STEPS = 12
N_WORKERS = 2
N_DRAWN = 20


def lines() -> Iterator[Line]:
    """Batches alone, as a share of a step; then steps fed from memory and from the file."""
    torch.set_num_threads(2)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        digits = digit_store(Path(folder) / "digits.h5", n_pairs=N_PAIRS)
        brats = half_slice_store(Path(folder) / "brats.h5")
        yield from batches_alone(brats, "half-slices 240 x 120")
        yield from batches_alone(digits, "digits 48 x 48")
        yield from fed_steps(digits, "digits 48 x 48")


def batches_alone(store: Store, images: str) -> Iterator[Line]:
    """Getting a batch, nothing else going on, in percent of a step."""
    held, read = batches_of(store)
    method, batch = make_translation(store), held[0]
    seconds = best_seconds(lambda: step(method, batch), repeats=6)
    n_bytes = sum(tensor.nbytes for tensor in (batch.x_P, batch.x_A, batch.y))
    for case, batches in (("memory", held), ("the file, by one process", read)):
        yield Line(
            part="loading",
            case=f"{images}: a batch from {case}; a step takes {seconds:.2f} s",
            value=100 * seconds_a_batch(batches) / seconds,
            unit="% of a step",
            floor=100 * n_bytes / copied_bytes_per_second() / seconds,
            floor_is="the batch copied once",
        )


def fed_steps(store: Store, images: str) -> Iterator[Line]:
    """Steps with what feeds them; reading processes share the cores with the step's threads."""
    held, read = batches_of(store)
    method = make_translation(store)
    for case, batches in (("memory", held), (f"the file, {N_WORKERS} workers", read)):
        before = seconds_a_step(method, repeat(held[0], N_STEPS))
        fed = seconds_a_step(method, make_loader(batches, 0, N_STEPS, n_workers=N_WORKERS))
        after = seconds_a_step(method, repeat(held[0], N_STEPS))
        yield Line(
            part="loading",
            case=f"{images}: a step fed from {case}",
            value=fed,
            unit="s",
            floor=(before + after) / 2,
            floor_is="the same step on one batch again and again",
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
    return make_method(make_cell("translation", task=task, width=1 / 8, batch_size=BATCH_SIZE))


def seconds_a_batch(batches: TrainingBatches) -> float:
    """Of the best of some runs through the first batches."""

    def draw() -> None:
        for iteration in range(N_DRAWN):
            batches[iteration]

    return best_seconds(draw, repeats=3) / N_DRAWN


def seconds_a_step(method: Method, batches: Iterable[Batch]) -> float:
    """The median over steps, each from one batch to the next; the first one warms up."""
    times = []
    start = time.perf_counter()
    for batch in batches:
        step(method, batch)
        stop = time.perf_counter()
        times.append(stop - start)
        start = stop
    return median(times[1:])

"""The training step of the proposed method: seconds and operations, beside the plain algorithm."""

import time
from collections.abc import Iterator

import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from benchmarks.lines import Line, best_seconds
from benchmarks.plain_flops import translation_flops
from benchmarks.steps import made_up_batch, make_config, make_method, step
from segtrans.methods.base import Method
from segtrans.train.hardware.arena import keep_freed_memory

BATCH_SIZE, N_LABELLED, N_THREADS = 20, 3, 2
WIDTHS = {64: 1 / 8, 128: 1 / 4, 512: 1.0}
# Convolutions of the tables at full width: images, channels in and out, kernel, pixels, stride.
CONVOLUTIONS = ((40, 257, 128, 5, 12, 1), (40, 129, 64, 5, 24, 1), (20, 128, 256, 4, 24, 2))


def lines() -> Iterator[Line]:
    """Seconds of a step at three widths, and its operations."""
    torch.set_num_threads(N_THREADS)
    keep_freed_memory()
    for channels, width in WIDTHS.items():
        config = make_config(
            "translation", task="mnist48_simple", width=width, batch_size=BATCH_SIZE
        )
        method, batch = make_method(config), made_up_batch(config, N_LABELLED)
        flops = translation_flops(config, n_labelled=N_LABELLED)
        rate = convolution_rate()
        step(method, batch)
        seconds = best_seconds(lambda: step(method, batch), repeats=3 if width == 1 else 12)  # noqa: B023
        rate = max(rate, convolution_rate())
        yield Line(
            part="step",
            case=f"translation, {channels} channels, 48 x 48, 20 + 20, fp32, {N_THREADS} threads",
            value=seconds,
            unit="s",
            floor=flops / rate,
            floor_is=f"{flops / 1e9:.1f} GFLOP of the plain algorithm, {rate / 1e9:.0f} GFLOP/s",
        )
        yield Line(
            part="step",
            case=f"operations dispatched, {channels} channels",
            value=n_operations(method, batch),
            unit="operations",
        )


def convolution_rate() -> float:
    """Floating-point operations a second of the best of some convolutions, forward."""
    best = 0.0
    for n, n_in, n_out, kernel, size, stride in CONVOLUTIONS:
        padded = size * stride + kernel - stride
        x = torch.randn(n, n_in, padded, padded).to(memory_format=torch.channels_last)
        weight = torch.randn(n_out, n_in, kernel, kernel).to(memory_format=torch.channels_last)
        flops = 2 * n * n_in * n_out * kernel**2 * size**2
        for _ in range(8):
            start = time.perf_counter()
            F.conv2d(x, weight, stride=stride)
            best = max(best, flops / (time.perf_counter() - start))
    return best


def n_operations(method: Method, batch: object) -> int:
    """Operations that a step hands to torch's dispatcher, not counting those inside another."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step(method, batch)  # type: ignore[arg-type]
    parents = (event.cpu_parent for event in profiler.events() if event.name.startswith("aten::"))
    return sum(parent is None or not parent.name.startswith("aten::") for parent in parents)

"""The training step on a GPU: seconds by width, precision and way of launching, and memory.

Nothing is measured where there is no GPU.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from benchmarks.lines import Line
from benchmarks.plain_flops import translation_flops
from benchmarks.step import BATCH_SIZE, N_LABELLED, WIDTHS
from benchmarks.step import CONVOLUTIONS as SMALL_CONVOLUTIONS
from benchmarks.steps import made_up_batch, make_config, make_method
from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Engine, Step
from segtrans.train.budget.cost import iteration_cost
from segtrans.train.hardware.updates import Updates
from segtrans.train.hardware.world import PRECISIONS, start_fabric

N_STEPS, N_REPEATS = 10, 3
_GPU = torch.device("cuda")
# Images, channels in and out, kernel, pixels, stride: of the tables at full width, and two more
# that keep the whole device busy.
CONVOLUTIONS = (*SMALL_CONVOLUTIONS, (80, 256, 256, 3, 48, 1), (80, 512, 512, 3, 24, 1))
TASKS = ("mnist48_simple", "mnist128", "brats")


def lines() -> Iterator[Line]:
    """Seconds of a step, launched one by one and replayed; peak memory; a compiled step last."""
    if not torch.cuda.is_available():
        return
    for precision in PRECISIONS:
        for channels, width in WIDTHS.items():
            config = _config("translation", "mnist48_simple", width, precision)
            yield from _steps(config, f"translation, {channels} channels, 48 x 48, {precision}")
    for method in ("segmentation_only", "autoencoder"):
        config = _config(method, "mnist48_simple", 1.0, "fp32")
        yield _line(f"{method}, 512 channels, 48 x 48, fp32, replayed", _replayed(config))
    for task in TASKS:
        yield from _at_full_width(_config("translation", task, 1.0, "fp32"))
    config = _config("translation", "mnist48_simple", 1.0, "bf16")
    case = "translation, 512 channels, 48 x 48, bf16, compiled"
    yield _line(case, _one_by_one(config, is_compiled=True))


def _config(method: str, task: str, width: float, precision: str) -> RunConfig:
    config = make_config(method, task=task, width=width, batch_size=BATCH_SIZE)
    training = config.training.model_copy(update={"precision": precision})
    return config.model_copy(update={"training": training})


def _steps(config: RunConfig, case: str) -> Iterator[Line]:
    flops = translation_flops(config, n_labelled=N_LABELLED)
    rate = _convolution_rate(config.training.precision)
    floor_is = f"{flops / 1e9:.1f} GFLOP of the plain algorithm, {rate / 1e12:.1f} TFLOP/s"
    for way, make in (("one by one", _one_by_one), ("replayed", _replayed)):
        yield Line(
            part="gpu",
            case=f"{case}, {way}",
            value=_seconds(make(config)),
            unit="s",
            floor=flops / rate,
            floor_is=floor_is,
        )


def _line(case: str, step: Callable[[], object]) -> Line:
    return Line(part="gpu", case=case, value=_seconds(step), unit="s")


def _at_full_width(config: RunConfig) -> Iterator[Line]:
    """Seconds, and the memory that torch holds once batches without labels have come as well."""
    floor = iteration_cost(config).peak_bytes / 1e6
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    updates = _updates(config)
    batches = [made_up_batch(config, n).to(_GPU) for n in (N_LABELLED, 0)]
    case = f"{config.task}, 512 channels, {BATCH_SIZE} + {BATCH_SIZE}, fp32, replayed"
    for way, batch in zip(("labelled", "without labels"), batches, strict=True):
        yield _line(f"{case}, {way}", lambda: updates(batch, 0))  # noqa: B023
    yield Line(
        part="gpu",
        case=f"{case}, both",
        value=torch.cuda.max_memory_reserved() / 1e6,
        unit="MB",
        floor=floor,
        floor_is="tensors that live at once, by going through an update without data",
    )


def _one_by_one(config: RunConfig, is_compiled: bool = False) -> Callable[[], object]:
    engine = _engine(config)
    method, batch = make_method(config, _GPU), made_up_batch(config, N_LABELLED).to(_GPU)
    if is_compiled:
        method.compile_networks()
    own = Step(engine, torch.Generator(_GPU), torch.zeros((), device=_GPU))

    def step() -> None:
        method.update(batch, own)

    return step


def _replayed(config: RunConfig) -> Callable[[], object]:
    n_labelled = BATCH_SIZE if config.method == "segmentation_only" else N_LABELLED
    updates, batch = _updates(config), made_up_batch(config, n_labelled).to(_GPU)
    return lambda: updates(batch, 0)


def _updates(config: RunConfig) -> Updates:
    return Updates(make_method(config, _GPU), _engine(config))


def _engine(config: RunConfig) -> Engine:
    return start_fabric(config.training, ["0"], None)


def _seconds(step: Callable[[], object]) -> float:
    """Of a step, the median over repeats of several in a row."""
    for _ in range(N_STEPS):
        step()
    seconds = []
    for _ in range(N_REPEATS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(N_STEPS):
            step()
        torch.cuda.synchronize()
        seconds.append((time.perf_counter() - start) / N_STEPS)
    return statistics.median(seconds)


def _convolution_rate(precision: str) -> float:
    """Floating-point operations a second of the best of some convolutions, forward."""
    torch.backends.cudnn.allow_tf32 = False
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    best = 0.0
    for n, n_in, n_out, kernel, size, stride in CONVOLUTIONS:
        padded = size * stride + kernel - stride
        x = torch.randn(n, n_in, padded, padded, device="cuda", dtype=dtype)
        weight = torch.randn(n_out, n_in, kernel, kernel, device="cuda", dtype=dtype)
        flops = 2 * n * n_in * n_out * kernel**2 * size**2
        for layout in (torch.contiguous_format, torch.channels_last):
            images, kernels = x.to(memory_format=layout), weight.to(memory_format=layout)
            seconds = _seconds(lambda: F.conv2d(images, kernels, stride=stride))  # noqa: B023
            best = max(best, flops / seconds)
    return best

"""Peak memory of trainings: the whole process, beside what its tensors need at once."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.lines import Line

# Task, width, images of each domain, updates. The last one is the paper's size on BraTS.
CASES = (
    ("mnist48_simple", 1 / 8, 8, 3),
    ("mnist48_simple", 1 / 8, 20, 3),
    ("mnist48_simple", 1.0, 20, 2),
    ("mnist128", 1 / 8, 20, 2),
    ("mnist128", 1.0, 20, 2),
    ("brats", 1 / 8, 20, 2),
    ("brats", 1.0, 20, 2),
)


def lines() -> Iterator[Line]:
    """One line per case, each in a process of its own."""
    for case in CASES:
        task, width, batch_size, _ = case
        arguments = [sys.executable, "-m", "benchmarks.memory", *map(str, case)]
        output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
        peak_mb, tensors_mb = map(float, output.split())
        yield Line(
            part="memory",
            case=f"{task}, width {width:g}, {batch_size} + {batch_size}, translation",
            value=peak_mb,
            unit="MB",
            floor=tensors_mb,
            floor_is="tensors that live at once, by going through an update without data",
        )


def main(task: str, width: str, batch_size: str, n_updates: str) -> None:
    """Train a little, print the peak of this process and that of its tensors, in MB."""
    import torch

    from benchmarks.steps import made_up_batch, make_config, make_method, step
    from segtrans.train.budget.cost import iteration_cost
    from segtrans.train.hardware.arena import keep_freed_memory
    from segtrans.train.usage import UsageMeter

    keep_freed_memory()
    config = make_config("translation", task=task, width=float(width), batch_size=int(batch_size))
    method, batch = make_method(config), made_up_batch(config, config.labels.per_batch)
    for _ in range(int(n_updates)):
        step(method, batch)
    peak_mb = UsageMeter(torch.device("cpu")).read()["peak_memory_mb"]
    print(peak_mb, iteration_cost(config).peak_bytes / 1e6)


if __name__ == "__main__":
    main(*sys.argv[1:])

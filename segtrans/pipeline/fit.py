"""A folder of pictures or scans through the whole workflow, for those who know no Snakemake."""

import copy
import fcntl
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from segtrans.atomic import write_text
from segtrans.config.catalogue import method_name
from segtrans.config.layers import merge
from segtrans.config.params import is_free_name, parse_params
from segtrans.config.yaml_files import read_yaml
from segtrans.errors import NOTE, UserError, UserErrors
from segtrans.interrupts import end_group, endings_interrupt
from segtrans.pipeline.preflight import check_sources
from segtrans.pipeline.progress import Trainings
from segtrans.pipeline.project import project_folder
from segtrans.places import check_folder
from segtrans.sources.own_folder.kind import kind_of_folder
from segtrans.sources.own_kinds import KINDS
from segtrans.sources.parameters import complete_data_sets

PRESET = "fit"
_WARP_SHARE = 5 / 120  # the paper's, of the shorter side of its half-slices
_FIRST_LINE = "# Written by `segtrans fit`, which writes it anew each time; change its options.\n"
_RULE = re.compile(r"(?:local)?rule (\w+):")
_WILDCARDS = re.compile(r"    wildcards: (.*)")
_NOTHING = "Nothing to be done"  # of Snakemake, where all is up to date
_ERROR = re.compile(r"(?:\S+\.log: )?segtrans: error: (.*)")
_STEPS = {
    **{name: kind.step for name, kind in KINDS.items()},
    "train": "train",
    "evaluate": "score",
    "figures": "draw figures",
    "report_page": "write the report",
}


@contextmanager
def _alone_in(run: Path) -> Iterator[int]:
    """Inside the block no other `segtrans fit` writes to a run's folder, which is made.

    The lock is the kernel's and ends with the last process that has it open, whatever ends that:
    given to Snakemake, it is held as long as either lives. File systems without such locks have
    none.

    Yields:
        The descriptor to hand on.

    Raises:
        UserError: another one is at work there.
    """
    check_folder(run)
    run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run / "fit.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = os.read(descriptor, 20).decode().strip() or "not started yet"
            raise UserError(
                f"{run}: another `segtrans fit` is at work there, or the Snakemake of one that was "
                f"killed (process {process}); wait until it ends, or stop it"
            ) from None
        except OSError:  # no kernel locks on this file system
            pass
        yield descriptor
    finally:
        os.close(descriptor)


def write_project(
    run: Path, folder: Path, *, methods: Sequence[str], iterations: int | None
) -> None:
    """Write params.yaml of a run: the defaults of such a folder, which is the only task.

    Args:
        run: folder that everything is written to.
        folder: of the pictures or scans.
        methods: to train, by name.
        iterations: length of the training; None: the default.

    Raises:
        UserError: something else or a run on other data lies there, another `segtrans fit` is at
            work there, or the parameters or the names of files are refused.
    """
    file = run / "params.yaml"
    check_folder(run)
    if file.exists() and not file.read_text(encoding="utf-8").startswith(_FIRST_LINE):
        raise UserError(f"{file}: not of `segtrans fit`; give --output a folder of its own")
    if folder.resolve().is_relative_to(run.resolve()) or run.resolve().is_relative_to(
        folder.resolve()
    ):
        raise UserError(f"{run}: lies in the data, or they in it; give --output another place")
    name = _task_name(folder)
    if file.exists() and (others := [task for task in read_yaml(file)["tasks"] if task != name]):
        raise UserError(
            f"{run}: holds a run on {others[0]}, and this one would be on {name}; give --output a "
            "folder of its own"
        )
    content = _content(name, folder, methods, iterations)
    complete = copy.deepcopy(content)
    complete_data_sets(complete)
    params = parse_params(complete, origin="fit")
    check_sources(params)
    (task,) = params.data_sets.values()
    warp_sd = round(_WARP_SHARE * min(task.height, task.width), 1)
    content["augmentation"]["warp_sd"] = warp_sd
    with _alone_in(run):
        write_text(file, _FIRST_LINE + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def run_workflow(run: Path, *, n_cores: int, say: Callable[[str], None]) -> None:
    """Run Snakemake in a run's folder; what is there and up to date is not made again.

    Ctrl-C, SIGTERM and the end of the terminal end it and its jobs first, so that the same command
    can be given again at once.

    Args:
        run: folder with params.yaml.
        n_cores: that it may use.
        say: called with each step, and with how far trainings are, as a line.

    Raises:
        UserErrors: what a job said was wrong.
        UserError: another `segtrans fit` is at work there; or it failed without a word: its output
            is in fit.log.
    """
    snakefile = str(project_folder() / "Snakefile")
    command = [*(sys.executable, "-m", "snakemake"), "--snakefile", snakefile]
    command += ["--cores", str(n_cores)]
    log = run / "fit.log"
    trainings = Trainings(read_yaml(run / "params.yaml")["training"]["iterations"])
    with (
        _alone_in(run) as lock,
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            cwd=run,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            pass_fds=(lock,),
            process_group=0,
        ) as process,
        _ended_first(process, say),
        trainings.told(lambda line: say(f"  {line}")),
    ):
        os.pwrite(lock, f"{process.pid:<20}".encode(), 0)  # who holds it, for those who wait
        errors = []
        rule = ""
        for line in process.stdout or ():
            file.write(line)
            if found := _RULE.match(line):
                rule = found[1]
            elif (found := _WILDCARDS.match(line)) and rule in _STEPS:
                say(f"{_STEPS[rule]}{_of(found[1])}")
                if rule == "train":
                    trainings.add(*_training_of(run, found[1]))
            elif found := _ERROR.match(line):
                errors.append(found[1])
            elif line.startswith(_NOTHING):
                say("everything is up to date, nothing was made again")
            elif line.startswith(NOTE):
                say(f"  {line.removeprefix(NOTE).rstrip()}")
    if process.returncode:
        if errors:
            raise UserErrors(list(dict.fromkeys(errors)))
        raise UserError(f"{log}: Snakemake ended with code {process.returncode}; it says why")


@contextmanager
def _ended_first(process: "subprocess.Popen[str]", say: Callable[[str], None]) -> Iterator[None]:
    """If the block is interrupted, Snakemake, which leads a group, has ended before this one."""
    with endings_interrupt():
        try:
            yield
        except KeyboardInterrupt:
            say("stopping; the same command continues where this one stopped")
            end_group(process)
            raise


def run_folders(run: Path) -> Iterator[Path]:
    """The run folders of what was asked for, such as results/fit/photos/translation/seed0.

    Earlier ones of other methods may lie beside them, trained on what the data were then.
    """
    asked = read_yaml(run / "params.yaml")
    for task in asked["tasks"]:
        for method in asked["methods"]:
            for seed in asked["init_seeds"]:
                yield run / "results" / PRESET / task / method_name(method, None) / f"seed{seed}"


def _content(
    task: str, folder: Path, methods: Sequence[str], iterations: int | None
) -> dict[str, Any]:
    kind = kind_of_folder(folder)
    names = ("params.yaml", *KINDS[kind].layers)
    content = merge((name, read_yaml(project_folder() / name)) for name in names)
    content |= {"preset": PRESET, "tasks": [task], "methods": list(methods), "init_seeds": [0]}
    entry = {"kind": kind, "directory": str(folder.resolve())}
    content |= {"data_sets": {task: entry}, "overrides": {}, "variants": {}}
    if iterations is not None:
        training = content["training"]
        training["iterations"] = iterations
        training["validate_every"] = min(training["validate_every"], max(1, iterations // 4))
    return content


def _of(wildcards: str) -> str:
    methods = re.findall(r"method=([^,]+)", wildcards)
    return f": {methods[0]}" if methods else ""


def _training_of(run: Path, wildcards: str) -> tuple[str, Path]:
    """Name and log of a training, from wildcards such as "method=autoencoder, preset=fit"."""
    of = dict(part.split("=", 1) for part in wildcards.split(", "))
    folder = run / "logs" / of["preset"] / of["task"] / of["method"]
    return of["method"], folder / f"seed{of['seed']}.train.log"


def _task_name(folder: Path) -> str:
    """The folder's name as that of a task; mine where that is none."""
    plain = unicodedata.normalize("NFKD", folder.resolve().name).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:64]
    return name if is_free_name(name) else "mine"

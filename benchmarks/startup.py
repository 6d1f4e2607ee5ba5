"""Seconds until something happens: help, the plan of the paper, a run that has nothing to do.

Each in a process of its own, with its files cached by the system.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer.main

from benchmarks.lines import Line, best_seconds
from segtrans.cli import app
from segtrans.config.params import load_params

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "config" / "paper.yaml"
REPEATS = 5
SNAKEMAKE = ("-m", "snakemake")
SEGTRANS = ("-m", "segtrans")


def lines() -> Iterator[Line]:
    """Help of the whole and of every command, the paper's dry run, the default preset again."""
    click = seconds_of("-c", "import click")
    group = typer.main.get_command(app)
    for command in ("", *sorted(group.commands)):  # type: ignore[attr-defined]
        arguments = [*command.split(), "--help"]
        yield Line(
            part="startup",
            case=" ".join(["segtrans", *arguments]),
            value=seconds_of(*SEGTRANS, *arguments),
            unit="s",
            floor=click,
            floor_is="Python started and click imported",
        )
    snakemake = seconds_of(*SNAKEMAKE, "--version")
    yield paper_plan(floor=snakemake)
    yield from nothing_to_do(floor=snakemake + seconds_of("-c", "import mlflow"))


def paper_plan(*, floor: float) -> Line:
    """The dry run of every job of the paper's size, in a folder where nothing was made."""
    paper = load_params(ROOT / "params.yaml", PAPER)
    n_rows = sum(len(paper.methods_of(task)) for task in paper.tasks)
    n_trainings = n_rows * len(paper.init_seeds)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "params.yaml", folder)
        arguments = ("--dry-run", "--configfile", str(PAPER), "--directory", folder)
        return Line(
            part="startup",
            case=f"dry run of the paper's size, {n_trainings} trainings",
            value=seconds_of(*SNAKEMAKE, *arguments),
            unit="s",
            floor=floor,
            floor_is="snakemake --version",
        )


def nothing_to_do(*, floor: float) -> Iterator[Line]:
    """What `make run` does when all is made; no line where something is left to do."""
    preset = load_params(ROOT / "params.yaml").preset
    plan = run([*SNAKEMAKE, "--dry-run"])
    if "Nothing to be done" not in plan.stdout + plan.stderr:
        print(f"  left out: a run of preset {preset} that has nothing to do", file=sys.stderr)
        return
    yield Line(
        part="startup",
        case=f"make run, preset {preset}, nothing to do",
        value=seconds_of(*SNAKEMAKE, "--quiet", "rules", "host")
        + seconds_of(*SEGTRANS, "summary", f"results/{preset}"),
        unit="s",
        floor=floor,
        floor_is="snakemake --version, and MLflow imported",
    )


def seconds_of(*arguments: str) -> float:
    """Seconds that Python takes with these arguments, the best of a few runs."""
    return best_seconds(lambda: run(arguments), repeats=REPEATS)


def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run Python in the project's folder.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

"""A stand-in for the command that the rules call, so that a whole pipeline ends in seconds."""

import os
import shutil
import stat
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.once import made_once
from tests.workflow.plans import snakemake

ROOT = Path(__file__).parents[2]
STAND_IN = """\
#!{python}
import json, pathlib, sys, zlib
command, rest = sys.argv[1], sys.argv[2:]
options = dict(zip(rest, rest[1:]))
names = {{
    "train": ["run.json", "history.jsonl", "weights.safetensors", "weights_last.safetensors",
              "labelled_ids.json"],
    "evaluate": ["metrics.json", "per_image.csv", "per_patient.csv", "panel.png"],
    "figures": ["samples.png", "learning_curves.png", "learning_curves.csv", "dice.png"],
    "phantom": ["HGG/patient/scan.nii.gz"],
}}
folder = rest[-1] if command == "evaluate" else options.get("--output")
paths = [pathlib.Path(folder, name) for name in names[command]] if command in names else [
    pathlib.Path(options[key])
    for key in ("--output", "--output-csv", "--output-md", "--output-json") if key in options]
if "--checksums" in options:
    paths.append(pathlib.Path(options["--checksums"]))
if "--report" in options:
    paths += [pathlib.Path(options["--report"], name)
              for name in ("half_slices.png", "report.md", "patients.csv", "samples.png",
                           "pictures.csv", "cases.csv")]
for path in paths:
    path.parent.mkdir(parents=True, exist_ok=True)
    made_by = " ".join(sys.argv[1:])  # other arguments, other results
    path.write_text(json.dumps({{made_by: "id"}}) if command == "track" else made_by)
if "--output-json" in options:  # other trainings, other numbers
    runs = b"".join(pathlib.Path(run, "run.json").read_bytes() for run in rest if "seed" in run)
    dice = {{"dice_soft_pooled_test": zlib.crc32(runs) / 2**32}}
    pathlib.Path(options["--output-json"]).write_text(json.dumps({{"task": {{"row": dice}}}}))
"""


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory):
    """A python beside which stands the stand-in, as the real command stands beside the real one."""
    home = tmp_path_factory.mktemp("environment")
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    command = home / "bin" / "segtrans"
    command.write_text(STAND_IN.format(python=sys.executable))
    command.chmod(command.stat().st_mode | stat.S_IEXEC)
    return home / "bin" / "python"


@pytest.fixture(scope="session")
def search_path():
    """PYTHONPATH for an interpreter that is not the environment's own."""
    return os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])


@pytest.fixture(scope="session")
def copy_project():
    """A function that copies what the pipeline consists of into a folder, and returns that."""

    def copy_project(folder):
        for name in ("workflow", "profiles", "config", "segtrans"):
            shutil.copytree(ROOT / name, folder / name)  # with bytecode, a second of work
        for name in ("Snakefile", "params.yaml"):
            shutil.copy(ROOT / name, folder / name)
        return folder

    return copy_project


@pytest.fixture
def interpreter_with(interpreter, tmp_path):
    """A function: an interpreter whose stand-in does more, before it writes or after."""

    def interpreter_with(before="", after=""):
        home = tmp_path / "environment"
        shutil.copytree(interpreter.parents[1], home, symlinks=True)
        command = home / "bin" / "segtrans"
        start, rest = command.read_text().split("for path in paths:\n")
        command.write_text(f"{start}{before}\nfor path in paths:\n{rest}{after}")
        return home / "bin" / "python"

    return interpreter_with


@pytest.fixture(scope="session")
def finished(tmp_path_factory, copy_project, interpreter):
    """A project folder in which the whole default pipeline has run."""

    def make(folder):
        answer = snakemake(interpreter, copy_project(folder))
        assert answer.returncode == 0, answer.stderr

    return made_once(tmp_path_factory, "finished_project", make)


@pytest.fixture
def project(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "project", symlinks=True)
    return tmp_path / "project"

"""What takes long to import is imported where it is used, and nowhere else."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from segtrans.cli import app
from tests.forked import run_forked

ROOT = Path(__file__).parents[1]
HEAVY = {
    *("torch", "lightning_fabric", "mlflow", "pandas", "matplotlib"),
    *("monai", "nibabel", "nilearn", "sklearn", "h5py"),
}
# What each is given, so that it stops as soon as it has imported what it needs, and which of
# HEAVY it may have imported by then.
COMMANDS = {
    "digits": ("--source nowhere --output x", set()),
    "cluttered-mnist": ("--task mnist128 --digits nowhere --output x", {"h5py"}),
    "phantom": ("--n-patients 1 --job 1 --output x", {"nibabel"}),
    # An output that is there is not downloaded.
    "decathlon": ("--output /dev/null --downloads x", set()),
    "split": ("--source nowhere --output x", {"h5py", "nibabel"}),
    "half-slice-part": (
        "--source nowhere --split nowhere --job 0 --n-jobs 1 --output x",
        {"h5py", "nibabel"},
    ),
    "merge-half-slices": (
        "nowhere --split nowhere --output x --report y",
        {"h5py", "nibabel", "matplotlib", "pandas"},
    ),
    "half-volumes": (
        "--source nowhere --split nowhere --output x --task x --definition {}",
        {"h5py", "nibabel"},
    ),
    "half-slices": (
        "--source nowhere --output x --report y",
        {"h5py", "nibabel", "matplotlib", "pandas"},
    ),
    "check": ("nowhere", set()),
    "image-folder": (
        "nowhere --task x --output y --report z",
        {"h5py", "pandas", "matplotlib"},
    ),
    "scan-folder": (
        "nowhere --task x --output y --report z",
        {"h5py", "pandas", "matplotlib", "nibabel"},
    ),
    "fit": ("nowhere --output x", set()),
    "import": ("mvtec nowhere x", {"nibabel"}),
    "example": ("/dev/null/x", set()),
    "demo": ("--output /dev/null/x", set()),
    "init": ("/dev/null/x", set()),
    "export": ("nowhere --output x.onnx", {"torch"}),
    "run-config": ("--task mnist128 --method nowhere", set()),
    "plan": ("--params nowhere", {"torch"}),
    "train": (
        "--run-config nowhere --data x --output y --checkpoints z",
        {"h5py", "torch", "lightning_fabric"},
    ),
    "evaluate": ("nowhere --data x", {"h5py", "torch", "pandas", "matplotlib"}),
    "predict": ("--weights nowhere --case x --output y", {"nibabel", "torch", "matplotlib"}),
    "table": ("nowhere --output-csv x --output-md y --output-json z", {"pandas"}),
    "figures": ("nowhere --data x --output y", {"h5py", "pandas", "matplotlib"}),
    "report": (
        "nowhere --data x --figures y --output z",
        {"h5py", "torch", "pandas", "matplotlib"},
    ),
    "track": ("nowhere", {"torch"}),
    "ui": ("", set()),
    "trace": ("nowhere", {"h5py"}),
    "summary": ("nowhere", set()),
}
# What commands share, none of HEAVY: or it would be counted.
LIGHT = (
    *("segtrans.cli", "segtrans.config.params", "segtrans.config.runs", "segtrans.places"),
    *("numpy", "scipy.ndimage", "PIL.Image", "jinja2"),
)
LOADED = f"""
def loaded():
    return {{module.partition(".")[0] for module in sys.modules}} & {HEAVY!r}
"""
# The arguments are those of one call of the command line.
CALL = f"""
import sys
from segtrans.cli import main
{LOADED}
try:
    main()
except SystemExit as end:
    code = end.code
print(code, *sorted(loaded()), file=sys.stderr)
"""
HELP = f"""
import sys
from segtrans.cli import main
{LOADED}
for command in {[[], *([command] for command in COMMANDS)]!r}:
    sys.argv = ["segtrans", *command, "--help"]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, command
    assert not loaded(), (command, loaded())
"""
# What Snakemake and its plugins import for themselves is not counted.
PARSE = f"""
import sys
from snakemake import cli
{LOADED}
cli.get_argument_parser()
before = loaded()
try:
    cli.main()
except SystemExit as end:
    assert end.code == 0
print(*sorted(loaded() - before))
"""


def python(code, *arguments, cwd):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_every_command_is_in_the_table():
    assert set(typer.main.get_command(app).commands) == set(COMMANDS)


def test_no_help_imports_anything_heavy(tmp_path):
    answer = python(HELP, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "--checkpoints" in answer.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_what_it_uses_and_nothing_else(command, tmp_path):
    options, allowed = COMMANDS[command]
    (tmp_path / "call.py").write_text(CALL)
    answer = run_forked("call", command, *options.split(), imports=LIGHT, cwd=tmp_path)
    code, *loaded = answer.stderr.splitlines()[-1].split()
    assert code == "1", answer.stderr
    assert set(loaded) == allowed


def test_the_plan_of_the_paper_imports_nothing_heavy(tmp_path):
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    answer = python(
        PARSE,
        *("--dry-run", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path),
        *("--configfile", ROOT / "config" / "paper.yaml"),
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stderr
    assert "segtrans train" in answer.stdout
    assert answer.stdout.splitlines()[-1] == ""

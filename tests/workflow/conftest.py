"""A stand-in for the command that the rules call, so that a whole pipeline ends in seconds."""

import stat
import sys
from pathlib import Path

import pytest

STAND_IN = """\
#!{python}
import pathlib, sys
verb, rest = sys.argv[1], sys.argv[2:]
options = dict(zip(rest, rest[1:]))
names = {{
    "train": ["run.json", "history.jsonl", "weights.safetensors", "weights_last.safetensors",
              "labelled_ids.json"],
    "evaluate": ["metrics.json", "per_image.csv", "per_patient.csv", "panel.png"],
    "figures": ["samples.png", "learning_curves.png", "learning_curves.csv", "dice.png"],
    "phantom": ["HGG/patient/scan.nii.gz"],
}}
folder = rest[-1] if verb == "evaluate" else options.get("--output")
paths = [pathlib.Path(folder, name) for name in names[verb]] if verb in names else [
    pathlib.Path(options[key])
    for key in ("--output", "--output-csv", "--output-md", "--output-json") if key in options]
if "--checksums" in options:
    paths.append(pathlib.Path(options["--checksums"]))
if "--report" in options:
    paths += [pathlib.Path(options["--report"], name)
              for name in ("half_slices.png", "report.md", "patients.csv")]
for path in paths:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(" ".join(sys.argv[1:]))  # other arguments, other results
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

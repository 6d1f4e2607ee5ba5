"""The ranges of pyproject.toml: lowest and newest versions go together, all of them as wheels.

What is resolved is not installed; the suite runs with the pinned set.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [
    found[1]
    for classifier in PROJECT["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier))
]
# Snakemake's and DVC's: pure Python that has no wheel, at any version.
SOURCES = ("connection-pool", "antlr4-python3-runtime")


def test_the_classifiers_are_the_pythons_that_may_be_used():
    least, above = map(int, re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    assert [f"3.{minor}" for minor in range(least, above)] == PYTHONS


def resolve(python, resolution):
    """Version by name of all packages, of this Python on Linux."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:/usr/local/bin")
    if uv is None:
        pytest.skip("uv is not installed: make setup brings it")
    command = [uv, "pip", "compile", ROOT / "pyproject.toml", "--resolution", resolution]
    command += ["--python-version", python, "--python-platform", "linux", "--only-binary", ":all:"]
    command += [option for name in SOURCES for option in ("--no-binary", name)]
    command += ["--quiet", "--no-header", "--no-annotate"]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode and "error sending request" in answer.stderr:
        pytest.skip(f"no package index can be reached: {answer.stderr.splitlines()[0]}")
    assert answer.returncode == 0, answer.stderr
    return dict(re.findall(r"^([\w.-]+)==(\S+)", answer.stdout, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
def test_the_newest_allowed_versions_go_together(python):
    assert int(resolve(python, "highest")["torch"].split(".")[0]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lowest_allowed_versions_go_together(python):
    found = resolve(python, "lowest-direct")
    for line in PROJECT["dependencies"]:
        name, bound = re.match(r"([\w-]+)>=([\d.]+)", line).groups()
        if python == PYTHONS[0]:  # of later ones some wheels begin later
            assert f"{found[name]}.0.0".startswith(f"{bound}."), (name, found[name])

"""The container files: what they name exists, what they install is locked, a linter is content."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "containers/Dockerfile").read_text(encoding="utf-8")
RECIPE = (ROOT / "containers/segtrans.def").read_text(encoding="utf-8")
LOCK = (ROOT / "containers/requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def copied():
    """Paths that the Dockerfile copies, with their destinations."""
    for line in re.findall(r"^COPY (.*)$", DOCKERFILE.replace("\\\n", " "), re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            is_folder = (ROOT / source).is_dir() or not target.endswith("/")
            yield source, target if is_folder else f"{target}{Path(source).name}"


def in_recipe():
    (files,) = re.findall(r"^%files\n((?:    .*\n)+)", RECIPE, re.MULTILINE)
    return [tuple(line.split()) for line in files.splitlines()]


def test_both_recipes_copy_the_same_files_all_of_which_exist():
    assert sorted(copied()) == sorted(in_recipe())
    for source, _ in copied():
        assert (ROOT / source).exists(), source
    # What the wheel is made of, and nothing else is needed to make it.
    build = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*build["force-include"], *build["packages"], "pyproject.toml"}
    needed |= {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert needed | {"containers/requirements.lock"} == {source for source, _ in copied()}


def test_the_builder_gets_all_that_is_copied():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert {line[1:] for line in ignored if line.startswith("!")} == {s for s, _ in copied()}


def test_both_start_from_the_same_tested_python_and_run_the_command():
    (image,) = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^From: (\S+)", RECIPE, re.MULTILINE) == [image]
    minor = int(re.match(r"python:3\.(\d+)-", image)[1])
    least, above = map(int, re.findall(r"3\.(\d+)", PROJECT["project"]["requires-python"]))
    assert least <= minor < above
    assert re.findall(r'^ENTRYPOINT \["(.*)"\]', DOCKERFILE, re.MULTILINE) == ["segtrans"]
    assert 'exec segtrans "$@"' in RECIPE
    assert "segtrans" in PROJECT["project"]["scripts"]
    for text in (DOCKERFILE, RECIPE):
        assert "--require-hashes" in text
        assert "/opt/segtrans/containers/requirements.lock" in text


@pytest.mark.parametrize("command", [["demo"], ["--version"]])
def test_commands_that_the_recipes_name_are_there(command):
    assert any(f" {command[0]}" in text for text in (DOCKERFILE, RECIPE))
    option = [] if command[0].startswith("-") else ["--help"]
    subprocess.run([sys.executable, "-m", "segtrans", *command, *option], check=True)


def locked():
    """Version and number of hashes by the name of each locked package."""
    entries = re.findall(r"^([\w.-]+)==([^\s;]+)(.*?)(?=^\S|\Z)", LOCK, re.MULTILINE | re.DOTALL)
    return {name: (version, rest.count("--hash=sha256:")) for name, version, rest in entries}


def test_the_lock_has_hashes_and_the_pinned_versions_and_names_no_index():
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    found = locked()
    assert all(n_hashes for _, n_hashes in found.values())
    assert "://" not in LOCK
    assert {name: pins[name] for name in found if name in pins} == {
        name: version for name, (version, _) in found.items() if name in pins
    }
    required = {re.match(r"[\w-]+", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert required <= found.keys()


def test_the_dockerfile_has_no_fault_that_a_linter_finds():
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:/usr/local/bin")
    if linter is None:
        pytest.skip("hadolint is not installed: make setup brings it")
    subprocess.run([linter, ROOT / "containers/Dockerfile"], check=True)

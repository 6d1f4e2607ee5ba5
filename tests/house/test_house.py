"""The rules of the house that a machine can check: imports, sizes, docstrings, the manual."""

import ast
import re
from pathlib import Path

import pytest

from segtrans.manual import manual

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "segtrans"
FILES = sorted(PACKAGE.rglob("*.py"))

# Which parts of the package each part may import; everyone may import the foundations.
FOUNDATIONS = {
    "errors",
    "atomic",
    "places",
    "digests",
    "tasks",
    "versions",
    "params",
    "stages",
    "validation",
    "layers",
    "yaml_files",
    "cells",
    "runs",
    "run_record",
    "catalogue",
    "processes",
    "precision",
}
ALLOWED = {
    "data": set(),
    "nets": set(),
    "objective": set(),
    "methods": {"nets", "objective"},
    "evaluate": {"methods", "data", "tracking"},
    "train": {"methods", "nets", "data", "evaluate", "tracking"},
    "tracking": set(),
    "registry": {"methods", "evaluate", "tracking"},
    "cli": {"data", "train", "evaluate", "tracking", "registry"},
    "manual": set(),
    "records": set(),
    "ownership": set(),
    "preflight": {"data"},
    "__main__": {"cli"},
}
ONLY_IN = {
    "h5py": {"data/store.py"},
    "mlflow": {"tracking", "registry"},
    "monai": set(),
    "snakemake": {"records.py"},  # which reads and writes its records
    "dvc": set(),
    "pickle": set(),
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    part = part_of(path)
    for module in imports(path):
        if not module.startswith("segtrans."):
            continue
        name = module.removeprefix("segtrans.")
        if name in FOUNDATIONS or name.split(".")[0] in FOUNDATIONS:
            continue
        target = name.split(".")[0]
        assert target == part or target in ALLOWED.get(part, set()), f"{part} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"


def test_guarded_libraries_are_imported_in_their_one_place():
    for path in FILES:
        place = str(path.relative_to(PACKAGE))
        for module in imports(path):
            allowed = ONLY_IN.get(module.split(".")[0])
            if allowed is not None:
                assert any(place.startswith(start) for start in allowed), f"{place}: {module}"


def test_no_module_has_a_name_that_says_nothing():
    assert not {path.stem for path in FILES} & {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("part", ["evaluate", "registry", "train", "tracking"])
def test_titles_of_tasks_say_when_patients_are_made_up(part):
    for path in (PACKAGE / part).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        # `task_title` alone knows it.
        assert not re.search(r"task_facts\.title|TASKS\[.*\]\.title|\btask\.title", text), path


def test_the_manual_is_the_models():
    assert (ROOT / "config" / "README.md").read_text(encoding="utf-8") == manual() + "\n"


def test_what_the_readme_names_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)`", text):
        assert f"\n{target}:" in makefile, target

"""The rules of the house that a machine can check: imports, sizes, docstrings, the manual."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from segtrans.config.manual import manual

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "segtrans"
FILES = sorted(PACKAGE.rglob("*.py"))

# Which rooms each room may import; everyone may import the foundations.
FOUNDATIONS = {
    "errors",
    "block",
    "batch",
    "atomic",
    "digests",
    "places",
    "processes",
    "processors",
    "interrupts",
    "precision",
    "stacks",
}
ALLOWED = {
    "tasks": set(),
    "config": {"tasks"},
    "data": {"tasks", "config"},
    "sources": {"tasks", "config", "data"},
    "nets": set(),
    "objective": {"tasks"},
    "methods": {"tasks", "config", "nets", "objective"},
    "tracking": {"config", "methods", "predict"},
    "score": {"tasks", "config", "data", "methods"},
    "figures": {"tasks", "config", "data", "methods", "score"},
    "report": {"tasks", "config", "data", "score", "figures", "tracking"},
    "predict": {"tasks", "config", "data", "sources", "nets", "methods", "figures"},
    "train": {"tasks", "config", "data", "nets", "methods", "score", "tracking"},
    "pipeline": {"tasks", "config", "data", "sources"},
    "demo": {"tasks", "config", "sources", "methods", "score", "figures", "predict"},
    "cli": {
        "tasks",
        "config",
        "data",
        "sources",
        "train",
        "score",
        "figures",
        "report",
        "predict",
        "tracking",
        "pipeline",
        "demo",
    },
    "__main__": {"cli"},
}
ONLY_IN = {
    "h5py": {"data/store.py"},
    "mlflow": {"tracking"},
    "monai": set(),
    "snakemake": {"pipeline/records.py"},  # which reads and writes its records
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
        target = module.split(".")[1]
        known = {part, *FOUNDATIONS, *ALLOWED.get(part, set())}
        assert target in known, f"{part} imports {module}"


def test_no_room_imports_itself_by_way_of_others():
    TopologicalSorter(ALLOWED).prepare()  # refuses a circle


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


@pytest.mark.parametrize("part", ["score", "figures", "report", "predict", "train", "tracking"])
def test_titles_of_tasks_say_when_patients_are_made_up(part):
    for path in (PACKAGE / part).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        # The task alone knows it, by the parameters of the data.
        assert not re.search(r"(definition|TASKS\[.*\]|\btask)\.title\b", text), path


def test_the_manual_is_the_models():
    assert (ROOT / "config" / "README.md").read_text(encoding="utf-8") == manual() + "\n"


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]


def anchors(path):
    """The fragments of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = (title.strip().lower() for title in re.findall(r"^#+ (.*)", text, re.MULTILINE))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link, fragment in re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", text):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), f"{link}#{fragment}"


def test_the_readme_is_short_and_what_it_names_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)`", text):
        assert f"\n{target}:" in makefile, target

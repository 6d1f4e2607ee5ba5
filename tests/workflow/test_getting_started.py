"""The getting-started pages are notebooks: each is executed as jupytext reads it.

Data are small, trainings a few iterations: what is edited for that stands in `EDITS`.
"""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from segtrans.pipeline.project import write_new_project
from tests.sources.image_folder.folders import write_folder
from tests.sources.scan_folder.folders import write_scans

ROOT = Path(__file__).parents[2]
SCRIPTS = sysconfig.get_path("scripts")
PAGES = ("demo", "your-own-pictures", "your-own-scans", "brats", "default-run")
EDITS = {
    "segtrans fit photos": "segtrans fit photos --iterations 2",
    "segtrans fit brains": "segtrans fit brains --iterations 2",
    "--cores 8 --config ": "--cores 2 --configfile config/smoke.yaml --config 'methods=[translation]' ",  # noqa: E501
    "/scans": "scans",
    "scans/patient7": "scans/HGG/phantom_0000",
    "results/laptop/mnist48_simple/": "results/mine/brats/",
}


def page(name):
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def commands(name):
    """What a page has its reader run, a listing each."""
    return re.findall(r"^```sh\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)


def edited(text):
    for printed, replacement in EDITS.items():
        text = text.replace(printed, replacement)
    return text


def environment():
    return os.environ | {"PATH": f"{SCRIPTS}:{os.environ['PATH']}", "SEGTRANS_GPUS": ""}


def run_page(name, folder):
    """Execute the notebook that a page is; returns what its cells printed, one after the other."""
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.reads(page(name), fmt="md")
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in cells] == [f"%%sh\n{text.rstrip()}" for text in commands(name)]
    for cell in cells:
        cell.source = edited(cell.source).replace("%%sh\n", "%%sh\nset -e\n", 1)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=None, kernel_name="python3", resources=resources)
    client.execute(env=environment())
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("getting_started") / "mine"
    write_new_project(folder)
    return folder


def test_what_a_page_shows_and_a_notebook_does_not_run_is_a_target_of_make():
    text = "".join(page(name) for name in PAGES)
    assert re.findall(r"^```sh \.noeval\nmake (.*)\n```", text, re.MULTILINE) == ["demo-weights"]
    assert "\ndemo-weights:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    run = "".join(listing for name in PAGES for listing in commands(name))
    assert not re.findall(r"^make ", run, re.MULTILINE)


def test_each_edit_is_of_a_command_that_is_printed():
    text = "".join(listing for name in PAGES for listing in commands(name))
    for printed, replacement in EDITS.items():
        assert printed in text, printed
        text = text.replace(printed, replacement)


@pytest.mark.slow
def test_the_demo_page(project):
    run_page("demo", project)
    assert (project / "demo" / "phantom.png").exists()


@pytest.mark.slow
def test_the_page_of_pictures(project):
    write_folder(project / "photos")
    write_folder(project / "NEW")
    (entry,) = [
        text for text in re.findall(r"```yaml\n(.*?)```", page("your-own-pictures"), re.DOTALL)
        if text.startswith("preset: ")
    ]  # fmt: skip
    short = entry.replace("iterations: 3000", "iterations: 2, validate_every: 2")
    assert short != entry
    (project / "mine.yaml").write_text(f"{short}methods: [translation]\ninit_seeds: [0]\n")
    run_page("your-own-pictures", project)
    # Of each picture of NEW, not of its masks.
    assert len(list((project / "masks" / "mask").rglob("*.png"))) == 22
    assert (project / "results/mine/photos/translation/seed0/metrics.json").exists()


@pytest.mark.slow
def test_the_page_of_scans(tmp_path):
    scans = write_scans(tmp_path / "brains")
    (scans / "dataset.yaml").write_text("{height: 44, width: 40, architecture: mnist48}\n")
    (tmp_path / "NEW").symlink_to(scans / "present")
    run_page("your-own-scans", tmp_path)
    assert list((tmp_path / "masks" / "mask").glob("*.nii.gz"))


@pytest.mark.slow
def test_the_pages_of_brain_tumours_and_of_the_default_run(project):
    made = ["segtrans", "phantom", "--output", "scans", "--n-patients", "3"]
    subprocess.run(made, cwd=project, env=environment(), check=True)
    run_page("brats", project)
    assert (project / "out" / "phantom_0000_seg.nii.gz").exists()
    assert "seed" in run_page("default-run", project)

"""Every command of the getting-started pages, as it is printed, in a project of one's own.

Data are small, trainings a few iterations: what is edited for that stands in `EDITS`.
"""

import os
import re
import shlex
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
# Commands that other tests run (test_smoke.py runs what `make run` does), or that take minutes.
MAKE = ("make demo-weights",)
EDITS = {
    "segtrans fit photos": "segtrans fit photos --iterations 2",
    "segtrans fit brains": "segtrans fit brains --iterations 2",
    "--cores 8 --config ": "--cores 2 --configfile config/smoke.yaml --config 'methods=[translation]' ",  # noqa: E501
    "/scans": "scans",
    "scans/patient7": "scans/HGG/phantom_0000",
    "results/laptop/brats/": "results/mine/brats/",
    "results/laptop/mnist48_simple/": "results/mine/brats/",
}


def page(name):
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def commands(name):
    """The lines of a page's listings, without comments."""
    for listing in re.findall(r"^```sh\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL):
        for line in listing.splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield shlex.join(words)


def run(command, folder):
    for printed, edited in EDITS.items():
        command = command.replace(printed, edited)
    environment = os.environ | {"PATH": f"{SCRIPTS}:{os.environ['PATH']}", "SEGTRANS_GPUS": ""}
    answer = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, f"{command}\n{answer.stdout[-2000:]}\n{answer.stderr[-4000:]}"
    return answer.stdout


def run_page(name, folder):
    ran = [command for command in commands(name) if command not in MAKE]
    assert ran
    return [run(command, folder) for command in ran]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("getting_started") / "mine"
    write_new_project(folder)
    return folder


def test_make_knows_what_the_pages_ask_of_it():
    for name in PAGES:
        for command in commands(name):
            assert command in MAKE or not command.startswith("make "), command
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in MAKE:
        assert f"\n{command.split()[1]}:" in makefile


def test_each_edit_is_of_a_command_that_is_printed():
    printed = " ".join(command for name in PAGES for command in commands(name))
    edited = printed
    for old, new in EDITS.items():
        assert old in edited, old
        edited = edited.replace(old, new)


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
    run("segtrans phantom --output scans --n-patients 3", project)
    run_page("brats", project)
    assert (project / "out" / "phantom_0000_seg.nii.gz").exists()
    (traced,) = run_page("default-run", project)
    assert "seed" in traced

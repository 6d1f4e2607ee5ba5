"""A project of one's own: in the repository, and from a wheel without it."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segtrans.cli import app
from segtrans.errors import UserError
from segtrans.pipeline.project import write_new_project

ROOT = Path(__file__).parents[2]


def test_a_new_project_has_the_files_of_the_repository(tmp_path):
    write_new_project(tmp_path / "mine")
    for name in ("Snakefile", "params.yaml", "config/smoke.yaml", "workflow/rules/train.smk"):
        assert (tmp_path / "mine" / name).read_bytes() == (ROOT / name).read_bytes()
    assert "- segtrans\n" not in (tmp_path / "mine" / "dvc.yaml").read_text(encoding="utf-8")
    ignored = (tmp_path / "mine" / ".gitignore").read_text(encoding="utf-8").splitlines()
    # What a run writes, as in the repository, but nothing that is only the repository's.
    assert {"/data/", "/results/", "/checkpoints/", "/logs/", ".snakemake/"} < set(ignored)
    assert set(ignored) < set((ROOT / ".gitignore").read_text(encoding="utf-8").splitlines())
    assert not {"/photos/", "build/"} & set(ignored)
    with pytest.raises(UserError, match="not empty"):
        write_new_project(tmp_path / "mine")


def test_an_empty_folder_in_which_one_stands_is_filled(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    before = here.stat().st_ino
    write_new_project(tmp_path / "mine")
    answer = CliRunner().invoke(app, ["init", "."])
    assert "Run it:  snakemake" in answer.output
    assert "git init && dvc repro" in answer.output
    assert here.stat().st_ino == before
    assert files(here) == files(tmp_path / "mine")
    with pytest.raises(UserError, match="not empty"):
        write_new_project(here)


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.slow
def test_a_wheel_makes_a_project_that_runs(tmp_path):
    """In an environment that has everything but the repository."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*command, cwd=tmp_path):
        answer = subprocess.run(
            list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout + answer.stderr

    wheel = (*(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"), ROOT)
    run(*wheel, "--wheel-dir", tmp_path)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", *tmp_path.glob("*.whl"))
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # Not those of an editable install: paths in a path file are not read.
    (Path(packages) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    found = run(python, "-c", "import segtrans; print(segtrans.__file__)")
    assert found.startswith(packages)
    run(python.parent / "segtrans", "init", "mine")
    project = tmp_path / "mine"
    data = "data/smoke/mnist48_simple.h5"
    run(python, "-m", "snakemake", "--configfile", "config/smoke.yaml", "--", data, cwd=project)
    assert (project / data).is_file()

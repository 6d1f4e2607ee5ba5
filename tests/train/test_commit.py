"""A run's commit is that of the package's own repository, or it says why there is none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from segtrans.train.commit import checked_out_commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder):
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / "code.py").write_text("a = 1\n")
    git(folder, "add", "code.py")
    git(folder, "commit", "--quiet", "--message", "one")
    return git(folder, "rev-parse", "HEAD")


def test_the_commit_is_that_of_the_projects_own_repository(tmp_path):
    commit = repository(tmp_path / "project")
    assert checked_out_commit(tmp_path / "project") == (commit, None)
    (tmp_path / "project/code.py").write_text("a = 2\n")
    assert checked_out_commit(tmp_path / "project") == (f"{commit}-dirty", None)


def test_sources_inside_another_repository_do_not_have_its_commit(tmp_path):
    repository(tmp_path / "thesis")
    unpacked = tmp_path / "thesis/segtrans-0.1"
    unpacked.mkdir()
    name, why = checked_out_commit(unpacked)
    assert name is None
    assert why == f"{unpacked} lies in the repository {tmp_path / 'thesis'}, which is not its own"


def test_what_the_environment_says_of_another_repository_does_not_count(tmp_path, monkeypatch):
    repository(tmp_path / "other")
    commit = repository(tmp_path / "project")
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "plain"))
    assert checked_out_commit(tmp_path / "project") == (commit, None)
    assert checked_out_commit(tmp_path / "plain") == (None, "not run from a repository")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_clone_of_another_user_says_so(tmp_path):
    repository(tmp_path / "project")
    for path in (tmp_path / "project", *(tmp_path / "project").rglob("*")):
        os.chown(path, 12345, 12345)
    name, why = checked_out_commit(tmp_path / "project")
    assert name is None
    assert "dubious ownership" in why
    assert "\n" not in why


def test_without_git_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(tmp_path)))
    name, why = checked_out_commit(tmp_path)
    assert (name, why) == (None, "git cannot be run (No such file or directory)")

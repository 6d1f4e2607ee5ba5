"""A tracking server that is down while the pipeline runs: no failure, and tried again later."""

import json
import re

import pytest

from tests.workflow import plans

LOST = """
if command == "track" and pathlib.Path("server_is_down").exists():
    paths[0].write_text(json.dumps({"run": "id", "other": None}))
"""


@pytest.fixture
def snakemake(tmp_path, copy_project, interpreter_with):
    """A function that runs Snakemake, with or without a server, in a project of its own."""
    project, interpreter = copy_project(tmp_path / "project"), interpreter_with(after=LOST)

    def snakemake(*arguments, server):
        marker = project / "server_is_down"
        marker.unlink(missing_ok=True) if server else marker.touch()
        answer = plans.snakemake(interpreter, project, *arguments)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout + answer.stderr

    snakemake.project = project
    return snakemake


@pytest.mark.slow
def test_what_a_lost_server_left_out_is_tried_at_each_run_until_it_is_tracked(snakemake):
    first = snakemake(server=False)
    assert "2 of 4 runs are not tracked" in first
    assert "track_again" not in first
    second = snakemake(server=False)
    assert "2 of 4 runs are not tracked" in second
    planned = snakemake("--dry-run", server=True)
    assert re.search(r"^track_again +2$", planned, re.MULTILINE)
    assert "evaluate " not in planned
    assert "track_again" not in snakemake("--dry-run", "data", server=True)
    third = snakemake(server=True)
    assert "not tracked" not in third
    for file in snakemake.project.glob("results/laptop/*/tracked.json"):
        assert None not in json.loads(file.read_text()).values()
    assert "Nothing to be done" in snakemake(server=True)

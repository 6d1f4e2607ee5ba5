"""The harness of the benchmarks: floors, parts that fail, the table and the JSON; no timings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.lines import Line
from benchmarks.report import plain, run_parts, table

ROOT = Path(__file__).parents[1]
SECONDS = Line(part="made_up", case="seconds", value=3.0, unit="s", floor=2.0, floor_is="two")
RATE = Line(part="made_up", case="rate", value=2000, unit="pairs/s", floor=3000, floor_is="three")
WITHOUT = Line(part="made_up", case="counted", value=12345, unit="operations")


def bench(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_twice_the_floor_is_twice_as_slow_for_seconds_and_rates():
    assert SECONDS.ratio == RATE.ratio == 1.5
    assert WITHOUT.ratio is None
    assert plain(RATE) == vars(RATE) | {"ratio": 1.5}


def test_the_table_has_a_row_a_line():
    header, _, *rows = table([SECONDS, RATE, WITHOUT]).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (header, *rows)]
    assert cells == [
        ["part", "case", "measured", "floor", "times the floor", "the floor is"],
        ["made_up", "seconds", "3 s", "2", "1.5", "two"],
        ["made_up", "rate", "2,000 pairs/s", "3,000", "1.5", "three"],
        ["made_up", "counted", "12,345 operations", "", "", ""],
    ]


def test_a_part_that_fails_says_why_and_the_next_one_runs(capfd):
    lines, failures = run_parts(["one_that_is_not_there", "another"])
    assert lines == []
    assert list(failures) == ["one_that_is_not_there", "another"]
    assert failures["another"] == "ModuleNotFoundError: No module named 'benchmarks.another'"
    assert "could not run" in capfd.readouterr().err


def test_a_part_that_does_not_exist_is_refused_with_those_that_do():
    answer = bench("cluter")
    assert answer.returncode == 2
    assert "cluter" in answer.stderr
    assert "half_slices" in answer.stderr


@pytest.mark.slow
def test_a_measured_part_stands_in_table_and_json_beside_one_that_could_not_run(tmp_path):
    (tmp_path / "nilearn.py").write_text("raise ImportError('broken for this test')")
    output = tmp_path / "bench.json"
    answer = bench("phantom", "augment", "--output", str(output), PYTHONPATH=str(tmp_path))
    assert answer.returncode == 1
    assert "could not run: UserError: phantom: the brain that nilearn ships" in answer.stderr
    content = json.loads(output.read_text())
    assert list(content["failures"]) == ["phantom"]
    assert {"cpu", "cores", "memory_gib", "torch", "numpy", "date"} <= content["machine"].keys()
    assert [line["case"] for line in content["lines"]] == [
        "plain loop",
        "ours, 1 thread",
        "ours, 2 threads",
    ]
    for line in content["lines"]:
        assert line["ratio"] == pytest.approx(line["floor"] / line["value"])
        assert line["case"] in answer.stdout

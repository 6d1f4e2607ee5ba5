"""Snakemake killed with kill -9, and started twice at once; a stand-in does the jobs."""

import os
import shutil
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
# Added to the stand-in: a training that lasts, and says that it has begun.
SLOWLY = """
if verb == "train":
    import time
    with open("begun.txt", "a") as begun:
        begun.write(folder + "\\n")
    time.sleep(1)
"""


@pytest.fixture
def start(tmp_path, interpreter):
    """A function that starts Snakemake in a copy of the project."""
    for name in ("workflow", "profiles", "config", "segtrans"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Snakefile", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    home = tmp_path / "environment"
    shutil.copytree(interpreter.parents[1], home, symlinks=True)
    command = home / "bin" / "segtrans"
    # It sleeps before it writes: what it writes comes last.
    verb, rest = command.read_text().split("for path in paths:\n")
    command.write_text(f"{verb}{SLOWLY}\nfor path in paths:\n{rest}")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]]),
        "SEGTRANS_GPUS": "",
    }

    def start(*arguments):
        return subprocess.Popen(
            [home / "bin" / "python", "-m", "snakemake", "--cores", "2", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def wait_for_trainings(folder, process, n):
    begun = folder / "begun.txt"
    while process.poll() is None and not (
        begun.exists() and len(begun.read_text().splitlines()) >= n
    ):
        time.sleep(0.05)
    assert process.poll() is None


def test_killed_again_and_again_the_plain_command_finishes_the_work(start, tmp_path):
    for number in range(3):
        process = start()
        wait_for_trainings(tmp_path, process, 3 * (number + 1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        refused = start()
        text, _ = refused.communicate(timeout=60)
        assert refused.returncode != 0
        assert "--unlock" in text  # the message says the one command
        assert "Traceback" not in text
        unlocked = start("--unlock")
        text, _ = unlocked.communicate(timeout=60)
        assert unlocked.returncode == 0, text
    time.sleep(1.5)  # trainings outlive their Snakemake
    process = start()
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert len(list(tmp_path.glob("results/laptop/*/*/*/weights.safetensors"))) == 16
    assert (tmp_path / "results/laptop/table.md").exists()
    text, _ = start("--dry-run").communicate(timeout=60)
    assert "Nothing to be done" in text


def test_a_second_snakemake_is_refused_and_disturbs_nothing(start, tmp_path):
    first = start()
    wait_for_trainings(tmp_path, first, 1)
    second = start()
    refusal, _ = second.communicate(timeout=60)
    text, _ = first.communicate(timeout=120)
    assert second.returncode != 0
    assert "cannot be locked" in refusal
    assert "Traceback" not in refusal
    assert first.returncode == 0, text
    assert (tmp_path / "results/laptop/table.md").exists()

"""Run Snakemake with a stand-in for the jobs, and read what it plans."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]


def snakemake(interpreter, folder, *arguments):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]]),
        "SEGTRANS_GPUS": "",
    }
    return subprocess.run(
        [interpreter, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def planned(interpreter, folder, *arguments):
    """Jobs by rule that a dry run would run; {} when nothing is to be done."""
    answer = snakemake(interpreter, folder, "--dry-run", *arguments)
    assert answer.returncode == 0, answer.stderr
    text = answer.stdout + answer.stderr
    if "Nothing to be done" in text:
        return {}
    table = text[text.rindex("Job stats:") :]
    counts = {name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}
    return {name: n for name, n in counts.items() if name not in ("all", "data", "total")}


def replace(folder, file, old, new):
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

"""Run Snakemake with a stand-in for the jobs, and read what it plans."""

import os
import re
import sysconfig
from pathlib import Path

from tests.forked import run_forked

ROOT = Path(__file__).parents[2]


# What Snakemake itself imports, and rules and the modules that they import from other packages;
# these themselves are the ones in the project's folder.
IMPORTS = (
    *("snakemake.cli", "snakemake.profiles", "snakemake.report.html_reporter", "snakemake.storage"),
    *("snakemake_executor_plugin_slurm", "snakemake_executor_plugin_cluster_generic"),
    *("pydantic", "yaml", "dpath", "smart_open"),
)


def snakemake(interpreter, folder, *arguments):
    search_path = os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])
    return run_forked(
        *("snakemake", "--cores", "2", *arguments),
        imports=IMPORTS,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": search_path, "SEGTRANS_GPUS": ""},
        executable=interpreter,
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

"""What ends with `segtrans fit`."""

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

# In place of Snakemake: a job of its own, and some time to clear up.
_SNAKEMAKE = """#!/bin/sh
sleep 60 &
trap 'sleep 0.5; echo over > over; exit 1' TERM
echo $! > job
echo "localrule train:"
echo "    wildcards: method=translation, preset=fit, seed=0, task=discs"
wait
"""
_FIT = """
import signal, sys
from pathlib import Path
# Where tests run, both may be ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from segtrans.pipeline.fit import run_workflow
run, sys.executable = Path(sys.argv[1]), sys.argv[2]
run_workflow(run, n_cores=1, say=lambda line: print(line, flush=True))
"""


def is_alive(process):
    """Whether it runs; who adopts it may not have asked for its end yet."""
    try:
        with Path(f"/proc/{process}/stat").open() as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux for processes")
@pytest.mark.parametrize("ending", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_what_fit_started_ends_before_it(ending, tmp_path):
    snakemake = tmp_path / "snakemake"
    snakemake.write_text(_SNAKEMAKE)
    snakemake.chmod(stat.S_IRWXU)
    (tmp_path / "params.yaml").write_text("training: {iterations: 8}")
    command = [sys.executable, "-c", _FIT, tmp_path, snakemake]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as fit:
        assert fit.stdout.readline() == "train: translation\n"
        fit.send_signal(getattr(signal, ending))
        said, _ = fit.communicate(timeout=30)
    assert said.startswith("stopping; the same command continues")
    assert fit.returncode != 0
    assert (tmp_path / "over").read_text() == "over\n"
    assert not is_alive(int((tmp_path / "job").read_text()))

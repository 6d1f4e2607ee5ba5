"""The Slurm profile, against a real Slurm with two pretend GPUs on loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SLURM = Path(__file__).with_name("slurm_local.sh")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
MISSING = [name for name in PROGRAMS if shutil.which(name, path="/usr/sbin:/usr/bin") is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="Slurm's daemons start as root only"),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"no {', '.join(MISSING)}: apt-get install munge slurmctld slurmd slurm-client",
    ),
    pytest.mark.skipif(
        Path("/etc/slurm/slurm.conf").exists(), reason="this machine has a Slurm of its own"
    ),
]
# Added to the stand-in: notes which device and which job of Slurm's each training got; the first
# try of one run is killed.
NOTES = """
import os, signal
if command == "train":
    job, devices = os.environ["SLURM_JOB_ID"], os.environ["CUDA_VISIBLE_DEVICES"]
    with open("seen.txt", "a") as seen:
        seen.write(f"{folder} {options['--gpus']} {devices} {job}\\n")
    tried = pathlib.Path("tried")
    if folder.endswith("autoencoder/seed1") and not tried.exists():
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A one-node Slurm, started by hand and stopped again; its configuration's path."""
    folder = tmp_path_factory.mktemp("slurm")
    try:
        subprocess.run(["bash", SLURM, "start", folder], check=True, capture_output=True)
        yield folder / "slurm.conf"
    finally:
        subprocess.run(["bash", SLURM, "stop", folder], check=False, capture_output=True)


@pytest.fixture
def project(tmp_path, copy_project):
    return copy_project(tmp_path / "project")


def run_on_slurm(slurm, project, search_path, python, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SEGTRANS_")}
    environment["SLURM_CONF"] = str(slurm)
    snakemake = [python, "-m", "snakemake", "--profile", "profiles/slurm"]
    faster = ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5"]
    faster += ["--seconds-between-status-checks", "2"]
    answer = subprocess.run(
        [*snakemake, *faster, *arguments],
        cwd=project,
        env=environment | {"PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


def test_trainings_get_a_gpu_each_and_a_killed_one_is_tried_again(
    slurm, project, interpreter_with, search_path
):
    chosen = ["--config", "tasks=[mnist48_simple]", "methods=[autoencoder, translation]"]
    run_on_slurm(slurm, project, search_path, interpreter_with(after=NOTES), *chosen)
    seen = [line.split() for line in (project / "seen.txt").read_text().splitlines()]
    runs = [Path(folder).parts[-2:] for folder, *_ in seen]
    expected = [(m, s) for m in ("autoencoder", "translation") for s in ("seed0", "seed1")]
    assert sorted(runs) == sorted([*expected, ("autoencoder", "seed1")])
    assert {gpus for _, gpus, _, _ in seen} == {"1"}
    assert {devices for _, _, devices, _ in seen} == {"0", "1"}
    assert len({job for *_, job in seen}) == len(seen)
    assert (project / "results/laptop/table.csv").exists()


def test_a_training_cut_off_by_the_time_limit_continues_from_its_checkpoint(
    slurm, project, search_path
):
    # More than a minute on any machine, and a minute is the shortest limit that Slurm has.
    training = "training={iterations: 1200, validate_every: 100, batch_size: 8}"
    run = "results/smoke/mnist48_simple/translation/seed0"
    run_on_slurm(
        *(slurm, project, search_path, sys.executable, f"{run}/run.json"),
        *("--configfile", "config/smoke.yaml"),
        *("--set-resources", "train:runtime=1", "--retries", "20", "--config", training),
        *("networks={width: 0.125}", "tasks=[mnist48_simple]", "methods=[translation]"),
    )
    facts = json.loads((project / run / "run.json").read_text())
    starts = [session["from_iteration"] for session in facts["sessions"]]
    assert len(starts) >= 2
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    lines = (project / run / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(0, 1201, 100))

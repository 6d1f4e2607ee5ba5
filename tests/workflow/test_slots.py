"""Which trainings run side by side: by devices, cores and memory. A stand-in does the jobs."""

import itertools
import os
import subprocess

import pytest

pytestmark = pytest.mark.slow
# Added to the stand-in: a training that claims its device as the real one does, and lasts.
NOTES = """
if command == "train":
    import time
    from segtrans.train.hardware.device import claimed_devices
    with claimed_devices(int(options["--gpus"]), poll_s=0.05) as names:
        begin = time.monotonic()
        time.sleep(1)
        with open("seen.txt", "a") as seen:
            seen.write(f"{' '.join(names) or 'cpu'} {begin} {time.monotonic()}\\n")
"""
SIX = ["tasks=[mnist48_simple]", "methods=[autoencoder, translation]", "init_seeds=[0, 1, 2]"]


@pytest.fixture
def run(tmp_path, copy_project, interpreter_with, search_path):
    """A function that runs six trainings, and returns each one's device, begin and end."""
    copy_project(tmp_path)
    python = interpreter_with(after=NOTES)

    def run(*arguments, **environment):
        kept = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        own = {"PYTHONPATH": search_path, "SEGTRANS_LOCK_DIR": str(tmp_path / "locks")}
        answer = subprocess.run(
            [python, "-m", "snakemake", *arguments, "--config", *SIX],
            cwd=tmp_path,
            env=kept | own | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        lines = [line.split() for line in (tmp_path / "seen.txt").read_text().splitlines()]
        seen = [(name, float(begin), float(end)) for name, begin, end in lines]
        assert len(seen) == 6
        return sorted(seen, key=lambda line: line[1])

    return run


def most_at_once(seen):
    return max(sum(begin <= at < end for _, begin, end in seen) for _, at, _ in seen)


def are_apart(seen):
    return all(end <= begin for (_, _, end), (_, begin, _) in itertools.pairwise(seen))


def test_without_a_flag_there_is_one_training_per_visible_device(run):
    seen = run("--cores", "6", SEGTRANS_GPUS="0,1")
    assert {name for name, _, _ in seen} == {"0", "1"}
    assert most_at_once(seen) == 2
    for device in ("0", "1"):
        assert are_apart([line for line in seen if line[0] == device])


def test_a_preset_cuda_visible_devices_is_respected(run):
    seen = run("--cores", "6", "--resources", "gpu=2", CUDA_VISIBLE_DEVICES="3,5")
    assert {name for name, _, _ in seen} == {"3", "5"}
    for device in ("3", "5"):
        assert are_apart([line for line in seen if line[0] == device])


def test_without_a_device_trainings_are_limited_by_cores(run):
    seen = run("--cores", "3", SEGTRANS_GPUS="")
    assert {name for name, _, _ in seen} == {"cpu"}
    assert most_at_once(seen) == 3


def test_without_a_device_trainings_are_limited_by_memory(run):
    seen = run("--cores", "6", "--resources", "mem_mb=2000", SEGTRANS_GPUS="")
    assert most_at_once(seen) == 2  # of about 800 MB each

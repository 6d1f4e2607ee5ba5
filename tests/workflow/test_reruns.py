"""What a change reruns, by dry runs on a finished pipeline whose jobs made empty files.

The rules, profile and parameters are the real ones; only the command that the rules call is a
stand-in that touches what its arguments name, so that the whole pipeline ends in seconds.
"""

import struct
import sys
from pathlib import Path

import pytest

from tests.workflow.plans import planned, replace, snakemake

# Four methods and two seeds, of each of the two tasks
AFTER_TRAINING = {"evaluate": 16, "table": 1, "figures": 2, "report_page": 1, "track": 2}
ONE_TASK = {
    "train": 8,
    "evaluate": 8,
    "table": 1,
    "figures": 1,
    "report_page": 1,
    "track": 1,
}


def test_a_second_run_has_nothing_to_do(interpreter, project):
    assert planned(interpreter, project) == {}


def test_a_comment_reruns_nothing(interpreter, project):
    replace(project, "workflow/rules/train.smk", "rule train:", "# a thought\nrule train:")
    replace(project, "params.yaml", "preset: laptop", "# a thought\npreset: laptop")
    assert planned(interpreter, project) == {}


def test_touched_data_with_the_same_content_reruns_nothing(interpreter, project):
    (project / "data/laptop/mnist48_simple.h5").touch()
    assert planned(interpreter, project) == {}


def test_a_changed_network_reruns_training_and_what_follows(interpreter, project):
    replace(project, "params.yaml", "unique_fraction: 0.25", "unique_fraction: 0.5")
    assert planned(interpreter, project) == {"train": 16} | AFTER_TRAINING


def test_a_changed_learning_rate_reruns_the_tasks_that_have_no_other(interpreter, project):
    replace(project, "params.yaml", "\n  learning_rate: 0.01", "\n  learning_rate: 0.02")
    assert planned(interpreter, project) == ONE_TASK


def test_a_changed_weight_reruns_its_own_method(interpreter, project):
    replace(project, "params.yaml", "lambda_adv: 3.0", "lambda_adv: 2.0")
    assert planned(interpreter, project) == {
        "train": 8,  # translation with either segmentation decoder, two seeds, two tasks
        "evaluate": 8,
        "table": 1,
        "figures": 2,
        "report_page": 1,
        "track": 2,
    }


def test_a_changed_threshold_reruns_evaluation_only(interpreter, project):
    replace(project, "params.yaml", "threshold: 0.5", "threshold: 0.4")
    assert planned(interpreter, project) == AFTER_TRAINING


def test_an_added_seed_runs_its_own_jobs_only(interpreter, project):
    replace(project, "params.yaml", "init_seeds: [0, 1]", "init_seeds: [0, 1, 2]")
    assert planned(interpreter, project) == {
        "train": 8,
        "evaluate": 8,
        "table": 1,
        "figures": 2,
        "report_page": 1,
        "track": 2,
    }


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("TRAINING_VERSION", {"train": 16} | AFTER_TRAINING),
        ("EVALUATION_VERSION", AFTER_TRAINING),
        ("CLUTTER_VERSION", {"cluttered_mnist": 1} | ONE_TASK),
        (
            "STORE_VERSION",
            {"cluttered_mnist": 1, "half_slice_part": 4, "brats": 1, "train": 16} | AFTER_TRAINING,
        ),
        ("HALF_SLICES_VERSION", {"half_slice_part": 4, "brats": 1} | ONE_TASK),
        (
            "PHANTOM_VERSION",
            {"phantom": 4, "split": 1, "half_slice_part": 4, "brats": 1} | ONE_TASK,
        ),
    ],
)
def test_a_raised_stage_number_reruns_its_stage(interpreter, project, number, expected):
    # In the copy beside the Snakefile, where python looks first.
    replace(project, "segtrans/config/versions.py", f"{number} = ", f"{number} = 1")
    assert planned(interpreter, project) == expected


def test_other_clutter_reruns_everything_but_the_digits(interpreter, project):
    replace(project, "params.yaml", "overlap: dither", "overlap: max")
    assert planned(interpreter, project) == {"cluttered_mnist": 1} | ONE_TASK


def test_another_rule_for_half_slices_reruns_them_and_not_the_split(interpreter, project):
    replace(project, "params.yaml", "min_brain_fraction: 0.25", "min_brain_fraction: 0.3")
    assert planned(interpreter, project) == {"half_slice_part": 4, "brats": 1} | ONE_TASK


def test_an_override_reruns_its_own_task(interpreter, project):
    replace(project, "params.yaml", "networks: {width: 0.0625}", "networks: {width: 0.125}")
    assert planned(interpreter, project) == ONE_TASK


def add_cases(folder, names):
    """Cases by the names of their files, which the stand-in does not read."""
    folder.mkdir(exist_ok=True)
    for name in names:
        for role in ("t1", "t1ce", "t2", "flair", "seg"):
            (folder / f"{name}_{role}.nii.gz").write_text("one")


def test_changed_files_of_the_users_own_folder_are_seen(interpreter, project):
    add_cases(project / "scans", "abcd")
    scan = project / "scans" / "a_t1.nii.gz"
    own = ("--config", "brats={source: directory, directory: scans}")
    assert snakemake(interpreter, project, *own).returncode == 0
    assert planned(interpreter, project, *own) == {}
    scan.write_text("another")
    expected = {"split": 1, "half_slice_part": 4, "brats": 1} | ONE_TASK
    assert planned(interpreter, project, *own) == expected


@pytest.mark.slow
def test_a_patient_behind_a_linked_folder_is_seen(interpreter, project, tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    (project / "scans").mkdir()
    (project / "scans" / "site").symlink_to(store)
    add_cases(store, "abcd")
    own = ("--config", "brats={source: directory, directory: scans}")
    assert snakemake(interpreter, project, *own).returncode == 0
    assert planned(interpreter, project, *own) == {}
    add_cases(store, "e")
    expected = {"split": 1, "half_slice_part": 4, "brats": 1} | ONE_TASK
    assert planned(interpreter, project, *own) == expected


def test_a_preset_of_its_own_does_not_touch_the_others_output(interpreter, project):
    jobs = planned(interpreter, project, "--configfile", "config/smoke.yaml")
    assert jobs == {
        "digits": 1,
        "cluttered_mnist": 1,
        "phantom": 2,
        "split": 1,
        "half_slice_part": 2,
        "brats": 1,
        "train": 6,
        "evaluate": 6,
        "table": 1,
        "figures": 2,
        "report_page": 1,
        "track": 2,
    }
    assert planned(interpreter, project) == {}


def test_the_paper_preset_plans_every_configuration(interpreter, project):
    jobs = planned(interpreter, project, "--configfile", "config/paper.yaml")
    assert jobs["train"] == (4 * 4 + 3) * 3  # tasks times methods and Table 1b, seeds
    assert (jobs["decathlon"], jobs["half_slice_part"]) == (1, 32)
    assert "phantom" not in jobs


def test_a_refused_parameter_is_one_line_and_no_traceback(interpreter, project):
    replace(project, "params.yaml", "batch_size: 8", "batch_size: 0")
    answer = snakemake(interpreter, project, "--dry-run")
    assert answer.returncode == 1
    assert "training.batch_size = 0" in answer.stderr
    assert "Traceback" not in answer.stderr
    errors = [line for line in answer.stderr.splitlines() if not line.startswith("Using workflow")]
    assert len(errors) == 1


def test_parameters_that_are_no_yaml_are_one_line_with_the_file(interpreter, project):
    (project / "params.yaml").write_text("a: [1")
    answer = snakemake(interpreter, project, "--dry-run")
    assert answer.returncode == 1
    assert "params.yaml: not a YAML file" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_command_line_that_is_no_yaml_is_one_line(interpreter, project):
    answer = snakemake(interpreter, project, "--dry-run", "--config", "training={iterations: 5")
    assert answer.returncode == 1
    assert "segtrans: error: " in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_failed_jobs_own_line_is_shown(project):
    """Here with the real command: the images are cut off, the labels are not."""
    for part in ("train", "t10k"):
        labels = struct.pack(">2I", 0x801, 10_000) + bytes([9]) * 10_000
        (project / f"{part}-labels-idx1-ubyte").write_bytes(labels)
        (project / f"{part}-images-idx3-ubyte").touch()
    digits = "digits={source: directory, directory: .}"
    answer = snakemake(Path(sys.executable), project, "--config", digits, "--quiet", "rules")
    assert answer.returncode == 1
    assert "digits.log: segtrans: error: train-images-idx3-ubyte: truncated" in answer.stderr


def test_one_key_on_the_command_line_is_laid_over_the_file(interpreter, project):
    jobs = planned(interpreter, project, "--config", "networks={unique_fraction: 0.5}")
    assert jobs["train"] == 16


def test_gpu_jobs_get_one_device_each_and_none_without(interpreter, project):
    replace(project, "params.yaml", "init_seeds: [0, 1]", "init_seeds: [0, 1, 2]")
    without = snakemake(interpreter, project, "--dry-run", "--printshellcmds")
    assert "--gpus 0" in without.stdout
    with_two = snakemake(
        interpreter, project, "--dry-run", "--printshellcmds", "--resources", "gpu=2"
    )
    assert "--gpus 1" in with_two.stdout

"""What stands in a preset's folders is believed only when it belongs to the parameters.

The rules, profile and parameters are the real ones; a stand-in does the jobs.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.run_files import make_config, run_facts
from tests.workflow.plans import planned, replace, snakemake

MINE = ("--config", "preset=mine", "tasks=[mnist48_simple]", "init_seeds=[0]")
EVERYTHING = {"digits", "cluttered_mnist", "train", "evaluate", "table", "figures"}
EVERYTHING |= {"report_page", "track"}


def records(project):
    return sorted(path for path in project.glob(".snakemake/metadata/**/*") if path.is_file())


@pytest.mark.slow
def test_folders_of_another_preset_are_not_taken_for_this_ones(interpreter, project):
    for name in ("data", "results"):
        shutil.copytree(project / name / "laptop", project / name / "mine")
    answer = snakemake(interpreter, project, *MINE, "--dry-run", "--quiet")
    assert "segtrans: data/mine: no record says what made data/mine/brats.h5" in answer.stderr
    assert "segtrans: results/mine: no record says what made" in answer.stderr
    assert set(planned(interpreter, project, *MINE)) == EVERYTHING
    assert snakemake(interpreter, project, *MINE).returncode == 0
    assert planned(interpreter, project, *MINE) == {}
    table = (project / "results/mine/table.csv").read_text()
    assert "results/mine/" in table
    assert "results/laptop/" not in table
    assert planned(interpreter, project) == {}


@pytest.mark.slow
def test_a_touched_run_of_other_parameters_is_trained_again(interpreter, project):
    """The stand-in writes no run.json that could be read; this one is another run's."""
    name = "results/laptop/mnist48_simple/translation/seed0/run.json"
    (project / name).write_text(json.dumps(run_facts(make_config())))
    advised = snakemake(interpreter, project, "--dry-run", "--quiet")
    assert f"results/laptop: no record says what made {name}" in advised.stderr
    assert f"({name} is a run of other parameters)" in advised.stderr
    assert "--touch" not in advised.stderr
    assert snakemake(interpreter, project, "--touch", name).returncode == 0
    assert planned(interpreter, project)["train"] == 1


@pytest.mark.slow
def test_results_laid_over_finished_ones_are_made_again(interpreter, project):
    assert snakemake(interpreter, project, *MINE).returncode == 0
    for name in ("run.json", "weights.safetensors", "metrics.json"):
        run = "mnist48_simple/translation/seed0"
        shutil.copy2(project / "results/mine" / run / name, project / "results/laptop" / run)
    shutil.copy2(project / "results/mine/table.csv", project / "results/laptop/table.csv")
    jobs = planned(interpreter, project)
    assert (jobs["train"], jobs["evaluate"], jobs["table"]) == (1, 1, 1)


@pytest.mark.parametrize("damage", ["lost", "list"])
def test_lost_or_damaged_records_of_snakemake_are_replaced(interpreter, project, tmp_path, damage):
    for path in records(project):
        if damage == "lost":
            path.unlink()
        else:
            path.write_text("[1]")
    copied = shutil.copytree(project, tmp_path / "copied")
    assert planned(interpreter, copied) == {}
    replace(project, "params.yaml", "unique_fraction: 0.25", "unique_fraction: 0.5")
    assert planned(interpreter, project)["train"] == 16


@pytest.mark.slow
@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_without_any_record_nothing_is_believed(interpreter, project, text):
    for path in records(project):
        path.unlink()
    for file in (project / "data/laptop/records.json", project / "results/laptop/records.json"):
        file.unlink() if text is None else file.write_text(text)
    answer = snakemake(interpreter, project, "--dry-run", "--quiet")
    lines = [line for line in answer.stderr.splitlines() if "no record says" in line]
    assert len(lines) == 2
    assert "Traceback" not in answer.stderr
    if text is not None:
        problem = "of an earlier version of segtrans" if "{}" in text else "damaged ("
        assert f"results/laptop/records.json: {problem}" in answer.stderr
        assert "is made again" in answer.stderr
    assert planned(interpreter, project)["train"] == 16


@pytest.mark.slow
def test_data_of_other_parameters_put_back_are_made_again(interpreter, project):
    """As `dvc checkout` does: content and records of before, times of now."""
    shutil.copytree(project / "data/laptop", project / "old")
    replace(project, "params.yaml", "noise_sd: 0.01", "noise_sd: 0.02")
    replace(project, "params.yaml", "min_brain_fraction: 0.25", "min_brain_fraction: 0.3")
    assert snakemake(interpreter, project).returncode == 0
    assert planned(interpreter, project) == {}
    shutil.rmtree(project / "data/laptop")
    shutil.copytree(project / "old", project / "data/laptop", copy_function=shutil.copy)
    jobs = planned(interpreter, project)
    assert (jobs["cluttered_mnist"], jobs["half_slice_part"], jobs["brats"]) == (1, 4, 1)


@pytest.mark.slow
def test_data_put_back_with_their_parameters_rerun_what_is_made_of_them(interpreter, project):
    shutil.copytree(project / "data/laptop", project / "old")
    replace(project, "params.yaml", "noise_sd: 0.01", "noise_sd: 0.02")
    assert snakemake(interpreter, project).returncode == 0
    replace(project, "params.yaml", "noise_sd: 0.02", "noise_sd: 0.01")
    shutil.rmtree(project / "data/laptop")
    (project / "old").rename(project / "data/laptop")  # older than all results
    jobs = planned(interpreter, project)
    assert "cluttered_mnist" not in jobs
    assert jobs["train"] == 8


@pytest.mark.slow
def test_a_copied_project_has_nothing_to_do(interpreter, project, tmp_path):
    copied = shutil.copytree(project, tmp_path / "copied", copy_function=shutil.copy)
    assert planned(interpreter, copied) == {}


def test_a_patient_put_into_a_phantoms_folder_makes_the_phantoms_again(interpreter, project):
    (folder,) = project.glob("data/laptop/phantom/*/0")
    shutil.copytree(folder / "HGG/patient", folder / "HGG/stranger")
    jobs = planned(interpreter, project)
    assert (jobs["phantom"], jobs["split"], jobs["train"]) == (1, 1, 8)


def test_what_an_earlier_run_with_more_patients_left_is_not_read(interpreter, project):
    """The stand-in writes its arguments, so the split says which folder it read."""
    few = ("--config", "brats={n_patients: 6, n_jobs: 2}")
    assert snakemake(interpreter, project, *few).returncode == 0
    words = (project / "data/laptop/brats_split.json").read_text().split()
    sources = [words[place + 1] for place, word in enumerate(words) if word == "--source"]
    assert sources == [f"data/laptop/phantom/6_in_2/{job}" for job in (0, 1)]  # none beside them


def test_records_reach_no_file_outside_of_their_folder(interpreter, project):
    file = project / "results/laptop/records.json"
    content = json.loads(file.read_text())
    entry = next(iter(content["files"].values()))
    strange = [
        "../outside",
        "/etc/passwd",
        "results/laptop/../../params.yaml",
        f"results/laptop/{'x' * 300}",
    ]
    content["files"] |= dict.fromkeys(strange, entry)
    file.write_text(json.dumps(content))
    for path in records(project):
        path.unlink()
    before = {path: path.read_bytes() for path in project.glob("*.yaml")}
    assert planned(interpreter, project) == {}
    assert {path: path.read_bytes() for path in project.glob("*.yaml")} == before
    assert not Path(project.parent, "outside").exists()


@pytest.mark.slow
def test_long_names_keep_their_records(interpreter, project):
    """Snakemake shares names of more than about 190 letters out to folders, "@..."."""
    name = hashlib.sha256(b"a").hexdigest()
    long = ("--config", f"preset={name}", "tasks=[mnist48_simple]", "init_seeds=[0]")
    long += ("methods=[translation_separate]", f"variants={{{name}: {{}}}}")
    assert snakemake(interpreter, project, *long).returncode == 0
    assert list(project.glob(".snakemake/metadata/@*/*"))
    for path in records(project):
        path.unlink()
    assert planned(interpreter, project, *long) == {}
    assert planned(interpreter, project, *long, "networks={unique_fraction: 0.5}")["train"] == 1

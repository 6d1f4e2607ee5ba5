"""Training from a data file to a run folder: what it writes, learns, refuses and survives."""

import hashlib
import json
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from segtrans.config.run_record import DICE, TRANSLATION_FIGURES
from segtrans.config.runs import read_run
from segtrans.data.store import Store
from segtrans.errors import UserError
from segtrans.methods.translation import Translation
from segtrans.methods.weights import WEIGHTS, load_method
from segtrans.score.evaluate import score_run
from segtrans.tasks.registry import PAPER_TASKS
from segtrans.train.loop import n_measured
from tests.limits import WAIT_S
from tests.train.training import kept, newest_checkpoint, train

RUN_FILES = {
    "run.json",
    "history.jsonl",
    "weights.safetensors",
    "weights_last.safetensors",
    "labelled_ids.json",
}
TRANSLATION_FILES = RUN_FILES | {"frames.npz"}


@pytest.fixture(autouse=True)
def own_world(own_store):
    """Tracking and locks inside the test's folder."""


def history(folder):
    return [json.loads(line) for line in Path(folder, "history.jsonl").read_text().splitlines()]


def test_a_run_folder_holds_what_the_docs_promise(tiny_data, make_config):
    config = make_config("translation")
    train(config, tiny_data)
    assert {path.name for path in Path("run").iterdir()} == TRANSLATION_FILES
    assert len({path.stat().st_mode for path in Path("run").iterdir()}) == 1  # all may read it
    facts = json.loads(Path("run/run.json").read_text())
    assert facts["config_identity"] == config.identity
    assert facts["data"]["sha256"] == Store(tiny_data).sha256()
    assert facts["labelled"] == {"unit": "digit", "n_units": 3, "n_images": 3}
    assert facts["mlflow_run_id"]
    for which, name in WEIGHTS.items():
        content = Path("run", name).read_bytes()
        assert facts["weights_sha256"][which] == hashlib.sha256(content).hexdigest()
    for name in ("history.jsonl", "labelled_ids.json"):
        content = Path("run", name).read_bytes()
        assert facts["files_sha256"][name] == hashlib.sha256(content).hexdigest()
    assert [session["from_iteration"] for session in facts["sessions"]] == [0]
    assert facts["usage"] == facts["sessions"][0]["usage"]
    assert 100 < facts["usage"]["peak_memory_mb"] < 8000
    assert facts["usage"]["gpu_peak_memory_mb"] is None
    provenance = Store(tiny_data).provenance("train", "present")
    ids = json.loads(Path("run/labelled_ids.json").read_text())["ids"]
    classes = dict(zip(provenance["source_index"].tolist(), provenance["digit"], strict=True))
    assert [int(classes[number]) for number in ids] == [9, 9, 9]
    records = history("run")
    assert [record["iteration"] for record in records] == [0, 10, 20, 30, 40]
    assert records[0]["train"] == {}
    assert {"rec_PP", "lat_u_AP", "adv_A", "seg", "total"} <= set(records[1]["train"])
    assert all(set(record["valid"]) == {DICE, *TRANSLATION_FIGURES} for record in records)
    best = max(records, key=lambda record: record["valid"]["dice_soft_pooled"])
    assert facts["best_iteration"] == best["iteration"]
    run = read_run(Path("run"))
    assert run.config == config
    assert load_method(run, which="last").segment(torch.zeros(1, 1, 48, 48)).shape == (1, 1, 48, 48)


def test_best_weights_are_those_of_the_best_validation(tiny_data, make_config):
    train(make_config("autoencoder", iterations=60), tiny_data)
    facts = json.loads(Path("run/run.json").read_text())
    score_run(Path("run"), tiny_data, threshold=0.5)
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["best"]["valid"]["dice_soft_pooled"] == pytest.approx(
        facts["best_dice_soft_pooled"], abs=1e-6
    )
    last = history("run")[-1]["valid"]["dice_soft_pooled"]
    assert metrics["last"]["valid"]["dice_soft_pooled"] == pytest.approx(last, abs=1e-6)


@pytest.mark.parametrize("method", ["segmentation_only", "autoencoder", "translation"])
def test_two_trainings_of_one_configuration_are_bitwise_equal(tiny_data, make_config, method):
    config = make_config(method, iterations=20)
    train(config, tiny_data, "one")
    train(config, tiny_data, "other")
    for name in RUN_FILES - {"run.json"}:
        assert Path("one", name).read_bytes() == Path("other", name).read_bytes(), name
    for folder in ("one", "other"):
        score_run(Path(folder), tiny_data, threshold=0.5)
    for name in ("metrics.json", "per_image.csv", "per_patient.csv"):
        assert Path("one", name).read_bytes() == Path("other", name).read_bytes(), name


def test_bf16_trains_near_fp32(tiny_data, make_config):
    for precision in ("fp32", "bf16"):
        train(make_config("autoencoder", precision=precision), tiny_data, precision)
    exact, rounded = history("fp32")[-1]["train"], history("bf16")[-1]["train"]
    assert exact.keys() == rounded.keys()
    for name, value in exact.items():
        assert rounded[name] == pytest.approx(value, rel=0.1), name
    assert all(t.dtype == torch.float32 for t in load_file("bf16/weights.safetensors").values())


def test_a_finished_training_started_again_writes_the_same_folder(tiny_data, make_config):
    train(make_config("translation", iterations=10), tiny_data)
    before = {name: Path("run", name).read_bytes() for name in TRANSLATION_FILES}
    for name in TRANSLATION_FILES:
        Path("run", name).unlink()
    train(make_config("translation", iterations=10), tiny_data)
    assert {name: Path("run", name).read_bytes() for name in TRANSLATION_FILES} == before


def test_changed_parameters_do_not_continue_an_old_checkpoint(tiny_data, make_config, capfd):
    train(make_config("autoencoder"), tiny_data, "one", "checkpoints")
    train(make_config("autoencoder", learning_rate=0.002), tiny_data, "other", "checkpoints")
    assert "other parameters" in capfd.readouterr().err
    train(make_config("autoencoder", learning_rate=0.002), tiny_data, "fresh")
    assert Path("other/history.jsonl").read_bytes() == Path("fresh/history.jsonl").read_bytes()


def test_parameters_tried_in_between_destroy_no_checkpoint(tiny_data, make_config, capfd):
    """And none is used of other data, for all that its parameters are the same."""
    for rate in (0.001, 0.002, 0.003):
        train(
            make_config("autoencoder", learning_rate=rate), tiny_data, f"run-{rate}", "checkpoints"
        )
    capfd.readouterr()
    train(make_config("autoencoder", learning_rate=0.001), tiny_data, "again", "checkpoints")
    out, err = capfd.readouterr()
    assert "resumed at iteration 40" in out
    assert "other parameters" not in err
    assert Path("again/history.jsonl").read_bytes() == Path("run-0.001/history.jsonl").read_bytes()


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_flipped_bit_in_weights_is_noticed_wherever_it_is(tiny_data, make_config, which):
    train(make_config("segmentation_only", iterations=10), tiny_data)
    run, path = read_run(Path("run")), Path("run", WEIGHTS[which])
    whole = path.read_bytes()
    for place in random.Random(3).sample(range(len(whole)), 40):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"{path.name}: .*"):
            load_method(run, which=which)
    path.write_bytes(whole)
    load_method(run, which=which)


def test_a_run_from_before_checksums_is_used_and_said_not_to_be_proven(
    tiny_data, make_config, capsys
):
    train(make_config("segmentation_only", iterations=10), tiny_data)
    facts = json.loads(Path("run/run.json").read_text())
    del facts["weights_sha256"]
    Path("run/run.json").write_text(json.dumps(facts))
    capsys.readouterr()
    load_method(read_run(Path("run")), which="best")
    (line,) = capsys.readouterr().err.splitlines()
    assert "run.json: of an older version, without weights_sha256" in line


def test_a_loss_that_becomes_nan_stops_and_keeps_the_last_good_checkpoint(
    tiny_data, make_config, monkeypatch
):
    original = Translation.update
    calls = []

    def poisoned(self, *arguments, **keywords):
        terms = original(self, *arguments, **keywords)
        calls.append(1)
        if len(calls) == 14:
            terms["rec_PP"] = terms["rec_PP"] * math.nan
        return terms

    monkeypatch.setattr(Translation, "update", poisoned)
    with pytest.raises(UserError, match="iteration 14: rec_PP became NaN"):
        train(make_config("translation"), tiny_data)
    assert not Path("run").exists()
    last = kept()
    assert last["iteration"] == 10
    assert all(bool(tensor.isfinite().all()) for tensor in last["method"].values())


def test_weights_that_become_nan_under_a_finite_loss_stop_too(tiny_data, make_config, monkeypatch):
    original = Translation.update
    calls = []

    def poisoned(self, *arguments, **keywords):
        terms = original(self, *arguments, **keywords)
        calls.append(1)
        if len(calls) == 20:  # right before a validation, so that no loss sees it
            next(self.generator.parameters()).data.fill_(math.nan)
        return terms

    monkeypatch.setattr(Translation, "update", poisoned)
    with pytest.raises(UserError, match=r"iteration 20: the weights generator\..* became NaN"):
        train(make_config("translation"), tiny_data)
    assert kept()["iteration"] == 10


def test_a_device_that_torch_cannot_use_leaves_the_cpu(tiny_data, make_config, monkeypatch, capfd):
    monkeypatch.setenv("SEGTRANS_GPUS", "0")
    monkeypatch.setenv("SEGTRANS_LOCK_DIR", str(Path.cwd()))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    train(make_config("segmentation_only", iterations=10), tiny_data, n_gpus=1)
    assert "training on the CPU" in capfd.readouterr().err
    assert json.loads(Path("run/run.json").read_text())["device"].startswith("cpu")


@pytest.mark.parametrize("place", ["run", "checkpoints-run"])
def test_a_folder_that_cannot_be_made_is_refused_before_training(tiny_data, make_config, place):
    Path(place).write_text("a file")
    with pytest.raises(UserError, match=f"{place} is a file, not a folder"):
        train(make_config("autoencoder"), tiny_data)
    assert Path(place).read_text() == "a file"


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_keeps_the_checkpoint_before(tiny_data, make_config):
    """The system's limit on the size of a file stands for the disk."""
    config = make_config("translation")
    command = [*(sys.executable, "-m", "segtrans", "train", "--run-config", config.to_json())]
    command += ["--data", str(tiny_data), "--output", "run", "--checkpoints", "checkpoints-run"]
    limited = "import os, resource, signal, sys;"
    limited += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
    limited += "os.execv(sys.argv[1], sys.argv[1:])"
    environment = os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    answer = subprocess.run(
        [sys.executable, "-c", limited, *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    errors = [line for line in answer.stderr.splitlines() if line.startswith("segtrans: error")]
    assert len(errors) == 1
    assert "checkpoint.pt: cannot be written" in errors[0]
    assert not Path("run").exists()
    files = [path for path in Path("checkpoints-run").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["lock"]


def test_what_a_killed_process_left_half_written_is_removed(tiny_data, make_config):
    config = make_config("segmentation_only", iterations=10)
    folder = f"{config.identity}-{Store(tiny_data).sha256()[:16]}"
    leftover = Path("checkpoints-run", folder, ".123.partial.checkpoint.pt")
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    train(config, tiny_data)
    assert not leftover.exists()


def test_data_of_another_task_is_refused(tiny_data, make_config):
    config = make_config("autoencoder").model_copy(update={"task": "mnist48_hard"})
    with pytest.raises(UserError, match=r"tiny\.h5: holds task mnist48_simple"):
        train(config, tiny_data)
    assert not Path("run").exists()


def test_data_of_other_classes_than_the_task_has_are_refused(tiny_data, make_config, monkeypatch):
    classes = PAPER_TASKS["mnist48_simple"].model_copy(update={"classes": {"a": 1, "b": 2}})
    monkeypatch.setitem(PAPER_TASKS, "mnist48_simple", classes)
    with pytest.raises(UserError, match="are 0, 1; task mnist48_simple has the classes 0 to 2"):
        train(make_config("segmentation_only"), tiny_data)


def test_a_fraction_that_asks_for_more_nines_than_there_are_is_refused(tiny_data, make_config):
    config = make_config("autoencoder")
    labels = config.labels.model_copy(update={"fraction": 0.9})
    with pytest.raises(UserError, match=r"labels\.fraction = 0\.9"):
        train(config.model_copy(update={"labels": labels}), tiny_data)


def test_weights_of_another_architecture_are_refused(tiny_data, make_config):
    train(make_config("autoencoder"), tiny_data, "one")
    train(make_config("segmentation_only"), tiny_data, "other")
    source, target = Path("one/weights.safetensors"), Path("other/weights.safetensors")
    target.write_bytes(source.read_bytes())
    with pytest.raises(UserError, match="weights of another architecture"):
        load_method(read_run(Path("other")), which="best")
    target.write_bytes(source.read_bytes()[:500])
    with pytest.raises(UserError, match="cannot read weights"):
        load_method(read_run(Path("other")), which="best")


def test_tracking_that_fails_never_stops_training(tiny_data, make_config, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    train(make_config("segmentation_only", iterations=10), tiny_data)
    assert {path.name for path in Path("run").iterdir()} == RUN_FILES
    assert json.loads(Path("run/run.json").read_text())["mlflow_run_id"] is None
    assert "tracking is off" in capfd.readouterr().err


def start(config, data, folder):
    """The real command in a process of its own, a checkpoint after every iteration."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "segtrans", "train", "--run-config", config.to_json()),
            *("--data", str(data), "--output", folder, "--checkpoints", f"checkpoints-{folder}"),
            *("--gpus", "0", "--checkpoint-every", "0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def saved_at(folder):
    """When the newest checkpoint was written; 0 before that and between its two renames."""
    checkpoint = newest_checkpoint(folder)
    try:
        return checkpoint.stat().st_mtime_ns if checkpoint else 0
    except FileNotFoundError:
        return 0


@pytest.mark.slow
@pytest.mark.parametrize(("method", "iterations"), [("autoencoder", 400), ("translation", 200)])
def test_killed_again_and_again_a_run_ends_bitwise_as_if_never_interrupted(
    tiny_data, make_config, method, iterations
):
    config = make_config(method, iterations=iterations, validate_every=iterations // 8)
    undisturbed = start(config, tiny_data, "undisturbed")
    assert undisturbed.wait(300) == 0
    undisturbed.communicate()
    rng, n_kills = random.Random(7), 0
    for _ in range(4):
        process = start(config, tiny_data, "killed")
        before = saved_at("checkpoints-killed")
        while process.poll() is None and saved_at("checkpoints-killed") == before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.6))
        n_kills += process.poll() is None
        process.kill()
        process.communicate()
    assert n_kills >= 3
    assert not Path("killed/run.json").exists()
    last = start(config, tiny_data, "killed")
    text, _ = last.communicate(timeout=WAIT_S)
    assert last.returncode == 0, text
    assert "resumed at iteration" in text
    files = TRANSLATION_FILES if method == "translation" else RUN_FILES
    for name in files - {"run.json"}:
        assert Path("killed", name).read_bytes() == Path("undisturbed", name).read_bytes(), name
    for folder in ("undisturbed", "killed"):
        score_run(Path(folder), tiny_data, threshold=0.5)
    assert Path("killed/metrics.json").read_bytes() == Path("undisturbed/metrics.json").read_bytes()
    assert_one_mlflow_run_without_a_step_twice("killed", config)


def assert_one_mlflow_run_without_a_step_twice(folder, config):
    from mlflow import MlflowClient

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name(f"segtrans/by-hand/{config.task}")
    filed = [
        run
        for run in client.search_runs([experiment.experiment_id])
        if run.data.tags["segtrans.run_folder"] == str(Path(folder).resolve())
    ]
    assert len(filed) == 1
    points = client.get_metric_history(filed[0].info.run_id, "valid/dice_soft_pooled")
    assert sorted(point.step for point in points) == list(
        range(0, config.training.iterations + 1, config.training.validate_every)
    )


@pytest.mark.slow
def test_a_second_training_on_the_same_checkpoints_is_refused(tiny_data, make_config):
    first = start(
        make_config("autoencoder", iterations=4000, validate_every=4000), tiny_data, "run"
    )
    try:
        while newest_checkpoint() is None and first.poll() is None:
            time.sleep(0.02)
        second = start(make_config("autoencoder"), tiny_data, "run")
        text, _ = second.communicate(timeout=WAIT_S)
    finally:
        first.kill()
        first.communicate()
    assert second.returncode == 1
    assert "another training works in this folder" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("validate_every", "batch_size", "expected"),
    [(2975, 20, 256), (100, 8, 80), (25, 4, 10), (1, 1, 8)],
)
def test_translation_is_measured_on_a_tenth_of_what_is_trained_on(
    make_config, validate_every, batch_size, expected
):
    config = make_config(
        "translation", iterations=3000, validate_every=validate_every, batch_size=batch_size
    )
    assert n_measured(config.training) == expected

import json
from pathlib import Path
from typing import Any

import pytest

from segtrans.errors import UserError
from segtrans.tracking import RunTracker, describe_run, track_run
from tests.run_files import origin_of


def _state(client: Any, run_id: str) -> Any:
    run = client.get_run(run_id)
    points = {
        key: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run_id, key)]
        for key in run.data.metrics
    }
    files = Path("mlartifacts").rglob("*")
    written = {file: file.stat().st_mtime_ns for file in files}
    return run.to_dictionary(), points, written


def _n_runs(client: Any) -> int:
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return len(client.search_runs(ids))


def _values(client: Any, run_id: str, key: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in client.get_metric_history(run_id, key))


def _write_run_id(folder: Path, facts: dict[str, Any], run_id: str | None) -> None:
    (folder / "run.json").write_text(json.dumps({**facts, "mlflow_run_id": run_id}))


def test_a_run_that_was_never_tracked_is_tracked_whole(
    client: Any, run_folder: Path, tmp_path: Path
) -> None:
    run_id = track_run(run_folder)
    assert run_id is not None
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "translation/seed3"
    assert run.data.params["training.batch_size"] == "8"
    assert run.data.tags["segtrans.commit"] == "c0ffee"
    assert _values(client, run_id, "train/seg") == [(100, 0.9), (200, 0.4)]
    assert _values(client, run_id, "valid/dice_soft_pooled") == [(0, 0.1), (100, 0.3), (200, 0.6)]
    assert {key: value for key, value in run.data.metrics.items() if key.count("/") == 2} == {
        f"{place}/{name}": value
        for place in ("valid/best", "test/best", "valid/last", "test/last")
        for name, value in {
            "dice_soft_pooled": 0.55,
            "dice_hard_pooled": 0.56,
            "dice_hard_image_mean": 0.54,
            "false_positive_pixels_A": 12,
            "n_images_P": 48,
            "n_images_A": 50,
            "false_positive_pixels_A_image_mean": 1.2,
            "lesions_found_fraction": 0.55,
            "lesions_false_image_mean": 1 - 0.55,
        }.items()
    }
    assert [file.path for file in client.list_artifacts(run_id)] == [
        "history.jsonl",
        "labelled_ids.json",
        "metrics.json",
        "per_image.csv",
        "run.json",
        "weights.safetensors",
    ]
    place = f"mlartifacts/{run_id}/artifacts/weights.safetensors"
    assert (tmp_path / place).read_bytes() == b"weights"


@pytest.mark.parametrize("knows_id", [True, False])
def test_a_second_call_adds_nothing(
    client: Any, run_folder: Path, facts: dict[str, Any], knows_id: bool
) -> None:
    if knows_id:
        tracker = RunTracker(**describe_run(run_folder, origin_of(facts)))
        _write_run_id(run_folder, facts, tracker.run_id)
    first = track_run(run_folder)
    assert first is not None
    before = _state(client, first)
    assert track_run(run_folder) == first
    assert _state(client, first) == before
    assert _n_runs(client) == 1


def test_what_a_broken_off_tracking_missed_is_filled_in(
    client: Any, run_folder: Path, facts: dict[str, Any], records: list[dict[str, Any]]
) -> None:
    tracker = RunTracker(**describe_run(run_folder, origin_of(facts)))
    tracker.log(records[0])
    tracker.log(records[2])
    _write_run_id(run_folder, facts, tracker.run_id)
    assert track_run(run_folder) == tracker.run_id
    assert tracker.run_id is not None
    assert _values(client, tracker.run_id, "train/adv_A") == [(100, -0.5), (200, -0.7)]
    assert _values(client, tracker.run_id, "valid/dice_soft_pooled") == [
        (0, 0.1),
        (100, 0.3),
        (200, 0.6),
    ]
    assert client.get_run(tracker.run_id).info.status == "FINISHED"
    assert _n_runs(client) == 1


def test_the_id_of_another_store_leads_to_one_run_here(
    client: Any, run_folder: Path, facts: dict[str, Any]
) -> None:
    _write_run_id(run_folder, facts, "f" * 32)
    first = track_run(run_folder)
    assert first not in (None, "f" * 32)
    assert track_run(run_folder) == first
    assert _n_runs(client) == 1


def test_a_changed_score_and_a_new_file_are_added_alone(client: Any, run_folder: Path) -> None:
    run_id = track_run(run_folder)
    assert run_id is not None
    scores = json.loads((run_folder / "metrics.json").read_text())
    scores["best"]["test"]["dice_soft_pooled"] = 0.75
    (run_folder / "metrics.json").write_text(json.dumps(scores))
    (run_folder / "panel.png").write_bytes(b"picture")
    assert track_run(run_folder) == run_id
    run = client.get_run(run_id)
    assert run.data.metrics["test/best/dice_soft_pooled"] == 0.75
    assert run.data.metrics["test/last/dice_soft_pooled"] == 0.55
    assert len(client.get_metric_history(run_id, "test/best/dice_soft_pooled")) == 2
    assert len(client.get_metric_history(run_id, "test/last/dice_soft_pooled")) == 1
    assert "panel.png" in [file.path for file in client.list_artifacts(run_id)]
    assert 'pooled": 0.75' in _artefact(client, run_id, "metrics.json")


def _artefact(client: Any, run_id: str, name: str) -> str:
    from urllib.parse import urlsplit

    uri = client.get_run(run_id).info.artifact_uri
    return (Path(urlsplit(uri).path) / name).read_text()


def test_a_long_history_is_logged_in_batches(
    client: Any, run_folder: Path, records: list[dict[str, Any]]
) -> None:
    n_records = 400
    train = {f"term{i}": 0.5 for i in range(3)}
    lines = [
        {"iteration": i, "train": train, "valid": {"dice_soft_pooled": i / n_records}}
        for i in range(n_records)
    ]
    (run_folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run_id = track_run(run_folder)
    assert run_id is not None
    for key in ("train/term0", "train/term2", "valid/dice_soft_pooled"):
        assert [step for step, _ in _values(client, run_id, key)] == list(range(n_records))


def test_an_unreachable_server_warns_and_names_the_folder(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert track_run(run_folder) is None
    error = capfd.readouterr().err
    assert error.endswith(f"{run_folder} is not tracked; track it again later\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.json", None, r"run\.json: not found; train the run first"),
        ("run.json", "{", r"run\.json: not JSON"),
        ("run.json", "{}", r"run\.json: config: missing"),
        ("history.jsonl", None, r"history\.jsonl: not found"),
        ("history.jsonl", '{"iteration": 0', r"history\.jsonl, line 1: not JSON"),
        ("history.jsonl", "[]", r"history\.jsonl, line 1: expected a JSON object"),
        ("history.jsonl", '{"iteration": 0}', r"history\.jsonl, line 1: train: missing"),
        ("metrics.json", "}", r"metrics\.json: not JSON"),
    ],
)
def test_a_damaged_folder_is_one_clear_line(
    run_folder: Path, name: str, text: str | None, message: str
) -> None:
    (run_folder / name).unlink()
    if text is not None:
        (run_folder / name).write_text(text)
    with pytest.raises(UserError, match=message):
        track_run(run_folder)

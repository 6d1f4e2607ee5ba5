import json
from pathlib import Path

import pytest

from segtrans.config.runs import read_run
from segtrans.errors import UserError
from segtrans.report.trace import print_trace, trace_lines


@pytest.fixture
def run_folder(write_run, make_store):
    """A scored run whose data file is there."""
    store = make_store()
    folder = write_run(seed=3, dice=0.625, sha256=store.sha256())
    facts = json.loads((folder / "run.json").read_text())
    facts |= {"mlflow_run_id": "0af1"}
    facts["labelled"]["n_units"] = 2
    facts["data"] |= {"file": str(store.path), "parameters": {"noise_sd": 0.01}}
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "labelled_ids.json").write_text('{"unit": "digit", "ids": [17, 23]}')
    return folder


def test_a_number_leads_to_all_that_made_it(run_folder, capsys):
    print_trace(run_folder / "metrics.json")
    printed = capsys.readouterr().out
    run = read_run(run_folder)
    for fact in (
        "commit: c0ffee",
        f"run configuration: {run.config.identity}",
        "init_seed: 3",
        f"  training.learning_rate: {run.config.training.learning_rate}",
        "here, unchanged",
        f"  sha256: {run.record.data.sha256}",
        "  noise_sd: 0.01",
        "ids 17 23",
        "from iteration 0 on cpu (x86_64), commit c0ffee, python 3.11.7, torch 2.13.0",
        "mlflow_run_id: 0af1",
        "  test.dice_soft_pooled: 0.625",
    ):
        assert fact in printed, fact


def test_data_that_changed_or_went_since_are_said(run_folder):
    data = Path(read_run(run_folder).record.data.file)
    data.write_bytes(data.read_bytes() + b"more")
    assert "CHANGED" in "\n".join(trace_lines(read_run(run_folder)))
    data.unlink()
    assert "not here now" in "\n".join(trace_lines(read_run(run_folder)))


def test_scores_of_another_training_are_refused(run_folder):
    metrics = json.loads((run_folder / "metrics.json").read_text())
    (run_folder / "metrics.json").write_text(json.dumps(metrics | {"config_identity": "other"}))
    with pytest.raises(UserError, match=r"metrics\.json: config_identity is other"):
        print_trace(run_folder)


def test_a_run_without_a_fact_is_one_line(run_folder):
    facts = json.loads((run_folder / "run.json").read_text())
    del facts["sessions"]
    (run_folder / "run.json").write_text(json.dumps(facts))
    with pytest.raises(
        UserError, match=r"run\.json: sessions: missing; damaged.*train the run again"
    ):
        print_trace(run_folder)

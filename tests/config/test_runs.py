import contextlib
import hashlib
import json

import pytest

from segtrans.config.run_config import read_config
from segtrans.config.runs import (
    only_task,
    read_history,
    read_labelled_ids,
    read_metrics,
    read_run,
    read_runs,
)
from segtrans.errors import UserError
from segtrans.report.table import write_table
from segtrans.report.trace import trace_lines
from tests.run_files import with_config


def test_runs_are_ordered_as_the_catalogue_then_by_seed(write_run):
    folders = [write_run("translation", 1), write_run("translation", 0)]
    folders += [write_run("segmentation_only", 2), write_run(task="mnist48_hard")]
    runs = read_runs(folders)
    assert [(r.config.task, r.config.method, r.config.init_seed) for r in runs] == [
        ("mnist48_simple", "segmentation_only", 2),
        ("mnist48_simple", "translation", 0),
        ("mnist48_simple", "translation", 1),
        ("mnist48_hard", "translation", 0),
    ]


def test_variants_stand_within_their_method_in_the_order_of_the_preset(write_run):
    folders = [
        write_run(method, seed, variant=variant)
        for method in ("translation", "autoencoder")
        for variant in ("plain", "deep", "10_percent")
        for seed in (1, 0)
    ]
    runs = read_runs(folders)
    assert [run.method_name for run in runs[::2]] == [
        *("autoencoder-plain", "autoencoder-deep", "autoencoder-10_percent"),
        *("translation-plain", "translation-deep", "translation-10_percent"),
    ]
    assert [run.config.init_seed for run in runs[:2]] == [0, 1]
    assert (runs[4].variant, runs[4].title) == ("10_percent", "AE baseline, 10 percent")
    assert {run.config.identity for run in runs[:5:2]} == {runs[0].config.identity}


def test_a_run_that_tells_of_no_variant_has_none(write_run):
    folder = write_run()
    facts = json.loads((folder / "run.json").read_text())
    del facts["variant"]
    (folder / "run.json").write_text(json.dumps(facts))
    run = read_run(folder)
    assert (run.variant, run.method_name, run.title) == (None, "translation", "Proposed")


def test_the_same_run_twice_is_an_error(write_run, tmp_path):
    folders = [write_run(), write_run(root=tmp_path / "copy")]
    with pytest.raises(UserError, match=r"method translation, seed 0 .*give each run once"):
        read_runs(folders)


def test_a_row_of_other_parameters_and_a_task_of_other_data_are_refused(write_run):
    folders = [write_run(seed=0), write_run(seed=1)]
    facts = json.loads((folders[1] / "run.json").read_text())
    other = with_config(facts, training={"iterations": 150})
    (folders[1] / "run.json").write_text(json.dumps(other))
    expected = r"seed1: training\.iterations = 150, not 1000 as in .*seed0, of the same method"
    with pytest.raises(UserError, match=expected) as error:
        read_runs(folders)
    assert "\n" not in str(error.value)
    folders = [folders[0], write_run("autoencoder", sha256="cd" * 32)]
    with pytest.raises(UserError, match=r"translation.seed0: its data are not .*the same data"):
        read_runs(folders)


@pytest.mark.parametrize("name", ["history.jsonl", "labelled_ids.json"])
def test_what_another_training_left_beside_run_json_is_refused(write_run, name):
    folder = write_run()
    ids = {"schema_version": 1, "unit": "digit", "ids": list(range(40))}
    (folder / "labelled_ids.json").write_text(json.dumps(ids))
    files = ("history.jsonl", "labelled_ids.json")
    facts = json.loads((folder / "run.json").read_text())
    facts["files_sha256"] = {
        file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files
    }
    (folder / "run.json").write_text(json.dumps(facts))
    run = read_run(folder)
    assert len(read_history(run)) == 3
    assert len(read_labelled_ids(run).ids) == 40
    text = (folder / name).read_text()  # of another run of as many validations, or labels
    (folder / name).write_text(text.replace("0.3", "0.4").replace("[0, 1", "[0, 41"))
    with pytest.raises(UserError, match=f"{name}: damaged, or of another training"):
        read_history(run)
        read_labelled_ids(run)


def test_scores_of_earlier_weights_are_refused(write_run):
    folder = write_run()
    for name, digits in (("metrics.json", "ab"), ("run.json", "cd")):
        content = json.loads((folder / name).read_text())
        content["weights_sha256"] = {"best": digits * 32, "last": "ef" * 32}
        (folder / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"of other weights than run\.json's.*evaluate the run"):
        read_metrics(read_run(folder))


def test_no_run_is_an_error():
    with pytest.raises(UserError, match="no run folder"):
        read_runs([])


def test_a_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"run\.json: not found; train the run first"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_damaged_facts_are_one_clear_line(write_run, text):
    folder = write_run()
    (folder / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json: .*train the run again") as error:
        read_run(folder)
    assert "\n" not in str(error.value)


def test_facts_without_a_configuration_or_with_a_wrong_one_are_errors(write_run):
    folder = write_run()
    (folder / "run.json").write_text("{}")
    with pytest.raises(UserError, match=r"run\.json: .*config: missing"):
        read_run(folder)
    (folder / "run.json").write_text(json.dumps({"config": {"task": "mnist48"}}))
    with pytest.raises(UserError, match=r"run\.json"):
        read_run(folder)


def test_history_comes_in_order_and_names_a_damaged_line(write_run):
    folder = write_run()
    assert [record.iteration for record in read_history(read_run(folder))] == [0, 100, 200]
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"iteration": 30')
    with pytest.raises(UserError, match="line 4"):
        read_history(read_run(folder))
    (folder / "history.jsonl").write_text("")
    with pytest.raises(UserError, match="empty"):
        read_history(read_run(folder))


@pytest.mark.parametrize("key", ["config_identity", "data_sha256"])
def test_scores_of_an_earlier_training_are_refused(write_run, key):
    folder = write_run()
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {key: "0" * 64}))
    with pytest.raises(UserError, match=f"{key} is 0000.*evaluate the run again"):
        read_metrics(read_run(folder))


def test_a_figure_of_one_task_refuses_runs_of_two(write_run):
    runs = read_runs([write_run(), write_run(task="mnist128")])
    with pytest.raises(UserError, match="mnist48_simple, mnist128"):
        only_task(runs)
    assert only_task(runs[:1]).height == 48


def places(content, place=()):
    """The place of every value in nested JSON."""
    keys = content if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield (*place, key)
        if isinstance(content[key], dict | list):
            yield from places(content[key], (*place, key))


def changed(content, place, change):
    """A deep copy in which the value at a place is changed."""
    content = json.loads(json.dumps(content))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    change(inner, place[-1])
    return content


def put(value):
    return lambda inner, key: inner.__setitem__(key, value)


@contextlib.contextmanager
def noted(refusals):
    try:
        yield
    except UserError as error:
        refusals.append(str(error))
        raise


CHANGES = [lambda inner, key: inner.pop(key), *map(put, (None, "x", [[]], -1, {"a": {"b": 1}}))]


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "labelled_ids.json"])
def test_whatever_is_edited_by_hand_is_read_or_refused_in_one_line(write_run, name):
    folder = write_run()
    ids = {"schema_version": 1, "unit": "digit", "ids": list(range(40))}
    (folder / "labelled_ids.json").write_text(json.dumps(ids))
    content = json.loads((folder / name).read_text())
    outputs = {f"output_{kind}": folder / f"table.{kind}" for kind in ("csv", "md", "json")}
    refusals = []
    for place in places(content):
        for change in CHANGES:
            (folder / name).write_text(json.dumps(changed(content, place, change)))
            with contextlib.suppress(UserError), noted(refusals):
                run = read_run(folder)
                read_metrics(run)
                list(trace_lines(run))
                write_table([folder], **outputs)
    assert len(refusals) > 10
    for refusal in refusals:
        assert str(folder / name) in refusal
        assert "again" in refusal
        assert "\n" not in refusal


@pytest.mark.parametrize(
    "line",
    [
        "null",
        "3",
        '{"iteration": 300, "train": {"seg": "x"}, "valid": {"dice_soft_pooled": 1}}',
        '{"iteration": -1, "train": {}, "valid": {"dice_soft_pooled": 0.1}}',
        '{"iteration": 100, "train": {}, "valid": {"dice_soft_pooled": 0.1}}',
        '{"iteration": 300, "train": {}, "valid": {}}',
        '{"iteration": 300, "train": {}, "valid": {"dice_soft_pooled": NaN}}',
    ],
)
def test_a_damaged_record_of_the_history_is_one_line(write_run, line):
    folder = write_run()
    with (folder / "history.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=r"history\.jsonl, line 4: .*train the run again") as error:
        read_history(read_run(folder))
    assert "\n" not in str(error.value)


def test_a_run_of_a_later_version_is_not_believed(write_run):
    folder = write_run()
    facts = json.loads((folder / "run.json").read_text())
    later = with_config(facts, training_version=999)
    (folder / "run.json").write_text(json.dumps(later))
    with pytest.raises(UserError, match=r"training_version = 999: .* or a later one"):
        read_run(folder)
    (folder / "run.json").write_text(json.dumps(facts | {"schema_version": 2}))
    with pytest.raises(UserError, match="schema_version = 2"):
        read_run(folder)


def test_a_run_with_the_names_of_an_earlier_version_is_read(write_run):
    run = write_run()
    expected = read_run(run)
    scores = read_metrics(expected)
    facts, metrics = (json.loads((run / name).read_text()) for name in ("run.json", "metrics.json"))
    for now, before in {
        "preset": "scale",
        "config": "cell",
        "config_identity": "cell_identity",
    }.items():
        facts[before] = facts.pop(now)
    metrics["cell_identity"] = metrics.pop("config_identity")
    (run / "run.json").write_text(json.dumps(facts))
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert read_run(run) == expected
    assert read_metrics(read_run(run)) == scores


def test_one_checksum_of_two_is_not_enough(write_run):
    folder = write_run()
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | {"weights_sha256": {"best": "ab" * 32}}))
    with pytest.raises(UserError, match=r"run\.json: weights_sha256 = .*train the run again"):
        read_run(folder)


@pytest.mark.parametrize(("unit", "n_ids"), [("digit", 39), ("volume", 40)])
def test_other_labels_than_the_run_counts_are_refused(write_run, unit, n_ids):
    folder = write_run()
    content = {"unit": unit, "ids": list(range(n_ids))}
    (folder / "labelled_ids.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"{n_ids} of unit {unit}, run.json has 40 of unit digit"):
        read_labelled_ids(read_run(folder))


def test_an_unknown_key_in_a_list_is_told_its_neighbours(write_run):
    folder = write_run()
    facts = json.loads((folder / "run.json").read_text())
    facts["sessions"][0]["comit"] = "c0ffee"
    (folder / "run.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"sessions\.0\.comit: unknown; did you mean commit\?"):
        read_run(folder)


@pytest.mark.parametrize("text", ['{"a": ' * 100_000, '{"task": ' + "9" * 5000 + "}", "", "[1]"])
def test_a_file_that_holds_no_configuration_is_one_line_with_its_name(tmp_path, text):
    file = tmp_path / "run-config.json"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        read_config(str(file))
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dice_soft_pooled", -0.5),
        ("dice_hard_pooled", 1.5),
        ("hd95_mm_patient", -1.0),
        ("false_positive_pixels_A", -1),
    ],
)
def test_a_score_that_no_evaluation_gives_is_refused(write_run, name, value):
    folder = write_run()
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["best"]["test"][name] = value
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match=rf"metrics\.json: best\.test\.{name} = {value}: no such"):
        read_metrics(read_run(folder))

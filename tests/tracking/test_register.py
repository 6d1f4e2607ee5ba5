"""Registered models, loaded and served by a real MLflow."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import requests

from segtrans.config.params import load_params
from segtrans.config.run_config import resolve_config
from segtrans.config.runs import read_run
from segtrans.errors import UserError
from segtrans.methods.inference import lesion_probability
from segtrans.methods.weights import WEIGHTS, build_method, load_method, save_weights
from segtrans.predict.pictures import predict_pictures
from segtrans.tracking import LOCAL_PORT, track_run
from segtrans.tracking.register import model_name, register_best
from tests.limits import WAIT_S
from tests.predict.picture_runs import write_run as write_picture_run
from tests.run_files import run_facts

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def store(own_store):
    return own_store


@pytest.fixture
def write_run(tmp_path):
    """A function that writes a run folder with real weights, of tiny networks."""

    def write(method="autoencoder", seed=0, *, valid_dice):
        overlay = {"networks": {"width": 1 / 32}}
        params = load_params(ROOT / "params.yaml", overlay=overlay)
        config = resolve_config(params, task="mnist48_simple", method=method, init_seed=seed)
        folder = tmp_path / "results/laptop/mnist48_simple" / method / f"seed{seed}"
        save_weights(folder / WEIGHTS["best"], build_method(config).state_dict(), config)
        facts = run_facts(config, best_dice_soft_pooled=valid_dice)
        (folder / "run.json").write_text(json.dumps(facts))
        record = {"iteration": 0, "train": {}, "valid": {"dice_soft_pooled": valid_dice}}
        (folder / "history.jsonl").write_text(json.dumps(record) + "\n")
        return folder

    return write


def register(*folders):
    ids = {str(folder): track_run(folder) for folder in folders}
    register_best(folders, ids)
    return ids


def versions(store):
    from mlflow import MlflowClient

    client = MlflowClient(store)
    return {
        (version.name, version.run_id)
        for model in client.search_registered_models()
        for version in client.search_model_versions(f"name = '{model.name}'")
    }


def images():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (3, 1, 48, 48)).astype(np.float32)


def expected(folder):
    import torch

    method = load_method(read_run(folder), which="best")
    return lesion_probability(method, torch.from_numpy(images())).numpy()


def test_the_best_run_of_each_method_by_validation_loads_as_pyfunc(write_run, store):
    import mlflow

    worse = write_run(seed=0, valid_dice=0.4)
    better = write_run(seed=1, valid_dice=0.6)
    other = write_run("segmentation_only", valid_dice=0.2)
    ids = register(worse, better, other)
    assert versions(store) == {
        (model_name(read_run(folder)), ids[str(folder)]) for folder in (better, other)
    }
    mlflow.set_tracking_uri(store)
    for folder in (better, other):
        loaded = mlflow.pyfunc.load_model(f"models:/{model_name(read_run(folder))}@best")
        np.testing.assert_array_equal(loaded.predict(images()), expected(folder))
    with pytest.raises(mlflow.exceptions.MlflowException, match="shape"):
        loaded.predict(images()[:, 0])


def test_the_same_best_run_is_registered_once_and_a_better_one_takes_over(write_run, store):
    from mlflow import MlflowClient

    first = write_run(seed=0, valid_dice=0.4)
    register(first)
    register(first)
    assert len(versions(store)) == 1
    better = write_run(seed=1, valid_dice=0.6)
    ids = register(first, better)
    found = MlflowClient(store).get_model_version_by_alias(model_name(read_run(first)), "best")
    assert found.run_id == ids[str(better)]
    assert len(versions(store)) == 2


def test_a_worse_run_alone_takes_nothing_over_and_its_whole_row_does(write_run, store, capfd):
    from mlflow import MlflowClient

    worse, better = write_run(seed=0, valid_dice=0.4), write_run(seed=1, valid_dice=0.6)
    name = model_name(read_run(worse))

    def held():
        return MlflowClient(store).get_model_version_by_alias(name, "best").run_id

    capfd.readouterr()
    ids = register(worse, better)
    assert "type hints" not in "".join(capfd.readouterr())
    register(worse)
    assert held() == ids[str(better)]
    shutil.rmtree(better)
    assert register(worse)[str(worse)] == held()


def test_a_failure_warns_and_names_the_model(write_run, monkeypatch, capfd):
    folder = write_run(valid_dice=0.4)
    run_id = track_run(folder)
    capfd.readouterr()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert register_best([folder], {str(folder): run_id}) == {str(folder): None}
    error = capfd.readouterr().err
    assert "segtrans-laptop-mnist48_simple-autoencoder is not registered" in error
    assert error.count("\n") == 1


def test_a_row_waits_until_its_best_run_is_tracked(write_run, store):
    worse, better = write_run(seed=0, valid_dice=0.4), write_run(seed=1, valid_dice=0.6)
    ids = {str(worse): track_run(worse), str(better): None}
    assert register_best([worse, better], ids) == ids
    assert versions(store) == set()


def test_what_a_dead_server_left_out_is_noted_said_and_completed(
    write_run, store, tmp_path, monkeypatch, capfd
):
    from segtrans.cli.runs import track
    from segtrans.report.summary import print_summary

    folder, results = write_run(valid_dice=0.4), tmp_path / "results/laptop"
    (results / "table.md").write_text("a table")
    (results / "dice.json").write_text('{"mnist48_simple": {}}')
    tracked = results / "mnist48_simple/tracked.json"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="1 of 1 runs are not tracked; run this again later"):
        track([folder])
    track([folder], tracked)
    assert json.loads(tracked.read_text()) == {str(folder): None}
    print_summary(results)
    assert "1 of 1 runs are not tracked in MLflow" in capfd.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    track([folder], tracked)
    ((_, run_id),) = versions(store)
    assert json.loads(tracked.read_text()) == {str(folder): run_id}
    print_summary(results)
    assert "not tracked" not in capfd.readouterr().out


@pytest.mark.slow
def test_a_model_of_another_source_is_refused_in_a_process_that_has_one(write_run, store):
    from mlflow import MlflowClient

    folder = write_run(valid_dice=0.4)
    register(folder)
    name = model_name(read_run(folder))
    place = Path(urlsplit(MlflowClient(store).get_model_version_by_alias(name, "best").source).path)
    code = place / "code/segtrans/methods/inference.py"
    code.write_text(code.read_text() + "\n_ANOTHER_VERSION = True\n")
    import mlflow

    with pytest.raises(RuntimeError, match=r"another source of segtrans.*process of its own"):
        mlflow.pyfunc.load_model(str(place))
    alone = "import sys, mlflow; mlflow.pyfunc.load_model(sys.argv[1]); import segtrans; "
    alone += "print(segtrans.__file__)"
    command = [sys.executable, "-c", alone, str(place)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == f"{place}/code/segtrans/__init__.py\n"


def test_a_model_of_pictures_takes_their_files_and_gives_what_predict_writes(tmp_path, store):
    import mlflow
    from PIL import Image
    from skimage.data import astronaut

    folder = write_picture_run(tmp_path, "autoencoder", channels=["red", "green", "blue"])
    record = {"iteration": 0, "train": {}, "valid": {"dice_soft_pooled": 0.4}}
    (folder / "history.jsonl").write_text(json.dumps(record) + "\n")
    for name, width in (("a", 70), ("b", 40)):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(astronaut()[:50, :width]).save(tmp_path / f"in/{name}.png")
    kinds = ("mask", "probability")
    predict_pictures(folder, tmp_path / "in", tmp_path / "out", threshold=0.4, kinds=kinds)
    register(folder)
    from mlflow.pyfunc.scoring_server import infer_and_parse_data, predictions_to_json

    mlflow.set_tracking_uri(store)
    model = mlflow.pyfunc.load_model(f"models:/{model_name(read_run(folder))}@best")
    files = [(tmp_path / f"in/{name}.png").read_bytes() for name in "ab"]
    # As a server does with a request and the answer.
    records = [{"image": base64.b64encode(content).decode()} for content in files]
    data = infer_and_parse_data({"dataframe_records": records}, model.metadata.get_input_schema())
    answer = StringIO()
    predictions_to_json(model.predict(data, params={"threshold": 0.4}), answer)
    found = pd.DataFrame(json.loads(answer.getvalue())["predictions"])
    for kind in kinds:
        expected = [(tmp_path / f"out/{kind}/{name}.png").read_bytes() for name in "ab"]
        assert [base64.b64decode(content) for content in found[kind]] == expected
    table = pd.read_csv(tmp_path / "out/predictions.csv")
    for column in ("max_probability", "score"):
        np.testing.assert_allclose(found[column], table[column], atol=1e-6)


def test_a_model_of_several_pathologies_gives_what_predict_writes_of_each(tmp_path, store):
    import mlflow
    from PIL import Image
    from skimage.data import camera

    two = {"multi_label": True, "classes": {"crack": 1, "stain": 2}}
    folder = write_picture_run(tmp_path, "pathologies", **two)
    record = {"iteration": 0, "train": {}, "valid": {"dice_soft_pooled": 0.4}}
    (folder / "history.jsonl").write_text(json.dumps(record) + "\n")
    (tmp_path / "in").mkdir()
    Image.fromarray(camera()[100:150, 200:270]).save(tmp_path / "in/a.png")
    predict_pictures(
        folder, tmp_path / "in", tmp_path / "out", threshold=0.4, kinds=("mask", "probability")
    )
    register(folder)
    mlflow.set_tracking_uri(store)
    model = mlflow.pyfunc.load_model(f"models:/{model_name(read_run(folder))}@best")
    data = pd.DataFrame({"image": [(tmp_path / "in/a.png").read_bytes()]})
    found = model.predict(data, params={"threshold": 0.4})
    assert list(found) == [
        f"{what}_{name}"
        for name in ("crack", "stain")
        for what in ("mask", "probability", "max_probability", "score")
    ] + ["doubt"]
    assert model.metadata.get_output_schema().input_names() == list(found)
    table = pd.read_csv(tmp_path / "out/predictions.csv")
    for name in ("crack", "stain"):
        for kind in ("mask", "probability"):
            expected = (tmp_path / f"out/{kind}/{name}/a.png").read_bytes()
            assert found[f"{kind}_{name}"][0] == expected
        for column in (f"max_probability_{name}", f"score_{name}"):
            np.testing.assert_allclose(found[column], table[column], atol=1e-6)


def test_the_docs_serve_a_model_beside_the_pages():
    text = (ROOT / "docs" / "mlflow.md").read_text(encoding="utf-8")
    (port,) = re.findall(r"^mlflow models serve .*--port (\d+)$", text, re.MULTILINE)
    assert int(port) != LOCAL_PORT


@pytest.mark.slow
def test_a_served_model_answers_with_a_segmentation(write_run, store, tmp_path):
    folder = write_run(valid_dice=0.4)
    register(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    name = model_name(read_run(folder))
    command = [*(sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{name}@best")]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    programs = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "NO_PROXY": "127.0.0.1"}
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        answer = ask(f"http://127.0.0.1:{port}", process)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=WAIT_S)
    assert answer.status_code == 200, answer.text
    served = np.array(answer.json()["predictions"])
    np.testing.assert_allclose(served, expected(folder), atol=1e-6)


def ask(page, process):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{page}/ping", timeout=60).ok:
                break
        except requests.RequestException:
            time.sleep(0.5)
    return requests.post(f"{page}/invocations", json={"inputs": images().tolist()}, timeout=WAIT_S)

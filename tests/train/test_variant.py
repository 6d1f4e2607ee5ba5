"""The name of a variant beside a training, which does not depend on it."""

import json
from pathlib import Path

from segtrans.config.runs import read_run
from tests.train.training import train


def test_a_run_keeps_the_name_of_its_variant_and_trains_the_same(
    tiny_data, make_config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens
    config = make_config("segmentation_only", iterations=4, validate_every=4)
    train(config, tiny_data, "plain")
    train(config, tiny_data, "named", variant="half_percent")
    plain, named = (read_run(Path(name)) for name in ("plain", "named"))
    assert (plain.method_name, named.method_name) == (
        "segmentation_only",
        "segmentation_only-half_percent",
    )
    assert json.loads(Path("plain/run.json").read_text())["variant"] is None
    for name in ("weights.safetensors", "history.jsonl"):
        assert Path("plain", name).read_bytes() == Path("named", name).read_bytes()

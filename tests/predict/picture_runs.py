"""Runs on pictures and scans with tiny, untrained networks."""

import json
from pathlib import Path

import yaml

from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.methods.weights import WEIGHTS, build_method, save_weights
from segtrans.tasks.image_folder import ImageFolder
from tests.run_files import run_facts

ROOT = Path(__file__).parents[2]


def write_run(place, method="translation", *, type_=None, **task):
    """Write a run folder in `place`; `task` is laid over a task of 32 x 40 grey pixels.

    `type_` is that of the pictures that it was trained on; None: it does not say.
    """
    content = {"kind": "image_folder", "title": "Mine", "directory": "mine", "height": 32}
    content |= {"width": 40, "architecture": "mnist48"}
    definition = ImageFolder.model_validate_json(json.dumps(content | task))
    return write_run_of(place, method, definition, **({"type": type_} if type_ else {}))


def write_run_of(place, method, definition, **parameters):
    """Write a run folder of a task, with more parameters of its data."""
    definition = definition.model_dump(mode="json")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"data_sets": {"mine": definition}, "overrides": {}}
    params["networks"]["width"] = 1 / 32
    params = parse_params(params, origin="test")
    config = resolve_config(params, task="mine", method=method, init_seed=0)
    folder = place / f"run_{method}"
    folder.mkdir(exist_ok=True)
    state = build_method(config).state_dict()
    sha256 = {key: save_weights(folder / name, state, config) for key, name in WEIGHTS.items()}
    facts = run_facts(config, weights_sha256=sha256)
    facts["data"]["parameters"] = {"definition": definition, "title": "Mine", **parameters}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder

"""Write the manual of every parameter, `config/README.md`, from the models: `make docs`."""

from typing import Any, get_args

from pydantic import BaseModel

from segtrans.config.catalogue import METHODS
from segtrans.config.params import Params
from segtrans.tasks.registry import OWN_KINDS, PAPER_TASKS

HEAD = """\
# Every parameter

Written from `segtrans/config/params.py` by `make docs`; do not edit by hand.

`params.yaml` holds the default preset. The files in this folder contain only what differs, and
override it: `snakemake --configfile config/smoke.yaml`. A single key can be changed without a file:
`snakemake --config preset=mine 'training={iterations: 500}'`. Give every preset of your own a name,
`preset:`, since results go to `results/<preset>`.

**The last source that sets a value wins**, for every task: first `params.yaml`, then each file of
`--configfile` in order, then `--config`. Within one file, the more specific setting wins:
`overrides` of a task over the block for all tasks, weights of an ablation over those of its method.
So `training.learning_rate` in `--config` applies to all tasks. Changed in `params.yaml`, by hand or
by `dvc exp run -S`, it does not affect tasks for which the same file overrides the learning rate:
`-S overrides.brats.training.learning_rate=0.002` changes that one. `snakemake --dry-run` prints
which settings of tasks and variants differ from the rest, and the caption of the table says where
tasks differ. An empty mapping, such as `variants: {}` or `overrides: {brats: {training: {}}}`,
removes what earlier files set there; elsewhere it changes nothing.

Files are YAML 1.2: `1e-05` is a number; `yes`, `010`, `1:30`, `1_000` and duplicate keys are
refused, because YAML readers disagree on their meaning.
"""


def manual() -> str:
    """The manual as Markdown."""
    lines = [HEAD, "| key | type | meaning |", "|---|---|---|", *_rows(Params, ""), ""]
    lines += [
        "## Tasks",
        "",
        *[f"- `{name}`: {task.title}" for name, task in PAPER_TASKS.items()],
        "",
    ]
    for kind in OWN_KINDS:
        name = get_args(kind.model_fields["kind"].annotation)[0]
        lines += [f"## An entry of `data_sets`: kind `{name}`", ""]
        lines += ["| key | type | meaning |", "|---|---|---|", *_rows(kind, ""), ""]
    lines += ["## Methods", "", *[f"- `{name}`: {m.title}" for name, m in METHODS.items()]]
    return "\n".join(lines)


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            rows += _rows(annotation, f"{prefix}{name}.")
            continue
        schema = model.model_json_schema()["properties"][name]
        rows.append(f"| `{prefix}{name}` | {_type(schema)} | {field.description} |")
    return rows


def _type(schema: dict[str, Any]) -> str:
    if "oneOf" in schema:
        return "entries as below"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if schema.get("type") == "null":
        return "`null`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])} {_type(schema['prefixItems'][0])}"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object":
        values = schema["additionalProperties"]
        return "mapping" if values is True else f"mapping to {_type(values)}"
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
    }
    limits = [f"{sign} {_number(schema[key])}" for key, sign in signs.items() if key in schema]
    return " ".join([str(schema["type"]), ", ".join(limits)]).strip()


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


if __name__ == "__main__":
    print(manual())

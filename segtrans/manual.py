"""Write the manual of every parameter, `config/README.md`, from the models: `make docs`."""

from typing import Any

from pydantic import BaseModel

from segtrans.catalogue import METHODS
from segtrans.params import Params
from segtrans.tasks import TASKS

HEAD = """\
# Every parameter

Written from `segtrans/params.py` by `make docs`; do not edit by hand.

`params.yaml` holds the default scale. A file of this folder holds only what differs, and is laid
over it: `snakemake --configfile config/smoke.yaml`. One key can be changed without a file:
`snakemake --config scale=mine 'training={iterations: 500}'`. Give every scale of your own its own
`scale:`, since results stand in `results/<scale>`.
"""


def manual() -> str:
    """The manual as Markdown."""
    lines = [HEAD, "| key | type | meaning |", "|---|---|---|", *_rows(Params, ""), ""]
    lines += ["## Tasks", "", *[f"- `{name}`: {task.title}" for name, task in TASKS.items()], ""]
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
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if schema.get("type") == "null":
        return "`null`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
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

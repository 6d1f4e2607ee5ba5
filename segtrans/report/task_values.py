"""What the tasks of a preset were trained with otherwise than each other."""

from collections.abc import Sequence
from typing import Any

from segtrans.config.layers import flat
from segtrans.config.runs import Run


def differing_values(runs: Sequence[Run]) -> list[str]:
    """Values of the parameters that are not the same for all tasks, as points of a caption.

    A rate that was changed for all tasks but one is seen here, and nowhere else in a table.

    Returns:
        One point, or none when there is one task or the tasks have the same values.
    """
    by_key: dict[str, dict[str, list[Any]]] = {}
    for run in runs:
        for key, value in _values(run).items():
            values = by_key.setdefault(key, {}).setdefault(run.config.task, [])
            if value not in values:
                values.append(value)
    differing = [
        f"{key} {', '.join(f'{_joined(values)} ({task})' for task, values in of_task.items())}"
        for key, of_task in by_key.items()
        if any(values != next(iter(of_task.values())) for values in of_task.values())
    ]
    return [f"Not the same for all tasks: {'; '.join(differing)}."] if differing else []


def _values(run: Run) -> dict[str, Any]:
    config = run.config
    blocks = {
        "labels": config.labels.model_dump(mode="json", exclude={"digits", "unit"}),
        "networks": config.networks.model_dump(mode="json"),
        "training": config.training.model_dump(mode="json"),
        "objective": {run.method_name: config.weights},
    }
    return flat(blocks)


def _joined(values: Sequence[Any]) -> str:
    return " or ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)

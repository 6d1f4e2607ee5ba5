"""From a number back to what made it: commit, parameters, data, labels, seeds, versions, device."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segtrans.config.run_record import DataRecord
from segtrans.config.runs import Run, read_labelled_ids, read_metrics, read_run
from segtrans.data.store import Store
from segtrans.errors import UserError
from segtrans.report.provenance import commit_of


def print_trace(path: Path) -> None:
    """Print where the results of a run come from.

    Args:
        path: a run folder, or any file in it such as `metrics.json`.

    Raises:
        UserError: there is no such run, a file of it is damaged, or `metrics.json` is of another
            training.
    """
    if not path.exists():
        raise UserError(f"{path}: not found; expected a run folder or a file in it")
    folder = path if path.is_dir() else path.parent
    for line in trace_lines(read_run(folder)):
        print(line)


def trace_lines(run: Run) -> Iterator[str]:
    """Yield one fact a line, "name: value"; values of several parts are indented below."""
    record, config = run.record, run.config
    yield f"run: {run.folder}"
    yield f"preset: {record.preset}"
    yield f"method: {run.method_name}"
    yield f"commit: {commit_of(record.sessions[-1])}"
    yield f"run configuration: {config.identity}"
    yield f"init_seed: {config.init_seed}"
    yield f"data_seed: {config.data_seed}"
    yield "parameters:"
    yield from _block(config.model_dump(mode="json"))
    yield from _data_lines(record.data)
    yield from _label_lines(run)
    yield "trained by:"
    for session in record.sessions:
        versions = ", ".join(f"{k} {v}" for k, v in session.versions.items())
        yield (
            f"  from iteration {session.from_iteration} on {session.device}, commit "
            f"{commit_of(session)}, {versions}"
        )
    yield f"mlflow_run_id: {record.mlflow_run_id or 'not tracked; see `segtrans track`'}"
    if (run.folder / "metrics.json").exists():
        metrics = read_metrics(run)
        yield f"scores, at threshold {metrics.threshold}, weights of the best validation:"
        yield from _block(metrics.best["test"], prefix="test.")


def _data_lines(data: DataRecord) -> Iterator[str]:
    yield f"data: {data.file} ({_state(Path(data.file), data.sha256)})"
    yield f"  sha256: {data.sha256}"
    yield f"  source: {data.source}"
    yield from _block(data.parameters)


def _state(file: Path, sha256: str) -> str:
    if not file.exists():
        return "not here now"
    return "here, unchanged" if Store(file).sha256() == sha256 else "here, but CHANGED since"


def _label_lines(run: Run) -> Iterator[str]:
    labelled = run.record.labelled
    ids = read_labelled_ids(run).ids
    yield (
        f"labelled: {labelled.n_images} images of {labelled.n_units} (unit: {labelled.unit}), "
        f"ids {' '.join(map(str, ids))}"
    )


def _block(block: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from _block(value, f"{prefix}{key}.")
        else:
            yield f"  {prefix}{key}: {json.dumps(value)}"

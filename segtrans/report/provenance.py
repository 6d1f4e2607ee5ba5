"""What trainings cost and what made them, gathered from `run.json` for a page."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby

from segtrans.config.run_record import SessionRecord
from segtrans.config.runs import Run

NOT_MEASURED = "not measured"
_MINUTE_S, _HOUR_S = 60.0, 3600.0
# Titles of the measured values, and how each is written.
_MEASURED = {
    "peak_memory_mb": ("Peak memory, MB", "{:,.0f}"),
    "gpu_peak_memory_mb": ("Peak GPU memory, MB", "{:,.0f}"),
    "energy_wh": ("Energy, Wh", "{:,.2f}"),
}


def cost_table(runs: Sequence[Run]) -> list[dict[str, str]]:
    """What a training of each method of one task cost, mean over its seeds; all of it text."""
    return [_cost(group) for group in _by_row(runs)]


def total_time(runs: Iterable[Run]) -> str:
    """Time of all trainings, one after the other."""
    return _duration(sum(run.record.seconds for run in runs))


def devices(runs: Iterable[Run]) -> str:
    """What the runs were trained on."""
    return _joined(session.device for session in _sessions(runs))


def data_facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The data of one task's runs: name and value; values that differ between runs are joined."""
    data = [run.record.data for run in runs]
    counts = [of_run.n_train_images for of_run in data]
    return [
        ("file", _joined(of_run.file for of_run in data)),
        ("SHA-256", _joined(of_run.sha256 for of_run in data)),
        ("source", _joined(of_run.source for of_run in data)),
        (
            "training images",
            _joined(f"{n.present:,} P, {n.absent:,} A" for n in counts),
        ),
        (
            "made with",
            _joined(json.dumps(of_run.parameters, sort_keys=True) for of_run in data),
        ),
    ]


def origin_table(runs: Sequence[Run]) -> list[dict[str, str]]:
    """What made each method of one task: seeds, labels, commits, devices, identities; all text.

    The last value, "Parameters", is the run configuration without its initial seed as indented
    JSON.
    """
    return [_origin(group) for group in _by_row(runs)]


def versions(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """Packages and their versions, of all processes that trained."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for session in run.record.sessions:
            for name, version in session.versions.items():
                found.setdefault(name, []).append(version)
    return [(name, _joined(values)) for name, values in found.items()]


def commit_of(session: SessionRecord) -> str:
    """The commit that a process trained from, or why it is not known."""
    return session.commit or f"not known: {session.commit_unknown or 'not noted'}"


def _cost(runs: Sequence[Run]) -> dict[str, str]:
    first = runs[0]
    return {
        "Method": first.title,
        "Seeds": str(len(runs)),
        "Parameters": _joined(f"{run.record.n_parameters:,}" for run in runs),
        "Iterations": f"{first.config.training.iterations:,}",
        "Time": _duration(sum(run.record.seconds for run in runs) / len(runs)),
        **{
            title: _measured([getattr(run.record.usage, key, None) for run in runs], form)
            for key, (title, form) in _MEASURED.items()
        },
    }


def _measured(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return NOT_MEASURED
    text = form.format(sum(known) / len(known))
    return text if len(known) == len(values) else f"{text} ({len(known)} of {len(values)} seeds)"


def _origin(runs: Sequence[Run]) -> dict[str, str]:
    first = runs[0]
    parameters = first.config.model_dump(mode="json", exclude={"init_seed"})
    return {
        "Method": first.title,
        "Seeds": _joined(run.config.init_seed for run in runs),
        "Labelled": _joined(_labelled(run) for run in runs),
        "Commit": _joined(commit_of(session) for session in _sessions(runs)),
        "Device": devices(runs),
        "Configurations": _joined(run.config.identity for run in runs),
        "Parameters": json.dumps(parameters, indent=2, sort_keys=True),
    }


def _labelled(run: Run) -> str:
    labelled = run.record.labelled
    plural = "" if labelled.n_units == 1 else "s"
    unit = labelled.unit.replace("_", "-")
    return f"{labelled.n_images:,} images of {labelled.n_units:,} {unit}{plural}"


def _sessions(runs: Iterable[Run]) -> list[SessionRecord]:
    return [session for run in runs for session in run.record.sessions]


def _by_row(runs: Sequence[Run]) -> list[list[Run]]:
    return [list(group) for _, group in groupby(runs, key=lambda run: run.method_name)]


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.1f} min"
    return f"{seconds / _HOUR_S:.1f} h"


def _joined(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))

"""Read finished runs: their facts, history and scores. Imports no torch."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrans.catalogue import METHODS, row_name, row_title
from segtrans.cells import Cell
from segtrans.errors import UserError
from segtrans.tasks import TASKS, Task
from segtrans.validation import validate


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: the run folder.
        cell: what was trained.
        facts: the content of `run.json`.
    """

    folder: Path
    cell: Cell
    facts: dict[str, Any]

    @property
    def variant(self) -> str | None:
        """The variant of the parameters, by name; None without one."""
        variant: str | None = self.facts.get("variant")
        return variant

    @property
    def row(self) -> str:
        """What stands in the path between task and seed: "<method>" or "<method>-<variant>"."""
        return row_name(self.cell.method, self.variant)

    @property
    def title(self) -> str:
        """The row as tables and figures name it."""
        return row_title(self.cell.method, self.variant)

    @property
    def paper_dice(self) -> tuple[float, float] | None:
        """The paper's Dice, mean and standard deviation; None for what the paper did not run."""
        if self.variant is not None:
            return None
        return METHODS[self.cell.method].paper_dice.get(self.cell.task)


def read_run(folder: Path) -> Run:
    """Read `run.json` of a run folder.

    Raises:
        UserError: the file is missing, damaged or holds no valid cell.
    """
    file = folder / "run.json"
    facts = read_facts(folder)
    if "cell" not in facts:
        raise UserError(f"{file}: no key 'cell'; not written by training, train the run again")
    return Run(folder=folder, cell=validate(Cell, facts["cell"], origin=str(file)), facts=facts)


def read_facts(folder: Path) -> dict[str, Any]:
    """The content of `run.json`, as it stands.

    Raises:
        UserError: the file is missing or damaged.
    """
    return read_object(folder / "run.json", hint="train the run first")


def read_runs(folders: Iterable[Path]) -> list[Run]:
    """Read several runs, ordered as tasks and methods are listed, then by variant and seed.

    Variants stand in the order in which they are met first: a scale's runs come in its own order.

    Raises:
        UserError: there is no folder, one cannot be read, or two hold the same task, row and
            initial seed.
    """
    runs: dict[tuple[int, int, int, int], Run] = {}
    tasks, methods = list(TASKS), list(METHODS)
    variants: dict[str | None, int] = {}
    for run in map(read_run, folders):
        cell = run.cell
        variant = variants.setdefault(run.variant, len(variants))
        key = (tasks.index(cell.task), methods.index(cell.method), variant, cell.init_seed)
        if key in runs:
            raise UserError(
                f"{run.folder}: task {cell.task}, row {run.row}, seed {cell.init_seed} "
                f"stand in {runs[key].folder} too; give each run once"
            )
        runs[key] = run
    if not runs:
        raise UserError("no run folder was given; name at least one")
    return [runs[key] for key in sorted(runs)]


def only_task(runs: Sequence[Run]) -> Task:
    """The task that all runs share.

    Raises:
        UserError: they are of different tasks.
    """
    names = list(dict.fromkeys(run.cell.task for run in runs))
    if len(names) > 1:
        raise UserError(f"runs of different tasks, {', '.join(names)}: draw a figure of each")
    return runs[0].cell.task_facts


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The records of `history.jsonl`, one per validation, in order.

    Raises:
        UserError: the file is missing, empty or damaged, or a record lacks a key.
    """
    file = folder / "history.jsonl"
    lines = _read_text(file, hint="train the run first").splitlines()
    if not lines:
        raise UserError(f"{file}: empty; train the run again")
    records = []
    for number, line in enumerate(lines, start=1):
        record = _parse(line, origin=f"{file}, line {number}")
        for key in ("iteration", "train", "valid"):
            if key not in record:
                raise UserError(f"{file}, line {number}: lacks {key}; train the run again")
        records.append(record)
    return records


def read_metrics(run: Run) -> dict[str, Any]:
    """The content of `metrics.json`, checked to belong to this run.

    Raises:
        UserError: the file is missing, damaged or from another training of this folder.
    """
    file = run.folder / "metrics.json"
    metrics = read_object(file, hint="evaluate the run first")
    for key in ("cell_identity", "data_sha256"):
        expected = run.cell.identity if key == "cell_identity" else run.facts["data"]["sha256"]
        if metrics.get(key) != expected:
            raise UserError(
                f"{file}: {key} is {metrics.get(key)}, that of run.json is {expected}; "
                "evaluate the run again"
            )
    return metrics


def read_object(file: Path, *, hint: str) -> dict[str, Any]:
    """A JSON object from a file; `hint` says what to do when it is missing.

    Raises:
        UserError: the file is missing or damaged.
    """
    return _parse(_read_text(file, hint=hint), origin=str(file))


def _read_text(file: Path, *, hint: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{file}: not found; {hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot read it ({error}); {hint}") from error


def _parse(text: str, *, origin: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{origin}: not JSON ({error}); make it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{origin}: expected a JSON object, found {text:.40}; make it again")
    return content

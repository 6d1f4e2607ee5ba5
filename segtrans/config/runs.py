"""Read finished runs: their facts, history and scores. Imports no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segtrans.config.catalogue import METHODS, row_name, row_title
from segtrans.config.cells import Cell
from segtrans.config.refusals import Model, parse_object, validate
from segtrans.config.run_record import HistoryRecord, LabelledIds, Metrics, RunRecord
from segtrans.config.versions import TRAINING_VERSION
from segtrans.errors import UserError
from segtrans.tasks.base import Task
from segtrans.tasks.registry import PAPER_TASKS


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: the run folder.
        record: the content of `run.json`.
    """

    folder: Path
    record: RunRecord

    @property
    def cell(self) -> Cell:
        """What was trained."""
        return self.record.cell

    @property
    def variant(self) -> str | None:
        """The variant of the parameters, by name; None without one."""
        return self.record.variant

    @property
    def row(self) -> str:
        """What stands in the path between task and seed: "<method>" or "<method>-<variant>"."""
        return row_name(self.cell.method, self.variant)

    @property
    def title(self) -> str:
        """The row as tables and figures name it."""
        return row_title(self.cell.method, self.variant)

    @property
    def has_phantoms(self) -> bool:
        """Whether its data have made-up patients."""
        return bool(self.record.data.parameters.get("phantoms"))

    @property
    def task_title(self) -> str:
        """The task as tables and figures name it."""
        return self.cell.definition.title_of(self.record.data.parameters)

    @property
    def paper_dice(self) -> tuple[float, float] | None:
        """The paper's Dice, mean and standard deviation; None for what the paper did not run."""
        if self.variant is not None:
            return None
        return METHODS[self.cell.method].paper_dice.get(self.cell.task)


def read_run(folder: Path) -> Run:
    """Read `run.json` of a run folder.

    Raises:
        UserError: the file is missing, damaged, changed by hand or of a later version.
    """
    file = folder / "run.json"
    if folder.is_file():
        raise UserError(f"{folder}: a file; expected a run folder, with run.json in it")
    if folder.is_dir() and not file.exists() and (below := _run_below(folder)):
        raise UserError(f"{file}: not found; name the run folder itself, such as {below}")
    record = _read(RunRecord, file, missing="train the run first", again="train the run again")
    if record.cell.training_version > TRAINING_VERSION:
        raise UserError(
            f"{file}: training_version = {record.cell.training_version}: this version of segtrans "
            f"knows up to {TRAINING_VERSION}; use the version that wrote it, or a later one"
        )
    return Run(folder=folder, record=record)


def _run_below(folder: Path) -> Path | None:
    """A run folder below this one, which may be that of a row, a task or a scale."""
    patterns = ("*/run.json", "*/*/run.json", "*/*/*/run.json")
    return next((min(found).parent for p in patterns if (found := list(folder.glob(p)))), None)


def read_runs(folders: Iterable[Path]) -> list[Run]:
    """Read several runs, ordered as tasks and methods are listed, then by variant and seed.

    Variants stand in the order in which they are met first: a scale's runs come in its own order.

    Raises:
        UserError: there is no folder, one cannot be read, or two hold the same task, row and
            initial seed.
    """
    runs: dict[tuple[int, int, int, int], Run] = {}
    methods = list(METHODS)
    tasks = {name: number for number, name in enumerate(PAPER_TASKS)}
    variants: dict[str | None, int] = {}
    for run in map(read_run, folders):
        cell = run.cell
        variant = variants.setdefault(run.variant, len(variants))
        task = tasks.setdefault(cell.task, len(tasks))
        key = (task, methods.index(cell.method), variant, cell.init_seed)
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
    return runs[0].cell.definition


def read_history(folder: Path) -> list[HistoryRecord]:
    """The records of `history.jsonl`, one per validation, in order.

    Raises:
        UserError: the file is missing, empty or damaged, or its records are not in order.
    """
    file, again = folder / "history.jsonl", "train the run again"
    lines = _read_text(file, hint="train the run first").splitlines()
    if not lines:
        raise UserError(f"{file}: empty; {again}")
    records: list[HistoryRecord] = []
    for number, line in enumerate(lines, start=1):
        origin = f"{file}, line {number}"
        records.append(_parse(HistoryRecord, line, origin=origin, again=again))
        if number > 1 and records[-1].iteration <= records[-2].iteration:
            raise UserError(f"{origin}: iteration {records[-1].iteration} is out of order; {again}")
    return records


def read_metrics(run: Run) -> Metrics:
    """The content of `metrics.json`, checked to belong to this run.

    Raises:
        UserError: the file is missing, damaged or from another training of this folder.
    """
    file, again = run.folder / "metrics.json", "evaluate the run again"
    metrics = _read(Metrics, file, missing="evaluate the run first", again=again)
    expected = {"cell_identity": run.cell.identity, "data_sha256": run.record.data.sha256}
    for key, value in expected.items():
        if getattr(metrics, key) != value:
            raise UserError(
                f"{file}: {key} is {getattr(metrics, key)}, that of run.json is {value}; {again}"
            )
    return metrics


def read_labelled_ids(run: Run) -> LabelledIds:
    """The content of `labelled_ids.json`, checked to be what `run.json` counts.

    Raises:
        UserError: the file is missing, damaged or of another run.
    """
    file, again = run.folder / "labelled_ids.json", "train the run again"
    labelled = _read(LabelledIds, file, missing=again, again=again)
    expected = run.record.labelled
    if (len(labelled.ids), labelled.unit) != (expected.n_units, expected.unit):
        raise UserError(
            f"{file}: {len(labelled.ids)} of unit {labelled.unit}, run.json has "
            f"{expected.n_units} of unit {expected.unit}; {again}"
        )
    return labelled


def _read(model: type[Model], file: Path, *, missing: str, again: str) -> Model:
    """A JSON file as a model; the hints say what to do when it is missing, or damaged."""
    return _parse(model, _read_text(file, hint=missing), origin=str(file), again=again)


def _read_text(file: Path, *, hint: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{file}: not found; {hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot read it ({error}); {hint}") from error


def _parse(model: type[Model], text: str, *, origin: str, again: str) -> Model:
    try:
        content = parse_object(text, origin=origin)
    except UserError as error:
        raise UserError(f"{error}; {again}") from error
    try:
        return validate(model, content, origin=origin)
    except UserError as error:
        raise UserError(
            f"{error}; damaged, changed by hand or of another version; {again}"
        ) from None

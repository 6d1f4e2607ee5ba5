"""Read finished runs: their facts, history and scores. Imports no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrans.config.catalogue import METHODS, method_name, method_title
from segtrans.config.layers import flat
from segtrans.config.paper_dice import PAPER_DICE
from segtrans.config.refusals import Model, parse_object, validate
from segtrans.config.run_config import RunConfig
from segtrans.config.run_record import HistoryRecord, LabelledIds, Metrics, RunFile, RunRecord
from segtrans.digests import file_sha256
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
    def config(self) -> RunConfig:
        """What was trained."""
        return self.record.config

    @property
    def variant(self) -> str | None:
        """The variant of the parameters, by name; None without one."""
        return self.record.variant

    @property
    def method_name(self) -> str:
        """What stands in the path between task and seed: "<method>" or "<method>-<variant>"."""
        return method_name(self.config.method, self.variant)

    @property
    def title(self) -> str:
        """The method with its variant, as tables and figures name it."""
        return method_title(self.config.method, self.variant)

    @property
    def has_phantoms(self) -> bool:
        """Whether its data have synthetic phantoms."""
        return bool(self.record.data.parameters.get("phantoms"))

    @property
    def has_pictures(self) -> bool:
        """Whether its data are pictures of the user's own, whose preparation its header has."""
        return self._has_own("pictures")

    @property
    def has_scans(self) -> bool:
        """Whether its data are scans of the user's own, whose preparation its header has."""
        return self._has_own("scans")

    def _has_own(self, files: str) -> bool:
        is_own = self.config.definition.own_files == files
        return is_own and "definition" in self.record.data.parameters

    @property
    def task_title(self) -> str:
        """The task as tables and figures name it."""
        return self.config.definition.title_of(self.record.data.parameters)

    @property
    def paper_dice(self) -> tuple[float, float] | None:
        """The paper's Dice, mean and standard deviation; None for what the paper did not run."""
        if self.variant is not None:
            return None
        return PAPER_DICE.get(self.config.task, {}).get(self.config.method)


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
    config = record.config
    if config.training_version > config.current_version:
        raise UserError(
            f"{file}: training_version = {config.training_version}: this version of segtrans "
            f"knows up to {config.current_version}; use the version that wrote it or a later one"
        )
    return Run(folder=folder, record=record)


def is_run_of_another(folder: Path, config: RunConfig) -> bool:
    """Whether a folder holds the run of another run; of a damaged one that is not known."""
    try:
        return read_run(folder).config != config
    except UserError:
        return False


def _run_below(folder: Path) -> Path | None:
    """A run folder below this one: that of a method, a task, a preset, or of `segtrans fit`."""
    patterns = ("results/*/*/*/*/run.json", "*/run.json", "*/*/run.json", "*/*/*/run.json")
    return next((min(found).parent for p in patterns if (found := list(folder.glob(p)))), None)


def read_runs(folders: Iterable[Path]) -> list[Run]:
    """Read several runs, ordered as tasks and methods are listed, then by variant and seed.

    Variants stand in the order in which they are met first: a preset's runs come in its own order.

    Raises:
        UserError: there is no folder, one cannot be read, two hold the same task, method and
            initial seed, or those of a method differ in more than the seed, or those of a task in
            their data.
    """
    runs: dict[tuple[int, int, int, int], Run] = {}
    methods = list(METHODS)
    tasks = {name: number for number, name in enumerate(PAPER_TASKS)}
    variants: dict[str | None, int] = {}
    for run in map(read_run, folders):
        config = run.config
        variant = variants.setdefault(run.variant, len(variants))
        task = tasks.setdefault(config.task, len(tasks))
        key = (task, methods.index(config.method), variant, config.init_seed)
        if key in runs:
            raise UserError(
                f"{run.folder}: task {config.task}, method {run.method_name}, seed "
                f"{config.init_seed} is also in {runs[key].folder}; give each run once"
            )
        runs[key] = run
    if not runs:
        raise UserError("no run folder was given; name at least one")
    found = [runs[key] for key in sorted(runs)]
    _check_comparable(found)
    return found


def difference(run: Run, other: Run) -> str | None:
    """How two runs differ, in their data or in parameters but the initial seed.

    Returns:
        "training.iterations = 150, not 1000"; None for runs that differ in the seed alone.
    """
    found, expected = (_science(of) for of in (run, other))
    for key in sorted(found.keys() | expected.keys()):
        if found.get(key) != expected.get(key):
            return f"{key} = {found.get(key)}, not {expected.get(key)}"
    return None


def _science(run: Run) -> dict[str, Any]:
    config = run.config.model_dump(mode="json", exclude={"init_seed"})
    return {"data": f"SHA-256 {run.record.data.sha256:.12}...", **flat(config)}


def _check_comparable(runs: Iterable[Run]) -> None:
    """A mean of runs of different parameters, or beside those of other data, says nothing."""
    of_method: dict[tuple[str, str, str], Run] = {}
    of_task: dict[tuple[str, str], Run] = {}
    for run in runs:
        preset, task = run.record.preset, run.config.task
        first = of_task.setdefault((preset, task), run)
        if run.record.data.sha256 != first.record.data.sha256:
            raise UserError(
                f"{run.folder}: its data are not those of {first.folder}; compare runs that were "
                "trained and evaluated on the same data: train one of them again"
            )
        first = of_method.setdefault((preset, task, run.method_name), run)
        if found := difference(run, first):
            raise UserError(
                f"{run.folder}: {found} as in {first.folder}, of the same method; runs of a method "
                "differ in their initial seed alone: train one of them again"
            )


def only_task(runs: Sequence[Run]) -> Task:
    """The task that all runs share.

    Raises:
        UserError: they are of different tasks.
    """
    names = list(dict.fromkeys(run.config.task for run in runs))
    if len(names) > 1:
        raise UserError(f"runs of different tasks, {', '.join(names)}: draw a figure of each")
    return runs[0].config.definition


def read_history(run: Run) -> list[HistoryRecord]:
    """The records of `history.jsonl`, one per validation, in order.

    Raises:
        UserError: the file is missing, empty, damaged or of another run, or its records are not in
            order.
    """
    file, again = run.folder / "history.jsonl", "train the run again"
    lines = _read_text(file, hint="train the run first").splitlines()
    if not lines:
        raise UserError(f"{file}: empty; {again}")
    records: list[HistoryRecord] = []
    for number, line in enumerate(lines, start=1):
        origin = f"{file}, line {number}"
        records.append(_parse(HistoryRecord, line, origin=origin, again=again))
        if number > 1 and records[-1].iteration <= records[-2].iteration:
            raise UserError(f"{origin}: iteration {records[-1].iteration} is out of order; {again}")
    _check_content(run, "history.jsonl")
    return records


def read_metrics(run: Run) -> Metrics:
    """The content of `metrics.json`, checked to belong to this run.

    Raises:
        UserError: the file is missing, damaged or from another training of this folder.
    """
    file, again = run.folder / "metrics.json", "evaluate the run again"
    metrics = _read(Metrics, file, missing="evaluate the run first", again=again)
    expected = {"config_identity": run.config.identity, "data_sha256": run.record.data.sha256}
    for key, value in expected.items():
        if getattr(metrics, key) != value:
            raise UserError(
                f"{file}: {key} is {getattr(metrics, key)}, that of run.json is {value}; {again}"
            )
    scored, trained = metrics.weights_sha256, run.record.weights_sha256
    if scored and trained and scored != trained:
        raise UserError(f"{file}: of other weights than run.json's (weights_sha256); {again}")
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
    _check_content(run, "labelled_ids.json")
    return labelled


def _check_content(run: Run, name: RunFile) -> None:
    """That a file is the one which the training wrote; an older `run.json` does not know."""
    if (expected := run.record.files_sha256) is not None:
        found = file_sha256(run.folder / name)
        if found != expected[name]:
            raise UserError(
                f"{run.folder / name}: damaged, or of another training: its SHA-256 is "
                f"{found:.12}..., that in run.json is {expected[name]:.12}...; train the run again "
                "(from its checkpoint that takes seconds)"
            )


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

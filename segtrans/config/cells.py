"""From parameters to cells: one cell is one training run's identity, resolved to plain values.

Pure: no torch, no files but the one a user names.
"""

import hashlib
import json
from pathlib import Path
from typing import Self

from pydantic import model_validator

from segtrans.config.blocks import (
    AugmentationParams,
    Block,
    LabelsParams,
    NetworksParams,
    Seed,
    TrainingParams,
    Weight,
    check_batches,
)
from segtrans.config.catalogue import METHODS
from segtrans.config.params import Params, params_of
from segtrans.config.refusals import nearest, parse_object, validate
from segtrans.config.versions import TRAINING_VERSION
from segtrans.errors import UserError
from segtrans.tasks.base import TASKS, Task


class Cell(Block):
    """All science of one training run and nothing else: a change of it, and only that, retrains.

    What the task has no use for is null: digits to label or the unit of labels, the augmentation.
    """

    task: str
    method: str
    init_seed: Seed
    data_seed: Seed
    labels: LabelsParams
    networks: NetworksParams
    weights: dict[str, Weight]
    augmentation: AugmentationParams | None
    training: TrainingParams
    training_version: int

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        if self.task not in TASKS:
            raise ValueError(f"task = {self.task}: allowed: {', '.join(TASKS)}")
        if self.method not in METHODS:
            raise ValueError(f"method = {self.method}: allowed: {', '.join(METHODS)}")
        is_chosen = (
            self.labels.unit if self.task_facts.subjects == "patients" else self.labels.digits
        )
        if not is_chosen:
            raise ValueError(f"labels = {self.labels}: task {self.task} needs unit or digits")
        names = METHODS[self.method].weights
        if set(self.weights) != set(names):
            raise ValueError(f"weights = {self.weights}: the keys are {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        check_batches(self.labels, self.training)
        return self

    @property
    def identity(self) -> str:
        """Hash of the canonical JSON; 16 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    @property
    def task_facts(self) -> Task:
        """The task's entry in the table of tasks."""
        return TASKS[self.task]

    def to_json(self) -> str:
        """One line, sorted keys: what a rule passes and a run folder keeps."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)


def resolve_cell(
    params: Params, *, task: str, method: str, init_seed: int, variant: str | None = None
) -> Cell:
    """The cell of one task, method and seed; a variant changes its values and is not named in it.

    Raises:
        UserError: the task, the method or the variant does not exist.
    """
    for key, name, known in (("task", task, TASKS), ("method", method, METHODS)):
        if name not in known:
            raise UserError(f"{key} = {name}: {nearest(name, known)}")
    if variant is not None and variant not in params.variants:
        raise UserError(f"variant = {variant}: {nearest(variant, params.variants)}")
    params = params_of(params, task, variant)
    has_patients = TASKS[task].subjects == "patients"
    unused = {"digits": None} if has_patients else {"unit": None}
    content = {
        "task": task,
        "method": method,
        "init_seed": init_seed,
        "data_seed": params.data_seed,
        "labels": params.labels.model_dump(mode="json") | unused,
        "networks": params.networks.model_dump(mode="json"),
        "weights": params.weights(method),
        "augmentation": params.augmentation.model_dump(mode="json") if has_patients else None,
        "training": params.training.model_dump(mode="json"),
        "training_version": TRAINING_VERSION,
    }
    return validate(Cell, content, origin="cell")


def read_cell(text_or_file: str) -> Cell:
    """A cell from its JSON text or from a file that holds it.

    Raises:
        UserError: neither JSON nor a readable file, a value is refused, or the cell is of another
            version of training.
    """
    text, origin = text_or_file, "cell"
    if not text.lstrip().startswith("{"):
        origin = text_or_file
        try:
            text = Path(text_or_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{text_or_file}: cannot read the cell ({error}); expected what `segtrans cell` "
                "prints, or a file with it"
            ) from error
    cell = validate(Cell, parse_object(text, origin=origin), origin=origin)
    if cell.training_version != TRAINING_VERSION:
        raise UserError(
            f"{origin}: training_version = {cell.training_version}: this version of segtrans "
            f"trains version {TRAINING_VERSION}, with other results; print the cell anew with "
            "`segtrans cell`"
        )
    return cell

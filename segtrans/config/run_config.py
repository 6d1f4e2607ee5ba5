"""From parameters to run configurations: each is the identity of one training run.

Pure: no torch, no files but the one a user names.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from segtrans.block import Block, Seed, Weight
from segtrans.config.blocks import (
    AugmentationParams,
    LabelsParams,
    NetworksParams,
    TrainingParams,
    check_batches,
)
from segtrans.config.catalogue import METHODS, check_dimensions, check_first_round
from segtrans.config.params import Params, params_of
from segtrans.config.refusals import nearest, parse_object, validate
from segtrans.config.versions import training_version
from segtrans.errors import UserError
from segtrans.tasks.registry import PAPER_TASKS, AnyTask

# Keys of blocks that came later, and their values that leave a training as it was without them.
_LATER: tuple[tuple[str, str, tuple[float | None, ...]], ...] = (
    ("networks", "min_channels", (1,)),
    ("networks", "neighbours", (None, 0)),
    ("training", "decay_from", (1.0,)),
    ("training", "first_round", (None,)),
)
_OF_FIRST_ROUND = "first_round."  # before the names of its weights


class RunConfig(Block):
    """All science of one training run and nothing else: a change of it, and only that, retrains.

    What the task has no use for is null: digits to label or the unit of labels, the augmentation.
    Where the data say what is labelled, the fraction is all of that, whatever the seed.
    Weights of the method that is the first round of `self_training` are called
    `first_round.lambda_seg` and so on.
    `own_task` is what a task of `data_sets` is; it is left out for the paper's.
    """

    task: str
    own_task: AnyTask | None = None
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
        if (self.own_task is None) != (self.task in PAPER_TASKS):
            raise ValueError(
                f"task = {self.task}: allowed: {', '.join(PAPER_TASKS)}, or another name with "
                "own_task"
            )
        if self.method not in METHODS:
            raise ValueError(f"method = {self.method}: allowed: {', '.join(METHODS)}")
        for key, expected in self.definition.needs_labels.items():
            if not getattr(self.labels, key):
                raise ValueError(f"labels.{key} = null: task {self.task} needs {expected}")
        check_dimensions(self.method, self.task, len(self.definition.image_size))
        if self.neighbours and not self.definition.has_patients:
            raise ValueError(
                f"networks.neighbours = {self.neighbours}: images of task {self.task} are no "
                "slices of scans; expected 0 or null"
            )
        check_first_round(self.training.first_round)
        if self.training.first_round is not None and not METHODS[self.method].has_rounds:
            raise ValueError(
                f"training.first_round = {self.training.first_round}: method {self.method} has no "
                "rounds; expected null"
            )
        names = _names_of_weights(self.method, self.training.first_round)
        if set(self.weights) != set(names):
            raise ValueError(f"weights = {self.weights}: the keys are {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        check_batches(self.labels, self.training)
        return self

    @property
    def current_version(self) -> int:
        """The number that `training_version` has where this version of segtrans trains it."""
        return training_version(self.method, self.training.first_round)

    @property
    def identity(self) -> str:
        """Hash of the canonical JSON; 16 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def first_round(self, n_iterations: int) -> Self | None:
        """The training, so many iterations long, whose labels `self_training` begins with.

        None: it is the method's own.
        """
        method = self.training.first_round
        if method is None:
            return None
        training = {"first_round": None, "iterations": n_iterations}
        weights = {name: self.weights[_OF_FIRST_ROUND + name] for name in METHODS[method].weights}
        return self.model_copy(
            update={
                "method": method,
                "weights": weights,
                "training": self.training.model_copy(update=training),
                "training_version": training_version(method),
            }
        )

    @property
    def definition(self) -> AnyTask:
        """What the task is."""
        return self.own_task or PAPER_TASKS[self.task]

    @property
    def neighbours(self) -> int:
        """Slices on either side of each that networks see with it: r."""
        return self.networks.neighbours or 0

    @property
    def maps(self) -> tuple[str, ...]:
        """Pathologies that are segmented each by itself; none: a single target, or classes."""
        return self.definition.pathologies if METHODS[self.method].tells_apart else ()

    @property
    def n_input_channels(self) -> int:
        """Channels that networks see: those of an image, times 2 r + 1."""
        return len(self.definition.channels) * (2 * self.neighbours + 1)

    @model_serializer(mode="wrap")
    def _without_null_task(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = dump(self)
        if self.own_task is None:
            del content["own_task"]
        return content

    def to_json(self) -> str:
        """One line, sorted keys: what a rule passes and a run folder keeps.

        Without later keys that change nothing: trainings from before there were these stay what
        they are.
        """
        content = self.model_dump(mode="json")
        for block, key, nothing in _LATER:
            if content[block][key] in nothing:
                del content[block][key]
        return json.dumps(content, sort_keys=True)


def _names_of_weights(method: str, first_round: str | None) -> tuple[str, ...]:
    of_first = METHODS[first_round].weights if first_round is not None else ()
    return (*METHODS[method].weights, *(_OF_FIRST_ROUND + name for name in of_first))


def resolve_config(
    params: Params, *, task: str, method: str, init_seed: int, variant: str | None = None
) -> RunConfig:
    """The run configuration of one task, method and seed; a variant changes values alone.

    Raises:
        UserError: the task, the method or the variant does not exist.
    """
    for key, name, known in (("task", task, params.known_tasks), ("method", method, METHODS)):
        if name not in known:
            raise UserError(f"{key} = {name}: {nearest(name, known)}")
    if variant is not None and variant not in params.variants:
        raise UserError(f"variant = {variant}: {nearest(variant, params.variants)}")
    params = params_of(params, task, variant)
    definition = params.known_tasks[task]
    labels = params.labels.model_dump(mode="json")
    labels |= {key: None for key in ("digits", "unit") if key not in definition.needs_labels}
    if definition.has_own_labels:
        labels |= {"fraction": 1.0, "per_seed": False}
    networks = params.networks.model_dump(mode="json")
    if networks["neighbours"] is None:
        networks["neighbours"] = definition.neighbours_in(params) or None
    training = params.training.model_dump(mode="json")
    weights = dict(params.weights(method))
    if not METHODS[method].has_rounds:
        training["first_round"] = None
    elif (first := training["first_round"]) is not None:
        weights |= {_OF_FIRST_ROUND + name: value for name, value in params.weights(first).items()}
    content = {
        "task": task,
        "own_task": None
        if task in PAPER_TASKS
        else definition.as_trained(task).model_dump(mode="json"),
        "method": method,
        "init_seed": init_seed,
        "data_seed": params.data_seed,
        "labels": labels,
        "networks": networks,
        "weights": weights,
        "augmentation": params.augmentation.model_dump(mode="json")
        if definition.is_augmented
        else None,
        "training": training,
        "training_version": training_version(method, training["first_round"]),
    }
    return validate(RunConfig, content, origin="run configuration")


def read_config(text_or_file: str) -> RunConfig:
    """A run configuration from its JSON text or from a file that holds it.

    Raises:
        UserError: neither JSON nor a readable file, a value is refused, or the run configuration is
            of another version of training.
    """
    text, origin = text_or_file, "run configuration"
    if not text.lstrip().startswith("{"):
        origin = text_or_file
        try:
            text = Path(text_or_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{text_or_file}: cannot read the run configuration ({error}); expected what "
                "`segtrans run-config` prints, or a file with it"
            ) from error
    config = validate(RunConfig, parse_object(text, origin=origin), origin=origin)
    if config.training_version != config.current_version:
        raise UserError(
            f"{origin}: training_version = {config.training_version}: this version of segtrans "
            f"trains version {config.current_version}, with other results; print it anew with "
            "`segtrans run-config`"
        )
    return config

"""All parameters as one typed, validated model: the only source of what is allowed.

Read by the command line, the Snakefile and the tests alike. Imports neither torch nor snakemake,
so that a workflow is parsed in a moment. The manual `config/README.md` is generated from the
descriptions below.
"""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, model_validator

from segtrans.catalogue import METHODS
from segtrans.errors import UserError
from segtrans.stages import (
    AugmentationParams,
    Block,
    BratsParams,
    ClutteredMnistParams,
    DigitsParams,
    EvaluationParams,
    LabelsParams,
    NetworksParams,
    Seed,
    TrainingParams,
    Weight,
)
from segtrans.tasks import TASKS
from segtrans.validation import nearest, validate

OVERRIDABLE = ("labels", "networks", "objective", "training", "augmentation")
_VARIANT = re.compile(r"[a-z0-9][a-z0-9_]*")  # without the "-" that joins it to its method


class Params(Block):
    """Everything that decides a result, and nothing else."""

    scale: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = Field(
        description="name of the scale and of its output folder, results/<scale>"
    )
    tasks: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="data sets to run")
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="rows to run")
    init_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        description="one run per seed: initial weights, order of batches, sampled codes"
    )
    data_seed: Seed = Field(description="split, clutter and choice of labelled images")
    digits: DigitsParams
    cluttered_mnist: ClutteredMnistParams
    brats: BratsParams
    augmentation: AugmentationParams
    labels: LabelsParams
    networks: NetworksParams
    objective: dict[str, dict[str, Weight]] = Field(
        description="weights of the objective's terms (equation 7), by the file of the methods "
        "that use them, and by method what it has otherwise, which wins wherever either is named; "
        "the paper: autoencoder 1, 1; translation 3, 50, 1, 50, 0.01"
    )
    training: TrainingParams
    evaluation: EvaluationParams
    overrides: dict[str, dict[str, Any]] = Field(
        description="what a task has otherwise, by task: its methods, keys of the blocks labels, "
        "networks, objective, training and augmentation"
    )
    variants: dict[str, dict[str, Any]] = Field(
        description="each method is a row of the table for each of these, by name: what it has "
        "otherwise, blocks as in overrides, over which it is laid; none: a row for each method"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _check_names("tasks", self.tasks, TASKS)
        _check_names("methods", self.methods, METHODS)
        _check_unique("init_seeds", self.init_seeds)
        _check_unique("labels.digits", self.labels.digits or ())
        self._check_weights()
        self._check_training()
        if any(TASKS[task].clutter_pieces for task in self.tasks):
            self._check_digits()
        for task in self.tasks:
            if TASKS[task].subjects == "patients" and not self.labels.unit:
                raise ValueError(f"labels.unit = null: task {task} needs volume or half_slice")
            if TASKS[task].subjects == "digits" and not self.labels.digits:
                raise ValueError(f"labels.digits = null: task {task} needs the classes to label")
        _check_names("overrides", tuple(self.overrides), TASKS)
        for variant in self.variants:
            if not _VARIANT.fullmatch(variant):
                raise ValueError(f"variants.{variant}: a name is a-z, 0-9 and _, no _ in front")
        _check_keys("overrides", self.overrides, ("methods", *OVERRIDABLE))
        _check_keys("variants", self.variants, OVERRIDABLE)
        return self

    def rows(self, task: str) -> tuple[tuple[str, str | None], ...]:
        """A task's rows of the table, as method and variant (None without any): each with each."""
        methods = params_of(self, task).methods
        return tuple(itertools.product(methods, self.variants or (None,)))

    def weights(self, method: str) -> dict[str, float]:
        """A method's weights of the objective: those of its file, and over them its own."""
        return self.objective[METHODS[method].module] | self.objective.get(method, {})

    def _check_weights(self) -> None:
        of_modules = {entry.module: entry.weights for entry in METHODS.values()}
        known = of_modules | {method: entry.weights for method, entry in METHODS.items()}
        for name in dict.fromkeys((*of_modules, *self.objective)):
            if name not in known:
                raise ValueError(f"objective.{name}: {nearest(name, known)}")
            given = set(self.objective.get(name, {}))
            missing = set(known[name]) - given if name in of_modules else set()
            for key in sorted(given - set(known[name]) | missing):
                problem = "unknown key" if key in given else "missing"
                raise ValueError(
                    f"objective.{name}.{key}: {problem}; the keys are {', '.join(known[name])}"
                )

    def _check_training(self) -> None:
        training, labels = self.training, self.labels
        if labels.per_batch > training.batch_size:
            raise ValueError(
                f"labels.per_batch = {labels.per_batch}: at most training.batch_size = "
                f"{training.batch_size}"
            )
        if training.validate_every > training.iterations:
            raise ValueError(
                f"training.validate_every = {training.validate_every}: at most "
                f"training.iterations = {training.iterations}"
            )

    def _check_digits(self) -> None:
        training, labels, digits = self.training, self.labels, self.digits
        if training.batch_size > self.cluttered_mnist.n_train_images:
            raise ValueError(
                f"training.batch_size = {training.batch_size}: larger than the data, "
                f"cluttered_mnist.n_train_images = {self.cluttered_mnist.n_train_images}"
            )
        if round(labels.fraction * digits.n_train) < 1:
            raise ValueError(
                f"labels.fraction = {labels.fraction}: gives no label among {digits.n_train} "
                f"training digits; at least {1 / digits.n_train:g} gives one"
            )
        for fold in ("train", "valid", "test"):
            n_digits = getattr(digits, f"n_{fold}")
            n_images = getattr(self.cluttered_mnist, f"n_{fold}_images")
            if n_images < n_digits:
                raise ValueError(
                    f"cluttered_mnist.n_{fold}_images = {n_images}: at least one image for each "
                    f"of digits.n_{fold} = {n_digits}"
                )


def _check_names(key: str, names: tuple[str, ...], known: Iterable[str]) -> None:
    _check_unique(key, names)
    for name in names:
        if name not in known:
            raise ValueError(f"{key} = {name}: {nearest(name, known)}")


def _check_keys(key: str, overlays: dict[str, dict[str, Any]], allowed: tuple[str, ...]) -> None:
    for name, overlay in overlays.items():
        for block in overlay:
            if block not in allowed:
                raise ValueError(f"{key}.{name}.{block}: {nearest(block, allowed)}")


def _check_unique(key: str, values: tuple[object, ...]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{key} = {value}: stands there twice")


def load_params(*files: Path, overlay: dict[str, Any] | None = None) -> Params:
    """Read YAML files, each laid over the ones before it, and validate the whole.

    Args:
        files: parameter files, the default first.
        overlay: a mapping laid over them all, such as Snakemake's own `config`.

    Raises:
        UserError: a file is missing or no YAML mapping, or a value is refused.
    """
    merged: dict[str, Any] = {}
    for content in [*map(_read_yaml, files), overlay or {}]:
        _overlay(merged, content)
    return parse_params(merged, origin=", ".join(str(file) for file in files))


def parse_params(content: dict[str, Any], *, origin: str) -> Params:
    """Validate a mapping of plain types; `origin` names it in errors.

    Raises:
        UserError: one line that names each key, its value and what is allowed.
    """
    params = validate(Params, content, origin=origin)
    for task in params.overrides:
        params_of(params, task, origin=origin)
    for task, variant in itertools.product(params.tasks, params.variants):
        params_of(params, task, variant, origin=origin)
    return params


def params_of(
    params: Params, task: str, variant: str | None = None, *, origin: str = "parameters"
) -> Params:
    """The parameters of one task, its overrides and those of a variant laid over them.

    Raises:
        UserError: a value is refused; the line names task and variant.
    """
    content = params.model_dump(mode="json")
    _overlay(content, params.overrides.get(task, {}))
    place = f"overrides of {task}"
    if variant is not None:
        _overlay(content, params.variants[variant])
        place = f"variant {variant} of {task}"
    alone = {"tasks": [task], "overrides": {}, "variants": {}}
    return validate(Params, content | alone, origin=f"{origin}, {place}")


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot read parameters ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = " ".join(str(error).split())
        raise UserError(f"{file}: not a YAML file: {place}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected a YAML mapping of parameters, found {content!r:.60}")
    return content


def _overlay(base: dict[str, Any], upper: dict[str, Any]) -> None:
    for key, value in upper.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _overlay(base[key], value)
        else:
            base[key] = value

